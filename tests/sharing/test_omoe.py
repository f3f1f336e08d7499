"""OMoE against its formula, and beside MMoE."""

import pytest
import torch

from sharing.experts_by_hand import embed, make, run_expert
from taskloom.backbones.fm import FM
from taskloom.backbones.mlp import MLP
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.sharing.mmoe import MMoE
from taskloom.sharing.omoe import OMoE


def reference(sharing, embedded):
    wide, x = sharing.encoder(embedded.shared())
    weight, bias = sharing.gate.layer.weight, sharing.gate.layer.bias
    rows = []
    for b in range(len(x)):
        scores = [(weight[e] @ x[b] + bias[e]).exp() for e in range(len(bias))]
        mixed = 0
        for e, expert in enumerate(sharing.experts.experts):
            mixed = mixed + scores[e] / sum(scores) * run_expert(expert, x[b])
        row = mixed if wide is None else torch.cat([wide[b], mixed])
        rows.append(torch.stack([row] * len(sharing.tasks)))
    return torch.stack(rows)


def gradients(h, inputs):
    projection = torch.randn(h.shape, generator=torch.Generator().manual_seed(4), dtype=h.dtype)
    return torch.autograd.grad((projection * h).sum(), inputs)


@pytest.mark.parametrize("backbone", [MLP, FM])
def test_equals_its_formula(backbone):
    sharing, embedded = make(OMoE, backbone, experts=3), embed()
    h, expected = sharing(embedded).h, reference(sharing, embedded)
    assert h.shape == (6, 3, sharing.width)
    torch.testing.assert_close(h, expected, rtol=1e-5, atol=1e-7)
    inputs = [*sharing.parameters(), embedded.fields]
    for a, b in zip(gradients(h, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_one_task_is_mmoe_with_one_task():
    omoe, mmoe = (make(scheme, FM, n_tasks=1, experts=3) for scheme in (OMoE, MMoE))
    embedded = embed()
    mmoe.experts.load_state_dict(omoe.experts.state_dict())
    mmoe.private[0].load_state_dict(omoe.gate.state_dict())
    torch.testing.assert_close(omoe(embedded).h, mmoe(embedded).h)


def test_one_expert_is_hard_sharing():
    omoe, hard, embedded = make(OMoE, FM, experts=1), make(HardSharing, FM), embed()
    hard.backbone.stages.load_state_dict(omoe.experts.experts[0].state_dict())
    torch.testing.assert_close(omoe(embedded).h, hard(embedded).h)


def test_nothing_is_private():
    sharing = make(OMoE, MLP, experts=2)
    assert {sharing.owner(name) for name, _ in sharing.named_parameters()} == {None}


@pytest.mark.parametrize("hidden", [[], [4]])
def test_runs_with_few_stages(hidden):
    sharing, embedded = make(OMoE, FM, hidden=hidden, experts=2), embed()
    torch.testing.assert_close(sharing(embedded).h, reference(sharing, embedded))
