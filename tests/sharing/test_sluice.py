"""Sluice networks against their formula, and at their limits."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from taskloom.backbones import Backbone
from taskloom.backbones.fm import FM
from taskloom.backbones.mlp import MLP, Flatten
from taskloom.errors import ConfigError
from taskloom.features import Embedded, InputSpec, View
from taskloom.schema import Feature
from taskloom.sharing.cross_stitch import CrossStitch
from taskloom.sharing.single_task import SingleTask
from taskloom.sharing.sluice import Sluice
from taskloom.tasks import Task

TASKS = [Task(name, "binary") for name in "abc"]
INPUTS = InputSpec(
    (Feature("user", "categorical", "user", size=9), Feature("item", "categorical", "item", size=9)), dim=3, n_dense=2
)
BACKBONES = {
    "of one width": partial(MLP, INPUTS, hidden=[4, 4]),
    "of other widths": partial(MLP, INPUTS, hidden=[6, 8, 4]),
    "one stage and a wide part": partial(FM, INPUTS, hidden=[4]),
    "a wide part alone": partial(FM, INPUTS, hidden=[]),
    "no stage": lambda: Backbone(Flatten(INPUTS), [], []),
}


def made(backbone, subspaces=2, initial=0.9, orthogonality=0.1):
    torch.manual_seed(0)
    return Sluice(BACKBONES[backbone], TASKS, subspaces, initial, orthogonality).double()


def jittered(sharing):
    for name, parameter in sharing.named_parameters():
        if "alpha" in name or "beta" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return sharing


def embed(n_views, n=4):
    g = torch.Generator().manual_seed(1)
    fields = torch.randn(n, n_views, 2, 3, generator=g, dtype=torch.float64, requires_grad=True)
    dense = torch.randn(n, 2, generator=g, dtype=torch.float64)
    return Embedded(fields, dense, torch.zeros(()), float(n))


def by_hand(sharing, embedded, n_sub):
    """Each subspace a mixture of all subspaces of all tasks, and h_k = Σ_j β_kj P_kj x̃_k^j; row by row."""
    rows = []
    for b in range(len(embedded.dense)):
        wides, xs, layers = [], [], []
        for k, trunk in enumerate(sharing.trunks):
            fields = embedded.fields[b : b + 1, k if embedded.n_views > 1 else 0]
            wide, x = trunk.encoder(View(fields, embedded.dense[b : b + 1]))
            wides.append(x.new_zeros(0) if wide is None else wide[0])
            xs.append(x[0])
        n_stages = len(sharing.trunks[0].stages)
        n_units = max(1, n_stages)
        for j in range(n_units):
            if n_stages:
                xs = [trunk.stages[j](x) for trunk, x in zip(sharing.trunks, xs, strict=True)]
            size = len(xs[0]) // n_sub
            mixed = []
            for k in range(3):
                parts = []
                for g in range(n_sub):
                    part = torch.zeros(size, dtype=torch.float64)
                    for other in range(3):
                        for i in range(n_sub):
                            column = other * n_sub + i
                            last = j == n_units - 1
                            alpha = sharing.private[k].alpha[g] if last else sharing.alpha[j][k * n_sub + g]
                            part = part + alpha[column] * xs[other][i * size : (i + 1) * size]
                    parts.append(part)
                mixed.append(torch.cat(parts))
            xs = mixed
            layers.append(xs)
        hs = []
        for k in range(3):
            h = torch.zeros_like(layers[-1][k])
            for j, layer in enumerate(layers):
                weight = getattr(sharing.private[k].maps[j], "weight", None)
                assert (weight is None) == (len(layer[k]) == len(h))
                h = h + sharing.private[k].beta[j] * (layer[k] if weight is None else weight @ layer[k])
            hs.append(torch.cat([wides[k], h]))
        rows.append(torch.stack(hs))
    return torch.stack(rows)


def overlap_by_hand(sharing, n_sub):
    """Squared inner products of the weights of any two channels of a layer that are in different subspaces."""
    total = torch.zeros((), dtype=torch.float64)
    for trunk in sharing.trunks:
        for stage in trunk.stages:
            weight = stage[0].weight
            size = len(weight) // n_sub
            for a in range(len(weight)):
                for b in range(a):
                    if a // size != b // size:
                        total = total + (weight[a] * weight[b]).sum() ** 2
    return total


def gradients(value, sharing, embedded):
    g = torch.Generator().manual_seed(2)
    weights = torch.randn(value.shape, generator=g, dtype=value.dtype)
    inputs = [embedded.fields, *sharing.parameters()]
    if not value.requires_grad:
        return [torch.zeros_like(x) for x in inputs]
    return torch.autograd.grad((value * weights).sum(), inputs, allow_unused=True, materialize_grads=True)


CASES = [(b, s) for b in BACKBONES for s in (1, 2, 4) if (b, s) not in [("of other widths", 4)]]


@pytest.mark.parametrize(("backbone", "subspaces"), CASES)
@pytest.mark.parametrize("n_views", [1, 3])
def test_it_is_its_formula(backbone, subspaces, n_views):
    sharing, embedded = jittered(made(backbone, subspaces)), embed(n_views)
    shared, expected = sharing(embedded), by_hand(sharing, embedded, subspaces)
    torch.testing.assert_close(shared.h, expected)
    penalty = 0.1 * overlap_by_hand(sharing, subspaces)
    torch.testing.assert_close(shared.penalty, penalty, check_dtype=False)
    for one, other in [(shared.h, expected), (shared.penalty, penalty)]:
        pairs = zip(gradients(one, sharing, embedded), gradients(other, sharing, embedded), strict=True)
        for a, b in pairs:
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_with_the_identity_the_tasks_are_single_tasks(backbone):
    sharing, embedded = made(backbone, initial=1.0), embed(3)
    torch.manual_seed(0)
    single = SingleTask(BACKBONES[backbone], TASKS).double()
    torch.testing.assert_close(sharing(embedded).h, single(embedded).h)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_one_subspace_and_the_last_layer_alone_are_cross_stitch(backbone):
    sharing, embedded = made(backbone, subspaces=1, initial=0.7), embed(3)
    for own in sharing.private:
        own.beta.data = torch.eye(len(own.beta), dtype=torch.float64)[-1]
    torch.manual_seed(0)
    stitched = CrossStitch(BACKBONES[backbone], TASKS, initial=0.7, per_channel=False).double()
    torch.testing.assert_close(sharing(embedded).h, stitched(embedded).h)
    assert not sharing.overlap().any()


def test_it_begins_near_the_last_layer():
    for own in made("of other widths").private:
        torch.testing.assert_close(own.beta.detach(), torch.tensor([0.05, 0.05, 0.9], dtype=torch.float64))


def test_orthogonal_subspaces_cost_nothing_and_the_penalty_leads_there():
    sharing = made("of one width")
    optimizer = torch.optim.Adam(sharing.trunks.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        sharing.overlap().backward()
        optimizer.step()
    assert float(sharing.overlap().detach()) < 1e-6
    for trunk in sharing.trunks:
        one, other = trunk.stages[0][0].weight.detach().chunk(2)
        assert min(one.norm(), other.norm()) > 0.3  # orthogonal, not gone
        torch.testing.assert_close(one @ other.T, torch.zeros(2, 2, dtype=torch.float64), atol=1e-3, rtol=0)


def test_without_orthogonality_there_is_no_penalty():
    assert float(made("of one width", orthogonality=0.0)(embed(3)).penalty) == 0


def test_a_width_that_the_subspaces_do_not_divide_is_refused():
    with pytest.raises(ConfigError, match=r"subspaces=4 does not divide a layer of width 6; .* backbone\.hidden"):
        made("of other widths", subspaces=4)


def test_every_layer_is_asked_for_its_width():
    with pytest.raises(ConfigError, match="does not divide a layer of width 6"):
        Sluice(partial(MLP, INPUTS, hidden=[8, 6]), TASKS, 4, 0.9, 0.1)


def test_what_is_a_tasks_own():
    sharing = made("of other widths")
    owned = {name for name, _ in sharing.named_parameters() if sharing.owner(name) == 1}
    own = ("alpha", "beta", "maps.0.weight", "maps.1.weight")  # the last layer needs no map
    assert owned == {f"private.1.{name}" for name in own}
    assert sharing.owner("alpha.0") is None
    assert sharing.mixes_views


def test_half_precision_leaves_the_penalty_exact():
    sharing, embedded = made("of other widths").float(), embed(3)
    embedded = replace(embedded, fields=embedded.fields.detach().float())
    exact = sharing(embedded)
    with torch.autocast("cpu", torch.bfloat16):
        shared = sharing(embedded)
    assert shared.h.dtype == torch.bfloat16
    torch.testing.assert_close(shared.h.float(), exact.h, atol=0.05, rtol=0.05)
    assert torch.equal(shared.penalty, exact.penalty)
