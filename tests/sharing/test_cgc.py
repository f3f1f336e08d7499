"""CGC against its formula, and without experts of a task's own."""

import pytest
import torch

from sharing.experts_by_hand import embed, make, run_expert
from taskloom.backbones.fm import FM
from taskloom.backbones.mlp import MLP
from taskloom.sharing.cgc import CGC
from taskloom.sharing.experts import Experts
from taskloom.sharing.mmoe import MMoE


def reference(sharing, embedded):
    wide, x = sharing.encoder(embedded.shared())
    rows = []
    for b in range(len(x)):
        for own in sharing.private:
            experts = [*own.experts.experts, *sharing.experts.experts]
            scores = [(w @ x[b] + c).exp() for w, c in zip(own.gate.layer.weight, own.gate.layer.bias, strict=True)]
            mixed = sum(s / sum(scores) * run_expert(e, x[b]) for s, e in zip(scores, experts, strict=True))
            rows.append(mixed if wide is None else torch.cat([wide[b], mixed]))
    return torch.stack(rows).unflatten(0, (len(x), -1))


def gradients(h, inputs):
    projection = torch.randn(h.shape, generator=torch.Generator().manual_seed(4), dtype=h.dtype)
    return torch.autograd.grad((projection * h).sum(), inputs)


@pytest.mark.parametrize("backbone", [MLP, FM])
@pytest.mark.parametrize(("own", "form"), [(2, "loop"), (2, "batched"), (1, "loop"), (0, "loop")])
def test_equals_its_formula(backbone, own, form, monkeypatch):
    monkeypatch.setattr(Experts, "form", form)
    sharing, embedded = make(CGC, backbone, own_experts=own, shared_experts=2), embed()
    assert [len(task.experts) for task in sharing.private] == [own] * 3
    assert len(sharing.experts) == 2
    h, expected = sharing(embedded).h, reference(sharing, embedded)
    assert h.shape == (6, 3, sharing.width)
    torch.testing.assert_close(h, expected, rtol=1e-5, atol=1e-7)
    inputs = [*sharing.parameters(), embedded.fields]
    for a, b in zip(gradients(h, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_without_own_experts_it_is_mmoe():
    cgc, mmoe, embedded = make(CGC, FM, own_experts=0, shared_experts=3), make(MMoE, FM, experts=3), embed()
    mmoe.experts.load_state_dict(cgc.experts.state_dict())
    for gate, own in zip(mmoe.private, cgc.private, strict=True):
        gate.load_state_dict(own.gate.state_dict())
    torch.testing.assert_close(cgc(embedded).h, mmoe(embedded).h)


def test_no_task_reads_another_ones_experts():
    sharing, embedded = make(CGC, MLP, own_experts=2, shared_experts=1), embed()
    before = sharing(embedded).h
    with torch.no_grad():
        for parameter in sharing.private[1].parameters():
            parameter.add_(1)
    after = sharing(embedded).h
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.equal(before[:, 1], after[:, 1])


def test_no_two_experts_begin_alike():
    sharing = make(CGC, MLP, own_experts=2, shared_experts=2)
    firsts = [e[0][0].weight for group in (sharing, *sharing.private) for e in group.experts.experts]
    assert len({weight.sum().item() for weight in firsts}) == len(firsts) == 8


@pytest.mark.parametrize("hidden", [[], [4]])
def test_runs_with_few_stages(hidden):
    sharing, embedded = make(CGC, FM, hidden=hidden, own_experts=1, shared_experts=2), embed()
    torch.testing.assert_close(sharing(embedded).h, reference(sharing, embedded))
