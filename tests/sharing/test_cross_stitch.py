"""Cross-stitch against its formula, and at its limits."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

import members
from taskloom.backbones import Backbone
from taskloom.backbones.fm import FM
from taskloom.backbones.mlp import MLP, Flatten
from taskloom.features import Embedded, InputSpec, View
from taskloom.schema import Feature
from taskloom.sharing.cross_stitch import CrossStitch
from taskloom.sharing.single_task import SingleTask
from taskloom.tasks import Task

TASKS = [Task(name, "binary") for name in "abc"]
INPUTS = InputSpec(
    (Feature("user", "categorical", "user", size=9), Feature("item", "categorical", "item", size=9)), dim=3, n_dense=2
)
BACKBONES = {
    "two stages": partial(MLP, INPUTS, hidden=[6, 4]),
    "one stage and a wide part": partial(FM, INPUTS, hidden=[5]),
    "a wide part alone": partial(FM, INPUTS, hidden=[]),
    "no stage": lambda: Backbone(Flatten(INPUTS), [], []),
}


def made(backbone, tasks=TASKS, initial=0.9, per_channel=False):
    torch.manual_seed(0)
    sharing = CrossStitch(backbone, tasks, initial=initial, per_channel=per_channel).double()
    for name, parameter in sharing.named_parameters():
        if "alpha" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return sharing


def embed(n_views, n=5):
    g = torch.Generator().manual_seed(1)
    fields = torch.randn(n, n_views, 2, 3, generator=g, dtype=torch.float64, requires_grad=True)
    dense = torch.randn(n, 2, generator=g, dtype=torch.float64)
    return Embedded(fields, dense, torch.zeros(()), float(n))


def by_hand(sharing, embedded, per_channel):
    """x̃_k = Σ_l α_kl x_l after each stage, row by row and channel by channel."""
    n_tasks = len(sharing.tasks)
    rows = []
    for b in range(len(embedded.dense)):
        wides, xs = [], []
        for k in range(n_tasks):
            fields = embedded.fields[b : b + 1, k if embedded.n_views > 1 else 0]
            wide, x = sharing.trunks[k].encoder(View(fields, embedded.dense[b : b + 1]))
            wides.append([] if wide is None else list(wide[0]))
            xs.append(x[0])
        n_stages = len(sharing.trunks[0].stages)
        for j in range(max(1, n_stages)):
            if n_stages:
                xs = [sharing.trunks[k].stages[j](xs[k]) for k in range(n_tasks)]
            last = j == max(1, n_stages) - 1
            mixed = []
            for k in range(n_tasks):
                alpha = sharing.private[k]["alpha"] if last else sharing.alpha[j][k]
                mixed.append(
                    [
                        sum((alpha[i, w] if per_channel else alpha[i]) * xs[i][w] for i in range(n_tasks))
                        for w in range(len(xs[k]))
                    ]
                )
            xs = [torch.stack(m) if m else x for m, x in zip(mixed, xs, strict=True)]
        rows.append(torch.stack([torch.stack([*wide, *x]) for wide, x in zip(wides, xs, strict=True)]))
    return torch.stack(rows)


def gradients(h, sharing, embedded):
    g = torch.Generator().manual_seed(2)
    weights = torch.randn(h.shape, generator=g, dtype=h.dtype)
    inputs = [embedded.fields, *sharing.parameters()]
    return torch.autograd.grad((h * weights).sum(), inputs, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("n_views", [1, 3])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_it_is_its_formula(backbone, n_views, per_channel):
    sharing, embedded = made(BACKBONES[backbone], per_channel=per_channel), embed(n_views)
    h, expected = sharing(embedded).h, by_hand(sharing, embedded, per_channel)
    torch.testing.assert_close(h, expected)
    for a, b in zip(gradients(h, sharing, embedded), gradients(expected, sharing, embedded), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("n_views", [1, 3])
def test_with_the_identity_the_tasks_are_single_tasks(backbone, n_views):
    torch.manual_seed(0)
    stitched = CrossStitch(BACKBONES[backbone], TASKS, initial=1.0, per_channel=False).double()
    torch.manual_seed(0)
    single, embedded = SingleTask(BACKBONES[backbone], TASKS).double(), embed(n_views)
    torch.testing.assert_close(stitched(embedded).h, single(embedded).h, rtol=0, atol=0)
    of_stitched = gradients(stitched(embedded).h, stitched.trunks, embedded)
    for a, b in zip(of_stitched, gradients(single(embedded).h, single, embedded), strict=True):
        torch.testing.assert_close(a, b)


def test_it_begins_with_initial_and_shares_the_rest():
    sharing = CrossStitch(BACKBONES["two stages"], TASKS, initial=0.8, per_channel=True)
    assert sharing.alpha[0].shape == (3, 3, 6)
    assert [own["alpha"].shape for own in sharing.private] == [(3, 4)] * 3
    for w in range(6):
        torch.testing.assert_close(sharing.alpha[0][:, :, w], 0.7 * torch.eye(3) + 0.1)
    torch.testing.assert_close(sharing.private[1]["alpha"][:, 2], torch.tensor([0.1, 0.8, 0.1]))


def test_equal_parts_of_all_give_every_head_the_same():
    torch.manual_seed(0)
    sharing = CrossStitch(BACKBONES["two stages"], TASKS, initial=1 / 3, per_channel=False).double()
    h = sharing(embed(3)).h
    torch.testing.assert_close(h[:, :1].expand_as(h), h)
    assert h.std() > 0.01


def test_a_task_alone_has_its_trunk():
    sharing, embedded = CrossStitch(BACKBONES["two stages"], TASKS[:1], 0.9, per_channel=False).double(), embed(1)
    torch.testing.assert_close(sharing(embedded).h[:, 0], sharing.trunks[0](embedded.view(0)))


def test_the_last_row_alone_is_a_tasks_own():
    sharing = made(BACKBONES["two stages"])
    owned = {name: sharing.owner(name) for name, _ in sharing.named_parameters() if sharing.owner(name) is not None}
    assert owned == {f"private.{k}.alpha": k for k in range(3)}


def test_another_tasks_loss_moves_a_tasks_view():
    sharing, embedded = made(BACKBONES["two stages"]), embed(3)
    (moved,) = torch.autograd.grad(sharing(embedded).h[:, 0].sum(), embedded.fields)
    assert moved[:, 1].any()
    assert sharing.mixes_views


def test_it_runs_in_half_precision():
    sharing, embedded = made(BACKBONES["one stage and a wide part"], per_channel=True).float(), embed(3)
    embedded = replace(embedded, fields=embedded.fields.detach().float())
    exact = sharing(embedded).h
    with torch.autocast("cpu", torch.bfloat16):
        h = sharing(embedded).h
    assert h.dtype == torch.bfloat16
    torch.testing.assert_close(h.float(), exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", ["cross_stitch", "sluice"])
def test_the_mixtures_have_a_parameter_group_of_their_own(name, make_module):
    groups = yaml.safe_load((Path(members.CONF) / "train.yaml").read_text(encoding="utf-8"))["parameter_groups"]
    module = make_module(members.SCHEMA, members.TASKS, members.scheme(name)[0])
    found = {n: next((g for g, v in groups.items() if re.match(v["pattern"], n)), None) for n in module.state_dict()}
    mixing = {n for n in found if n.split(".")[-1] in ("alpha", "beta") or ".alpha." in n}
    assert mixing
    assert {n for n, group in found.items() if group == "mixing"} == mixing
