"""AutoInt against its formula, head by head and token by token."""

import math

import pytest
import torch

from taskloom.backbones.autoint import AutoInt
from taskloom.errors import ConfigError
from taskloom.features import InputSpec, View
from taskloom.schema import Feature

FIELDS = tuple(Feature(name, "categorical", "context", size=5) for name in ("a", "b", "c"))


def made(n_fields=3, dim=3, n_dense=2, rows=3, **arguments):
    """A backbone in float64, and a view that wants gradients."""
    torch.manual_seed(0)
    arguments = {"layers": 2, "heads": 2, "width": 4, "hidden": [5]} | arguments
    backbone = AutoInt(InputSpec(FIELDS[:n_fields], dim, n_dense), **arguments).double()
    fields = torch.randn(rows, n_fields, dim, dtype=torch.float64, requires_grad=True)
    return backbone, View(fields, torch.randn(rows, n_dense, dtype=torch.float64, requires_grad=True))


def times(matrix, vector):
    return [sum(w * v for w, v in zip(row, vector, strict=True)) for row in matrix]


def interact(layer, tokens, heads, width):
    """The tokens of one row behind a layer."""
    w_query, w_key, w_value, w_residual = layer.projections.weight.split(width)
    size = width // heads
    behind = []
    for token in tokens:
        mixed = []
        for h in range(heads):
            own = slice(h * size, (h + 1) * size)
            query = times(w_query[own], token)
            keys = [times(w_key[own], other) for other in tokens]
            weights = [torch.exp(sum(q * k for q, k in zip(query, key, strict=True)) / math.sqrt(size)) for key in keys]
            values = [times(w_value[own], other) for other in tokens]
            mixed += [
                sum(w * value[d] for w, value in zip(weights, values, strict=True)) / sum(weights) for d in range(size)
            ]
        behind.append([(m + r).clamp_min(0) for m, r in zip(mixed, times(w_residual, token), strict=True)])
    return behind


def reference(backbone, view, heads, width):
    rows = []
    for embedded, dense in zip(view.fields, view.dense, strict=True):
        vectors = backbone.encoder.columns if len(dense) else ()
        columns = [[number * v for v in vector] for number, vector in zip(dense, vectors, strict=True)]
        tokens = [list(e) for e in embedded] + columns
        for layer in backbone.encoder.layers:
            tokens = interact(layer, tokens, heads, width)
        x = [value for token in tokens for value in token]
        for stage in backbone.stages:
            x = [(v + b).clamp_min(0) for v, b in zip(times(stage[0].weight, x), stage[0].bias, strict=True)]
        rows.append(torch.stack(x))
    return torch.stack(rows)


@pytest.mark.parametrize(("heads", "hidden"), [(2, [5]), (1, []), (4, [5, 2])])
@pytest.mark.parametrize(("n_fields", "n_dense"), [(3, 2), (3, 0), (1, 0), (0, 2)])
def test_it_is_its_formula(heads, hidden, n_fields, n_dense):
    backbone, view = made(n_fields, n_dense=n_dense, heads=heads, hidden=hidden)
    found, expected = backbone(view), reference(backbone, view, heads, 4)
    assert found.shape == (3, backbone.width)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    projection = torch.randn_like(found)
    wanted = [*backbone.parameters(), view.fields, view.dense]
    ours, theirs = (
        torch.autograd.grad((y * projection).sum(), wanted, allow_unused=True, materialize_grads=True)
        for y in (found, expected)
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_fields_that_change_places_only_change_the_tokens_places():
    backbone, view = made(hidden=[], n_dense=0)
    order = [2, 0, 1]
    tokens = backbone(view).unflatten(1, (3, 4))
    moved = backbone(View(view.fields[:, order], view.dense)).unflatten(1, (3, 4))
    torch.testing.assert_close(moved, tokens[:, order])


def test_attention_joins_fields_and_no_attention_leaves_each_to_itself():
    backbone, view = made(hidden=[], layers=1)
    (gradient,) = torch.autograd.grad(backbone(view)[:, :4].sum(), view.fields, retain_graph=True)
    assert (gradient.abs().sum((0, 2)) > 0).all()
    with torch.no_grad():
        backbone.encoder.layers[0].projections.weight[8:12] = 0  # W_value
    (gradient,) = torch.autograd.grad(backbone(view)[:, :4].sum(), view.fields)
    assert (gradient.abs().sum((0, 2)) > 0).tolist() == [True, False, False]


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match=r"backbone.width=5 cannot be shared by backbone.heads=2; .*backbone.width=4"):
        made(width=5)
    with pytest.raises(ConfigError, match=r"such as backbone.width=8"):
        made(width=4, heads=8)


def test_dropout_is_behind_each_layer():
    backbone, view = made(hidden=[], dropout=0.5)
    assert backbone(view).count_nonzero() < backbone.eval()(view).count_nonzero()


def test_options_reach_the_mlp_and_bfloat16_goes_through():
    backbone, view = made(norm="layer", activation="gelu", dropout=0.5)
    assert [type(part).__name__ for part in backbone.stages[0]] == ["Linear", "LayerNorm", "GELU", "Dropout"]
    with torch.autocast("cpu", torch.bfloat16):
        h = backbone.float()(View(view.fields.float(), view.dense.float()))
    assert h.isfinite().all()


def test_a_rank_without_rows_has_gradients_of_zero():
    backbone, view = made(rows=0)
    backbone(view).sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in backbone.parameters())
