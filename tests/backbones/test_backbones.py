"""MLP and FM against their formulas, shapes, and FM's wide part against the sum that it stands for."""

from functools import partial

import pytest
import torch

from taskloom.backbones.autoint import AutoInt
from taskloom.backbones.backbone import beside
from taskloom.backbones.dcn_v2 import DCNv2
from taskloom.backbones.deepfm import DeepFM
from taskloom.backbones.fm import FM
from taskloom.backbones.mlp import MLP
from taskloom.errors import ConfigError
from taskloom.features import InputSpec, View
from taskloom.schema import Feature

FIELDS = tuple(
    Feature(name, "categorical", side, size=5)
    for name, side in [("user", "user"), ("age", "user"), ("item", "item"), ("hour", "context")]
)
INPUTS = InputSpec(FIELDS, dim=3, n_dense=2)
VIEW = View(torch.randn(7, 4, 3, generator=torch.Generator().manual_seed(0)), torch.ones(7, 2))


CROSSING = [partial(DCNv2, layers=2, low_rank=3), DeepFM, partial(AutoInt, layers=2, heads=2, width=4)]


@pytest.mark.parametrize("hidden", [[8, 5], []])
@pytest.mark.parametrize("make", [MLP, FM, *CROSSING])
def test_widths_are_those_of_the_stages(make, hidden):
    if make is MLP and not hidden:
        pytest.skip("an MLP needs a layer")
    backbone = make(INPUTS, hidden=hidden)
    wide, h = backbone.encoder(VIEW)
    assert h.shape == (7, backbone.encoder.width)
    for stage, width in zip(backbone.stages, backbone.widths, strict=True):
        h = stage(h)
        assert h.shape == (7, width)
    assert (0 if wide is None else wide.shape[1]) == backbone.wide
    assert torch.equal(backbone(VIEW), beside(wide, h))
    assert backbone(VIEW).shape == (7, backbone.width)


@pytest.mark.parametrize("n_dense", [0, 2])
@pytest.mark.parametrize("make", [MLP, FM, *CROSSING])
def test_every_parameter_is_reached(make, n_dense):
    """Where one is not, as a vector for columns that are not there, several ranks wait for its gradient."""
    backbone = make(InputSpec(FIELDS, dim=3, n_dense=n_dense), hidden=[5])
    backbone(View(VIEW.fields, VIEW.dense[:, :n_dense])).sum().backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("make", [MLP, FM, *CROSSING])
def test_norm_and_activation_reach_every_layer(make):
    backbone = make(INPUTS, hidden=[8, 5], dropout=0.1, norm="batch", activation="tanh")
    for stage in backbone.stages:
        assert [type(part).__name__ for part in stage] == ["Linear", "BatchNorm", "Tanh", "Dropout"]


def reference(backbone, fields, dense):
    """An MLP over one row's fields and dense columns; or p, q, p q and c before it, with p q beside it."""
    wide, x = [], [value for field in fields for value in field]
    if isinstance(backbone, FM):
        user, item, context = [0, 1], [2], [3]
        p, q, c = ([sum(fields[f][d] for f in side) for d in (1, 2)] for side in (user, item, context))
        products = [a * b for a, b in zip(p, q, strict=True)]
        wide, x = [field[0] for field in fields] + products, [*p, *q, *products, *c]
    x += list(dense)
    for stage in backbone.stages:
        x = [sum(w * v for w, v in zip(row, x, strict=True)) for row in stage[0].weight]
        x = [(value + bias).clamp_min(0) for value, bias in zip(x, stage[0].bias, strict=True)]
    return torch.stack([*wide, *x])


