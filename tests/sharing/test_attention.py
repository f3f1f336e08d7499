"""Attention masks over a shared trunk against their formula, and at their limits."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from taskloom.backbones import Backbone
from taskloom.backbones.fm import FM
from taskloom.backbones.mlp import MLP, Flatten
from taskloom.features import Embedded, InputSpec, View
from taskloom.schema import Feature
from taskloom.sharing.attention import Attention
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.tasks import Task

TASKS = [Task(name, "binary") for name in "abc"]
INPUTS = InputSpec(
    (Feature("user", "categorical", "user", size=9), Feature("item", "categorical", "item", size=9)), dim=3, n_dense=2
)
BACKBONES = {
    "three stages": partial(MLP, INPUTS, hidden=[6, 5, 4]),
    "one stage and a wide part": partial(FM, INPUTS, hidden=[5]),
    "a wide part alone": partial(FM, INPUTS, hidden=[]),
    "no stage": lambda: Backbone(Flatten(INPUTS), [], []),
}


def made(backbone, scheme=partial(Attention, hidden=7)):
    torch.manual_seed(0)
    return scheme(BACKBONES[backbone], TASKS).double()


def embed(n=5):
    g = torch.Generator().manual_seed(1)
    fields = torch.randn(n, 1, 2, 3, generator=g, dtype=torch.float64, requires_grad=True)
    dense = torch.randn(n, 2, generator=g, dtype=torch.float64)
    return Embedded(fields, dense, torch.zeros(()), float(n))


def linear(layer, x):
    return torch.stack([(row * x).sum() + bias for row, bias in zip(layer.weight, layer.bias, strict=True)])


def by_hand(sharing, embedded):
    """a_k^j = σ(MLP([u^j ; f(â_k^{j-1})])), â_k^j = a_k^j ∘ p^j, row by row and task by task."""
    rows = []
    for b in range(len(embedded.dense)):
        tasks = []
        for k in range(3):
            wide, x = sharing.trunk.encoder(View(embedded.fields[b : b + 1, 0], embedded.dense[b : b + 1]))
            u, selected = x[0], None
            for j, stage in enumerate(sharing.trunk.stages):
                p, mask = stage(u), sharing.private[k][j]
                read = u
                if selected is not None:
                    read = torch.cat([u, linear(mask.f[0], selected).relu()])
                hidden, out = mask.mlp[0][0], mask.mlp[1]
                a = 1 / (1 + torch.exp(-linear(out, linear(hidden, read).relu())))
                selected = torch.stack([a[w] * p[w] for w in range(len(p))])
                u = p
            deep = u if selected is None else selected
            tasks.append(deep if wide is None else torch.cat([wide[0], deep]))
        rows.append(torch.stack(tasks))
    return torch.stack(rows)


def gradients(h, parameters, embedded):
    g = torch.Generator().manual_seed(2)
    weights = torch.randn(h.shape, generator=g, dtype=h.dtype)
    inputs = [embedded.fields, *parameters]
    return torch.autograd.grad((h * weights).sum(), inputs, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_it_is_its_formula(backbone):
    sharing, embedded = made(backbone), embed()
    h, expected = sharing(embedded).h, by_hand(sharing, embedded)
    torch.testing.assert_close(h, expected)
    parameters = list(sharing.parameters())
    pairs = zip(gradients(h, parameters, embedded), gradients(expected, parameters, embedded), strict=True)
    for a, b in pairs:
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_open_masks_are_hard_sharing(backbone):
    sharing, hard, embedded = made(backbone), made(backbone, HardSharing), embed()
    for masks in sharing.private:
        for mask in masks:
            torch.nn.init.zeros_(mask.mlp[-1].weight)
            torch.nn.init.constant_(mask.mlp[-1].bias, 50.0)
    h, expected = sharing(embedded).h, hard(embedded).h
    torch.testing.assert_close(h, expected)
    of_masked = gradients(h, sharing.trunk.parameters(), embedded)
    for a, b in zip(of_masked, gradients(expected, hard.backbone.parameters(), embedded), strict=True):
        torch.testing.assert_close(a, b)


def test_a_task_with_closed_masks_neither_reads_nor_moves_the_trunk():
    sharing, embedded = made("three stages"), embed()
    for mask in sharing.private[1]:
        torch.nn.init.zeros_(mask.mlp[-1].weight)
        torch.nn.init.constant_(mask.mlp[-1].bias, -50.0)
    h = sharing(embedded).h
    torch.testing.assert_close(h[:, 1], torch.zeros_like(h[:, 1]))
    assert h[:, 0].abs().sum() > 0.1
    (moved,) = torch.autograd.grad(h[:, 1].sum(), embedded.fields)
    assert float(moved.abs().max()) < 1e-12


def test_a_mask_only_takes_away():
    sharing, hard, embedded = made("three stages"), made("three stages", HardSharing), embed()
    h, features = sharing(embedded).h, hard(embedded).h
    assert ((h >= 0) & (h <= features)).all()  # ReLU's features are not negative
    assert (h < features).any()
    assert not torch.allclose(h[:, 0], h[:, 1])


def test_a_mask_of_one_task_leaves_the_others_alone():
    sharing, embedded = made("three stages"), embed()
    before = sharing(embedded).h
    with torch.no_grad():
        sharing.private[1][0].mlp[0][0].weight.add_(1.0)
    after = sharing(embedded).h
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.equal(before[:, 1], after[:, 1])


def test_the_trunk_is_shared_and_the_masks_are_not():
    sharing = made("three stages")
    owners = {name: sharing.owner(name) for name, _ in sharing.named_parameters()}
    assert {name for name, owner in owners.items() if owner is None} == {n for n in owners if n.startswith("trunk.")}
    assert set(owners.values()) == {None, 0, 1, 2}


def test_it_runs_in_half_precision():
    sharing, embedded = made("three stages").float(), embed()
    embedded = replace(embedded, fields=embedded.fields.detach().float())
    exact = sharing(embedded).h
    with torch.autocast("cpu", torch.bfloat16):
        h = sharing(embedded).h
    assert h.dtype == torch.bfloat16
    torch.testing.assert_close(h.float(), exact, atol=0.05, rtol=0.05)
