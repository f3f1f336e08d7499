"""MMoE against its formula, and at one expert."""

import pytest
import torch

from sharing.experts_by_hand import embed, make, run_expert
from taskloom.backbones.fm import FM
from taskloom.backbones.mlp import MLP
from taskloom.features.embedded import Embedded
from taskloom.sharing.experts import Experts
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.sharing.mmoe import MMoE


def reference(sharing, embedded):
    wide, x = sharing.encoder(embedded.shared())
    rows = []
    for b in range(len(x)):
        for gate in sharing.private:
            scores = [(w @ x[b] + c).exp() for w, c in zip(gate.layer.weight, gate.layer.bias, strict=True)]
            mixed = sum(
                s / sum(scores) * run_expert(e, x[b]) for s, e in zip(scores, sharing.experts.experts, strict=True)
            )
            rows.append(mixed if wide is None else torch.cat([wide[b], mixed]))
    return torch.stack(rows).unflatten(0, (len(x), -1))


def gradients(h, inputs):
    projection = torch.randn(h.shape, generator=torch.Generator().manual_seed(4), dtype=h.dtype)
    return torch.autograd.grad((projection * h).sum(), inputs, allow_unused=True)


@pytest.mark.parametrize("backbone", [MLP, FM])
@pytest.mark.parametrize("form", ["loop", "batched"])
def test_equals_its_formula(backbone, form, monkeypatch):
    monkeypatch.setattr(Experts, "form", form)
    sharing, embedded = make(MMoE, backbone, experts=3), embed()
    h, expected = sharing(embedded).h, reference(sharing, embedded)
    assert h.shape == (6, 3, sharing.width)
    torch.testing.assert_close(h, expected, rtol=1e-5, atol=1e-7)
    inputs = [*sharing.parameters(), embedded.fields]
    for a, b in zip(gradients(h, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_one_expert_is_hard_sharing():
    mmoe, hard, embedded = make(MMoE, FM, experts=1), make(HardSharing, FM), embed()
    hard.backbone.stages.load_state_dict(mmoe.experts.experts[0].state_dict())
    torch.testing.assert_close(mmoe(embedded).h, hard(embedded).h)


def test_a_gate_that_is_sure_takes_one_expert():
    sharing, embedded = make(MMoE, MLP, experts=3), embed()
    with torch.no_grad():
        for k, gate in enumerate(sharing.private):
            gate.layer.weight.zero_()
            gate.layer.bias.copy_(100 * torch.eye(3)[k])
    _, x = sharing.encoder(embedded.shared())
    torch.testing.assert_close(sharing(embedded).h, sharing.experts(x))


def test_experts_begin_apart_and_share_one_encoder():
    sharing = make(MMoE, FM, experts=3)
    first, second = (expert[0][0].weight for expert in sharing.experts.experts[:2])
    assert not torch.equal(first, second)
    assert sum(name.startswith("encoder") for name, _ in sharing.named_buffers()) == 1


@pytest.mark.parametrize("hidden", [[], [4]])
def test_runs_with_few_stages(hidden):
    sharing, embedded = make(MMoE, FM, hidden=hidden, experts=2), embed()
    torch.testing.assert_close(sharing(embedded).h, reference(sharing, embedded))


def test_mixes_in_bfloat16():
    sharing, embedded = make(MMoE, MLP, experts=3).float(), embed()
    embedded = Embedded(embedded.fields.float(), embedded.dense.float(), embedded.penalty, 6)
    plain = sharing(embedded).h
    with torch.autocast("cpu", torch.bfloat16):
        h = sharing(embedded).h
    assert h.dtype == torch.bfloat16
    torch.testing.assert_close(h.float(), plain, rtol=3e-2, atol=3e-2)
