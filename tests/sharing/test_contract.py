"""What every sharing scheme owes the rest: shapes, owners, a representation that cuts every path."""

from dataclasses import replace

import pytest
import torch

import members
from taskloom.balancers import Gradients
from taskloom.sharing import Sharing
from taskloom.tasks import Task

BACKBONES = ("mlp", "fm")
TASKS = members.TASKS


@pytest.fixture
def schema():
    return members.SCHEMA


CASES = [(s, v, b) for s in members.names("model") for v in members.scheme(s)[1] for b in BACKBONES]
#: with a history, and with no stages at all
OTHERS = [(s, v, b) for s in members.names("model") for v in members.scheme(s)[1] for b in ("din", "two_tower")]
#: three tasks of a chain, and one beside it
CHAIN = (*TASKS, Task("return", "binary", target="like", parent="buy"))


def make(case, schema, make_module, tasks=TASKS):
    name, views, backbone = case
    sharing, _ = members.scheme(name)
    return make_module(schema, tasks, sharing, members.backbone(backbone), views=views)


@pytest.fixture(params=CASES, ids="-".join)
def module(request, schema, make_module):
    return make(request.param, schema, make_module)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_shapes(case, schema, make_batch, make_module):
    module = make(case, schema, make_module)
    wide = members.backbone(case[2])(module.features.inputs).wide
    batch = make_batch(schema, n_tasks=3)
    shared = module.sharing(module.features(batch))
    assert shared.h.shape == (16, 3, module.sharing.width)
    assert shared.penalty.shape == ()
    assert module.sharing.wide == wide
    assert [raw.shape for raw in module(batch).raw] == [(16, 1)] * 3


@pytest.mark.parametrize("case", [*CASES, *OTHERS], ids="-".join)
def test_representation_cuts_every_path_from_shared_parameters_to_the_losses(case, schema, make_batch, make_module):
    """The gradient of each loss through the representation is the whole gradient of the shared parameters."""
    assert_cut(make(case, schema, make_module), make_batch(schema, n_tasks=3))


@pytest.mark.parametrize("backbone", [*BACKBONES, "din"])
@pytest.mark.parametrize("scheme", ["aitm", "esmm", "hierarchical"])
def test_representation_cuts_every_path_along_a_longer_chain(scheme, backbone, schema, make_batch, make_module):
    assert_cut(make((scheme, "shared", backbone), schema, make_module, CHAIN), make_batch(schema, n_tasks=4))


def assert_cut(module, batch):
    module, exact = module.double(), replace(batch, dense=batch.dense.double(), targets=batch.targets.double())
    output = module(exact)
    losses, _ = module.losses(output.raw, exact)
    shared = {n: p for n, p in module.named_parameters() if module.owner(n) is None}
    if not output.representation:
        assert not shared
        return
    rows = Gradients(losses, output.representation).rows
    sizes = [z.numel() for z in output.representation]
    for k, loss in enumerate(losses):
        direct = torch.autograd.grad(loss, list(shared.values()), retain_graph=True, allow_unused=True)
        pieces = [g.view_as(z) for g, z in zip(rows[k].split(sizes), output.representation, strict=True)]
        through = torch.autograd.grad(
            output.representation, list(shared.values()), pieces, retain_graph=True, allow_unused=True
        )
        for name, a, b in zip(shared, direct, through, strict=True):
            # Of small gradients, too: those of a mask or a gate are far below those of what it weighs.
            torch.testing.assert_close(a, b, msg=name, rtol=1e-4, atol=1e-9)
        assert any(a is not None and a.abs().sum() > 0 for a in direct)


def test_a_task_without_labels_moves_no_parameter_of_its_own(module, schema, make_batch):
    batch = make_batch(schema, n_tasks=3)
    batch.labelled[:, 1] = False
    output = module(batch)
    module.losses(output.raw, batch)[0].sum().backward()
    for name, parameter in module.named_parameters():
        if module.owner(name) == 1:
            assert parameter.grad is None or not parameter.grad.any(), name
        if module.owner(name) == 0 and "bias" in name and "heads" in name:
            assert parameter.grad.any()


def test_owners_are_right(module, schema, make_batch):
    """A parameter that a task owns gets no gradient from any other task's loss; a shared one does from several.

    Where probabilities are composed, a parent's head is its own and moves with its children's losses, too.
    """
    batch = make_batch(schema, n_tasks=3)
    losses, _ = module.losses(module(batch).raw, batch)
    names, parameters = zip(*module.named_parameters(), strict=True)
    moved = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses]
    for i, name in enumerate(names):
        tasks = {k for k in range(3) if moved[k][i] is not None and moved[k][i].any()}
        owner = module.owner(name)
        if name.startswith("sharing.upstream."):  # of a task on a chain and of those behind it: like and buy
            assert owner is None, name
            assert tasks == {0, 2}, name
        elif owner is None:
            assert tasks == {0, 1, 2}, name
        elif name.startswith("heads.") and type(module.sharing).compose is not Sharing.compose:
            assert owner in tasks, name
        else:
            assert tasks <= {owner}, name


@pytest.mark.parametrize("name", members.names("model"))
def test_user_and_item_vectors_stay_apart_where_a_whole_backbone_makes_h(name, schema, make_module):
    """What is mixed, masked or handed over is no vector of one side any more."""
    sharing = make((name, members.scheme(name)[1][0], "two_tower"), schema, make_module).sharing
    whole = name in ("esmm", "hard_sharing", "single_task", "soft_sharing")
    assert sharing.sides == (members.backbone("two_tower").keywords["out"] if whole else 0)


def test_nothing_of_a_batch_is_kept_on_the_scheme(module, schema, make_batch):
    before = dict(vars(module.sharing))
    module(make_batch(schema, n_tasks=3))
    assert dict(vars(module.sharing)) == before


# With fm and on the other views it takes the same way longer.
BY_HEART = [
    pytest.param(*case, marks=() if case[2] == "mlp" and case[1] == members.scheme(case[0])[1][0] else pytest.mark.slow)
    for case in CASES
]


@pytest.mark.parametrize(("name", "views", "backbone"), BY_HEART)
def test_a_tiny_batch_is_learnt_by_heart(name, views, backbone, schema, make_batch, make_module):
    sharing, _ = members.scheme(name)
    module = make_module(schema, TASKS, sharing, members.backbone(backbone), views=views)
    batch = make_batch(schema, n=8, n_tasks=3)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        output = module(batch)
        loss = module.losses(output.raw, batch)[0].sum()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05


@pytest.mark.parametrize("case", [case for case in CASES if case[2] == "fm"], ids="-".join)
def test_it_learns_in_mixed_precision(case, schema, make_batch, make_module):
    module, batch = make(case, schema, make_module), make_batch(schema, n_tasks=3)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss, each = module.objective(batch)
        loss.backward()
        optimizer.step()
        losses.append(each.float().sum())
        assert loss.isfinite()
    assert all(parameter.isfinite().all() for parameter in module.parameters())
    assert losses[-1] < 0.7 * losses[0]
