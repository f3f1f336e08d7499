"""AdaTT against its formula, row by row; what of it is shared, and its limits."""

from dataclasses import replace
from functools import partial

import pytest
import torch

import members
from taskloom.features import Embedded, InputSpec
from taskloom.sharing.adatt import AdaTT
from taskloom.sharing.mmoe import MMoE

INPUTS = InputSpec(tuple(members.SCHEMA.fields), dim=3, n_dense=1)
ROWS = 6
TASKS = members.TASKS


def make(backbone="mlp", hidden=(5, 4), own=1, shared=0, scheme=AdaTT, **changes):
    torch.manual_seed(0)
    made = partial(members.backbone(backbone, hidden=list(hidden)), INPUTS)
    if scheme is AdaTT:
        changes = {"own_experts": own, "shared_experts": shared}
    made = scheme(made, TASKS, **changes).double()
    for name, parameter in made.named_parameters():
        if name.endswith("native"):
            torch.nn.init.normal_(parameter)
    return made


def embed():
    g = torch.Generator().manual_seed(1)
    fields = torch.randn(ROWS, 1, len(INPUTS.fields), INPUTS.dim, generator=g, dtype=torch.float64).requires_grad_()
    return Embedded(fields, torch.randn(ROWS, 1, generator=g, dtype=torch.float64), torch.zeros(()), float(ROWS))


def fuse(fusion, read, native, everyone):
    """One row: the gate's mixture of all experts, and the native ones by their weights."""
    scores = (fusion.gate.layer.weight @ read + fusion.gate.layer.bias).exp()
    mixed = sum(score / scores.sum() * out for score, out in zip(scores, everyone, strict=True))
    return mixed + sum(v * out for v, out in zip(fusion.native, native, strict=True))


def reference(scheme, embedded, depth):
    """h by rows, levels, units and experts."""
    wide, x = scheme.encoder(embedded.shared())
    n_units = len(scheme.levels[0]) if depth else len(TASKS)
    h = []
    for b in range(ROWS):
        f = [x[b]] * n_units
        for level in range(depth):
            outputs = [[e(f[u][None])[0] for e in scheme.levels[level][u].experts] for u in range(n_units)]
            everyone = [out for unit in outputs for out in unit]
            last = level == depth - 1
            fusions = scheme.private if last else scheme.fusions[level]
            f = [fuse(fusions[u], f[u], outputs[u], everyone) for u in range(len(TASKS) if last else n_units)]
        h.append(torch.stack([row if wide is None else torch.cat([wide[b], row]) for row in f]))
    return torch.stack(h)


@pytest.mark.parametrize(
    ("backbone", "hidden", "own", "shared"),
    [
        ("mlp", (5, 4), 1, 0),
        ("mlp", (5, 4, 3), 2, 0),
        ("mlp", (5, 4, 3), 1, 2),
        ("mlp", (4,), 2, 1),
        ("fm", (5, 4), 2, 1),
        ("fm", (), 2, 1),
    ],
)
def test_equals_its_formula_row_by_row(backbone, hidden, own, shared):
    scheme, embedded = make(backbone, hidden, own, shared), embed()
    h, expected = scheme(embedded).h, reference(scheme, embedded, len(hidden))
    torch.testing.assert_close(h, expected, atol=1e-5, rtol=1e-5)
    direction = torch.randn(h.shape, generator=torch.Generator().manual_seed(3), dtype=h.dtype)
    wanted = [embedded.fields, *scheme.parameters()]
    ours = torch.autograd.grad((h * direction).sum(), wanted)
    theirs = torch.autograd.grad((expected * direction).sum(), wanted)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_native_weights_begin_at_the_mean():
    made = partial(members.backbone("mlp"), INPUTS)
    natives = {
        name: parameter.tolist()
        for name, parameter in AdaTT(made, TASKS, own_experts=2, shared_experts=1).named_parameters()
        if name.endswith("native")
    }
    assert natives.pop("fusions.0.3.native") == [1.0]  # of the shared expert
    assert list(natives.values()) == [[0.5, 0.5]] * 6


def test_one_level_without_native_weights_is_mmoe():
    scheme, mmoe, embedded = make(hidden=(4,)), make(hidden=(4,), scheme=MMoE, experts=3), embed()
    with torch.no_grad():
        for k, (fusion, gate) in enumerate(zip(scheme.private, mmoe.private, strict=True)):
            fusion.native.zero_()
            gate.load_state_dict(fusion.gate.state_dict())
            own = scheme.levels[0][k].experts[0].state_dict()
            mmoe.experts.experts[k].load_state_dict({f"0.{name}": value for name, value in own.items()})
    torch.testing.assert_close(scheme(embedded).h, mmoe(embedded).h)


def test_only_the_last_fusion_is_a_tasks_own():
    scheme, embedded = make(hidden=(16, 12, 8), own=2, shared=1), embed()
    h = scheme(embedded).h
    names, parameters = zip(*scheme.named_parameters(), strict=True)
    moved = [torch.autograd.grad(h[:, k].sum(), parameters, retain_graph=True, allow_unused=True) for k in range(3)]
    for i, name in enumerate(names):
        tasks = [k for k in range(3) if moved[k][i] is not None and moved[k][i].any()]
        owner = scheme.owner(name)
        assert tasks == ([0, 1, 2] if owner is None else [owner]), name
    assert {name.split(".", 2)[2] for name in names if scheme.owner(name) == 1} == {
        "gate.layer.weight",
        "gate.layer.bias",
        "native",
    }


@pytest.mark.parametrize("backbone", ["mlp", "fm"])
@pytest.mark.parametrize("hidden", [(5, 4, 3), (4,)])
def test_representation_cuts_every_path(backbone, hidden):
    scheme, embedded = make(backbone, hidden, own=2, shared=1), embed()
    out = scheme(embedded)
    shared = [parameter for name, parameter in scheme.named_parameters() if scheme.owner(name) is None]
    wanted = [embedded.fields, *shared]
    for k in range(3):
        loss = out.h[:, k].square().sum()
        direct = torch.autograd.grad(loss, wanted, retain_graph=True)
        at = torch.autograd.grad(loss, out.representation, retain_graph=True, materialize_grads=True)
        through = torch.autograd.grad(out.representation, wanted, at, retain_graph=True)
        for a, b in zip(direct, through, strict=True):
            torch.testing.assert_close(a, b)


def test_with_one_level_all_gates_meet_in_one_tensor():
    """Else what two tasks want of x through their gates would never be at odds."""
    scheme, embedded = make(hidden=(4,)), embed()
    out = scheme(embedded)
    read = out.representation[0]
    for k in range(3):
        assert torch.autograd.grad(out.h[:, k].sum(), read, retain_graph=True)[0].any()
    deep = make(hidden=(5, 4))(embedded)
    assert len(out.representation) == 1 + 3
    assert len(deep.representation) == 3 + 3


def test_mixed_precision_keeps_the_outputs_type():
    scheme, embedded = make(own=2, shared=1).float(), embed()
    embedded = replace(embedded, fields=embedded.fields.float(), dense=embedded.dense.float())
    exact = scheme(embedded).h
    with torch.autocast("cpu", torch.bfloat16):
        h = scheme(embedded).h
    assert h.dtype == torch.bfloat16
    torch.testing.assert_close(h.float(), exact, atol=0.1, rtol=0.1)


@pytest.mark.filterwarnings("error")
def test_a_backbone_without_deep_part_is_shared_as_it_is():
    scheme = make("fm", hidden=())
    out = scheme(embed())
    assert out.h.shape == (ROWS, 3, scheme.wide)
    assert list(scheme.parameters()) == []