@pytest.mark.parametrize("make", [MLP, FM])
def test_it_is_its_formula(make):
    torch.manual_seed(0)
    backbone = make(INPUTS, hidden=[8, 5]).double()
    fields = VIEW.fields.double().requires_grad_()
    dense = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    found = backbone(View(fields, dense))
    expected = torch.stack([reference(backbone, *row) for row in zip(fields, dense, strict=True)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    projection = torch.randn_like(found)
    wanted = [fields, dense, *backbone.parameters()]
    ours, theirs = (torch.autograd.grad((y * projection).sum(), wanted) for y in (found, expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_fm_wide_part_is_first_order_weights_and_inner_product():
    h = FM(INPUTS, hidden=[4])(VIEW)
    first, vectors = VIEW.fields[..., 0], VIEW.fields[..., 1:]
    user, item = vectors[:, 0] + vectors[:, 1], vectors[:, 2]
    expected = first.sum(1) + (user * item).sum(1)
    torch.testing.assert_close(h[:, : FM(INPUTS, hidden=[4]).wide].sum(1), expected)


def test_fm_wide_part_passes_by_the_deeper_layers():
    shallow, deep = FM(INPUTS, hidden=[4]), FM(INPUTS, hidden=[4, 6], dropout=0.5)
    assert torch.equal(shallow(VIEW)[:, : shallow.wide], deep(VIEW)[:, : deep.wide])


def test_fm_of_one_side_takes_the_products_of_all_pairs_and_trains_them():
    fields = VIEW.fields[:, [0, 1, 3]].clone().requires_grad_()
    backbone = FM(InputSpec((*FIELDS[:2], FIELDS[3]), dim=3, n_dense=2), hidden=[4], detach=True)
    h = backbone(View(fields, VIEW.dense))
    first, v = fields[..., 0], fields[..., 1:]
    pairs = (v[:, 0] * v[:, 1] + v[:, 0] * v[:, 2] + v[:, 1] * v[:, 2]).sum(1)
    torch.testing.assert_close(h[:, : backbone.wide].sum(1), first.sum(1) + pairs)
    h[:, backbone.wide :].sum().backward()
    assert (fields.grad[..., 1:].abs().sum((0, 2)) > 0).all()


def test_fm_without_any_field_reads_the_dense_columns():
    backbone = FM(InputSpec((), dim=3, n_dense=2), hidden=[4])
    dense = torch.randn(5, 2)
    h = backbone(View(torch.zeros(5, 0, 3), dense))
    assert h.shape == (5, backbone.width)
    assert not torch.equal(h, backbone(View(torch.zeros(5, 0, 3), dense * 2)))


def test_dense_columns_reach_the_mlp():
    for backbone in (MLP(INPUTS, hidden=[4]), FM(INPUTS, hidden=[4])):
        other = View(VIEW.fields, VIEW.dense * 3)
        assert not torch.equal(backbone(VIEW), backbone(other))


def test_what_cannot_be_is_said():
    with pytest.raises(ConfigError, match=r"features.dim must be >= 2, got 1"):
        FM(InputSpec(FIELDS, dim=1), hidden=[4])
    with pytest.raises(ConfigError, match="at least one layer"):
        MLP(INPUTS, hidden=[])


@pytest.mark.parametrize("detach", [True, False])
def test_a_detached_mlp_leaves_users_and_items_to_the_factorisation(detach):
    view = View(VIEW.fields.clone().requires_grad_(), VIEW.dense)
    backbone = FM(INPUTS, hidden=[4], detach=detach)
    backbone(view)[:, backbone.wide :].sum().backward()
    moved = view.fields.grad[..., 1:].abs().sum((0, 2)) > 0
    assert moved.tolist() == [not detach] * 3 + [True]  # the context's field is the MLP's alone


def test_product_dropout_leaves_out_products_and_nothing_else():
    torch.manual_seed(0)
    backbone = FM(INPUTS, hidden=[], product_dropout=0.5)
    h, whole = backbone(VIEW), FM(INPUTS, hidden=[])(VIEW)
    assert torch.equal(h[:, :4], whole[:, :4])
    kept = h[:, 4:] != 0
    assert 0 < kept.sum() < kept.numel()
    torch.testing.assert_close(h[:, 4:][kept], 2 * whole[:, 4:][kept])
