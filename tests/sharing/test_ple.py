"""PLE against its formula, its owners and its cut at any depth, and at one level."""

import pytest
import torch

from sharing.experts_by_hand import embed, make, run_expert
from taskloom.backbones.fm import FM
from taskloom.backbones.mlp import MLP
from taskloom.errors import ConfigError
from taskloom.sharing.cgc import CGC
from taskloom.sharing.experts import Experts
from taskloom.sharing.mmoe import MMoE
from taskloom.sharing.ple import PLE

SMALL = {"own_experts": 1, "shared_experts": 2}


def choose(gate, row, outputs):
    """The mixture (W,) of outputs (W,)."""
    scores = [(w @ row + c).exp() for w, c in zip(gate.layer.weight, gate.layer.bias, strict=True)]
    return sum(score / sum(scores) * output for score, output in zip(scores, outputs, strict=True))


def reference(sharing, embedded):
    wide, x = sharing.encoder(embedded.shared())
    rows = []
    for b in range(len(x)):
        tasks, common = [x[b]] * len(sharing.tasks), x[b]
        for j, level in enumerate(sharing.levels):
            own = [[run_expert(e, row) for e in experts.experts] for experts, row in zip(level.own, tasks, strict=True)]
            shared = [run_expert(e, common) for e in level.shared.experts]
            tasks = [choose(level.gates[k], tasks[k], [*own[k], *shared]) for k in range(len(tasks))]
            if j < len(sharing.levels) - 1:
                common = choose(level.gate, common, [o for group in own for o in group] + shared)
        rows += [task if wide is None else torch.cat([wide[b], task]) for task in tasks]
    return torch.stack(rows).unflatten(0, (len(x), -1))


def gradients(h, inputs):
    projection = torch.randn(h.shape, generator=torch.Generator().manual_seed(4), dtype=h.dtype)
    return torch.autograd.grad((projection * h).sum(), inputs)


@pytest.mark.parametrize(
    ("backbone", "hidden", "arguments", "n_levels"),
    [
        (MLP, [5, 4], {}, 2),
        (FM, [5, 4, 3], {}, 3),
        (MLP, [5, 4, 3], {"levels": 2, "own_experts": 2}, 2),
        (FM, [5, 4], {"levels": 1}, 1),
        (FM, [5, 4], {"own_experts": 0}, 2),
    ],
)
@pytest.mark.parametrize("form", ["loop", "batched"])
def test_equals_its_formula(backbone, hidden, arguments, n_levels, form, monkeypatch):
    monkeypatch.setattr(Experts, "form", form)
    sharing, embedded = make(PLE, backbone, hidden=hidden, **SMALL | arguments), embed()
    assert len(sharing.levels) == n_levels
    h, expected = sharing(embedded).h, reference(sharing, embedded)
    assert h.shape == (6, 3, sharing.width)
    torch.testing.assert_close(h, expected, rtol=1e-5, atol=1e-7)
    inputs = [*sharing.parameters(), embedded.fields]
    for a, b in zip(gradients(h, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("levels", "lengths"), [(None, [1] * 5), (5, [1] * 5), (3, [2, 2, 1]), (2, [3, 2]), (1, [5])])
def test_levels_part_the_stages(levels, lengths):
    sharing = make(PLE, MLP, hidden=[4] * 5, levels=levels, **SMALL)
    assert [len(level.shared.experts[0]) for level in sharing.levels] == lengths
    assert [len(level.own[2].experts[0]) for level in sharing.levels] == lengths


@pytest.mark.parametrize("hidden", [[5], [5, 4], [5, 4, 3], [5, 4, 3, 3]])
def test_owners_and_cut_are_right_at_any_depth(hidden):
    """Row k of the representation's gradient, carried on to the shared parameters, is what h_k alone moves there."""
    sharing, embedded = make(PLE, FM, hidden=hidden, **SMALL), embed()
    shared = sharing(embedded)
    names, parameters = zip(*sharing.named_parameters(), strict=True)
    common = [p for name, p in zip(names, parameters, strict=True) if sharing.owner(name) is None]
    common.append(embedded.fields)
    moved = {name: set() for name in names}
    for k in range(3):
        loss = shared.h[:, k].square().sum()
        direct = torch.autograd.grad(loss, common, retain_graph=True, allow_unused=True)
        through = torch.autograd.grad(loss, shared.representation, retain_graph=True, allow_unused=True)
        crossed = [(z, g) for z, g in zip(shared.representation, through, strict=True) if g is not None]
        cuts, rows = zip(*crossed, strict=True)
        summed = torch.autograd.grad(cuts, common, rows, retain_graph=True, allow_unused=True)
        for a, b in zip(direct, summed, strict=True):
            torch.testing.assert_close(a, b)
        whole = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for name, gradient in zip(names, whole, strict=True):
            if gradient is not None and gradient.any():
                moved[name].add(k)
    for name, tasks in moved.items():
        owner = sharing.owner(name)
        assert tasks == ({0, 1, 2} if owner is None else {owner}), name


def test_one_level_is_cgc():
    ple, cgc, embedded = make(PLE, FM, levels=1, **SMALL), make(CGC, FM, **SMALL), embed()
    (level,) = ple.levels
    cgc.experts.load_state_dict(level.shared.state_dict())
    for k, own in enumerate(cgc.private):
        own.experts.load_state_dict(level.own[k].state_dict())
        own.gate.load_state_dict(level.gates[k].state_dict())
    torch.testing.assert_close(ple(embedded).h, cgc(embedded).h)


def test_one_level_without_own_experts_is_mmoe():
    ple = make(PLE, FM, levels=1, own_experts=0, shared_experts=3)
    mmoe, embedded = make(MMoE, FM, experts=3), embed()
    mmoe.experts.load_state_dict(ple.levels[0].shared.state_dict())
    for gate, own in zip(mmoe.private, ple.levels[0].gates, strict=True):
        gate.load_state_dict(own.state_dict())
    torch.testing.assert_close(ple(embedded).h, mmoe(embedded).h)


def test_shared_experts_read_the_common_mixture_and_never_a_task_s():
    """What the first level's task gates do leaves the shared experts of the second alone; its common gate does not."""
    sharing, embedded = make(PLE, MLP, **SMALL), embed()
    top, seen = sharing.levels[1].shared, []
    top.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs))
    sharing(embedded)
    with torch.no_grad():
        sharing.levels[0].gates[0].layer.bias[0] += 5
    sharing(embedded)
    with torch.no_grad():
        sharing.levels[0].gate.layer.bias[0] += 5
    sharing(embedded)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_more_levels_than_layers_are_refused():
    with pytest.raises(ConfigError, match=r"model\.levels=3 is more than the backbone has layers, 2: .*hidden"):
        make(PLE, MLP, levels=3, **SMALL)


@pytest.mark.parametrize("hidden", [[], [4]])
def test_runs_with_few_stages(hidden):
    sharing, embedded = make(PLE, FM, hidden=hidden, **SMALL), embed()
    torch.testing.assert_close(sharing(embedded).h, reference(sharing, embedded))
