"""DeepFM against its formula, pair by pair, and which part trains what."""

from itertools import combinations

import pytest
import torch

from taskloom.backbones.deepfm import DeepFM
from taskloom.errors import ConfigError
from taskloom.features import InputSpec, View
from taskloom.schema import Feature

FIELDS = tuple(
    Feature(name, "categorical", side, size=5)
    for name, side in [("user", "user"), ("age", "user"), ("item", "item"), ("hour", "context")]
)


def made(n_fields=4, dim=3, n_dense=2, rows=5, **arguments):
    """A backbone in float64, and a view that wants gradients."""
    torch.manual_seed(0)
    backbone = DeepFM(InputSpec(FIELDS[:n_fields], dim, n_dense), **{"hidden": [6, 4], **arguments}).double()
    fields = torch.randn(rows, n_fields, dim, dtype=torch.float64, requires_grad=True)
    return backbone, View(fields, torch.randn(rows, n_dense, dtype=torch.float64, requires_grad=True))


def reference(backbone, view):
    """Weights, the sum over pairs and the MLP of each row, with loops over rows, pairs and components."""
    rows = []
    for embedded, dense in zip(view.fields, view.dense, strict=True):
        first = [e[0] for e in embedded]
        products = [
            sum((f[d] * g[d] for f, g in combinations(embedded, 2)), start=0 * dense.sum())
            for d in range(1, view.fields.shape[2])
        ]
        x = [value for e in embedded for value in e[1:]] + list(dense)
        for stage in backbone.stages:
            x = [sum(w * v for w, v in zip(row, x, strict=True)) for row in stage[0].weight]
            x = [(value + bias).clamp_min(0) for value, bias in zip(x, stage[0].bias, strict=True)]
        rows.append(torch.stack([*first, *products, *(x if len(backbone.stages) else [])]))
    return torch.stack(rows)


@pytest.mark.parametrize("hidden", [[6, 4], []])
@pytest.mark.parametrize(("n_fields", "n_dense"), [(4, 2), (4, 0), (2, 1), (1, 0), (0, 2)])
def test_it_is_its_formula(hidden, n_fields, n_dense):
    backbone, view = made(n_fields, n_dense=n_dense, hidden=hidden)
    found, expected = backbone(view), reference(backbone, view)
    assert found.shape == (5, backbone.width)
    assert backbone.wide == n_fields + 2
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    projection = torch.randn_like(found)
    wanted = [*backbone.parameters(), view.fields, view.dense]
    ours, theirs = (
        torch.autograd.grad((y * projection).sum(), wanted, allow_unused=True, materialize_grads=True)
        for y in (found, expected)
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_the_wide_part_adds_up_to_a_factorisation_machine():
    backbone, view = made()
    wide = backbone(view)[:, : backbone.wide].sum(1)
    for row, embedded in zip(wide, view.fields, strict=True):
        machine = sum(e[0] for e in embedded) + sum(f[1:] @ g[1:] for f, g in combinations(embedded, 2))
        torch.testing.assert_close(row, machine)


def test_both_parts_train_all_vectors_and_the_wide_one_alone_the_first_order_weights():
    backbone, view = made()
    h = backbone(view)
    for part, first in ((h[:, : backbone.wide], True), (h[:, backbone.wide :], False)):
        (gradient,) = torch.autograd.grad(part.sum(), view.fields, retain_graph=True)
        moved = gradient.abs().sum(0) > 0
        assert moved[:, 1:].all()
        assert moved[:, 0].all() == moved[:, 0].any() == first


def test_product_dropout_leaves_out_channels_of_the_products_and_nothing_else():
    backbone, view = made(product_dropout=0.5, hidden=[])
    h, whole = backbone(view), made(hidden=[])[0](view)
    assert torch.equal(h[:, :4], whole[:, :4])
    kept = h[:, 4:] != 0
    assert 0 < kept.sum() < kept.numel()
    torch.testing.assert_close(h[:, 4:][kept], 2 * whole[:, 4:][kept])
    assert torch.equal(backbone.eval()(view), whole)


def test_an_embedding_of_one_number_is_refused():
    with pytest.raises(ConfigError, match=r"features.dim must be >= 2, got 1"):
        made(dim=1)


def test_options_reach_the_mlp_and_bfloat16_goes_through():
    backbone, view = made(norm="layer", activation="gelu", dropout=0.5)
    assert [type(part).__name__ for part in backbone.stages[0]] == ["Linear", "LayerNorm", "GELU", "Dropout"]
    with torch.autocast("cpu", torch.bfloat16):
        wide, _ = backbone.float().encoder(View(view.fields.float(), view.dense.float()))
        assert backbone(View(view.fields.float(), view.dense.float())).isfinite().all()
    assert wide.dtype == torch.float32  # a sum of many terms, which bfloat16 would blur
