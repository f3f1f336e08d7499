"""DCN V2 against its formula, component by component, and how its products grow."""

from itertools import pairwise

import pytest
import torch

from taskloom.backbones.dcn_v2 import DCNv2
from taskloom.features import InputSpec, View
from taskloom.schema import Feature

FIELDS = tuple(Feature(name, "categorical", "context", size=5) for name in ("a", "b", "c"))


def made(n_fields=3, dim=2, n_dense=1, rows=4, **arguments):
    """A backbone in float64 with biases other than zero, and a view that wants gradients."""
    torch.manual_seed(0)
    arguments = {"layers": 2, "low_rank": 2, "hidden": [5, 4]} | arguments
    backbone = DCNv2(InputSpec(FIELDS[:n_fields], dim, n_dense), **arguments).double()
    fields = torch.randn(rows, n_fields, dim, dtype=torch.float64, requires_grad=True)
    return backbone, View(fields, torch.randn(rows, n_dense, dtype=torch.float64, requires_grad=True))


def matrix(layer, low_rank, width):
    """W and b of a cross layer, W entry by entry."""
    if low_rank is None:
        return layer.weight, layer.bias
    v, u = layer[0].weight, layer[1].weight  # (r, X) and (X, r)
    product = [[sum(u[i, k] * v[k, j] for k in range(low_rank)) for j in range(width)] for i in range(width)]
    return torch.stack([torch.stack(row) for row in product]), layer[1].bias


def reference(backbone, view, low_rank):
    """The crossed x of each row, then the MLP, with loops over rows, layers and components."""
    rows = []
    for b in range(len(view.fields)):
        x0 = [*view.fields[b].flatten(), *view.dense[b]]
        x = x0
        for layer in backbone.encoder.layers:
            weight, bias = matrix(layer, low_rank, len(x0))
            x = [x0[i] * (sum(weight[i, j] * x[j] for j in range(len(x0))) + bias[i]) + x[i] for i in range(len(x0))]
        for stage in backbone.stages:
            x = [sum(w * v for w, v in zip(row, x, strict=True)) for row in stage[0].weight]
            x = [(value + bias).clamp_min(0) for value, bias in zip(x, stage[0].bias, strict=True)]
        rows.append(torch.stack(list(x)))
    return torch.stack(rows)


@pytest.mark.parametrize("low_rank", [2, None])
@pytest.mark.parametrize("hidden", [[5, 4], []])
@pytest.mark.parametrize(("n_fields", "n_dense"), [(3, 1), (3, 0), (1, 0), (0, 2)])
def test_it_is_its_formula(low_rank, hidden, n_fields, n_dense):
    backbone, view = made(n_fields, n_dense=n_dense, low_rank=low_rank, hidden=hidden)
    found, expected = backbone(view), reference(backbone, view, low_rank)
    assert found.shape == (4, backbone.width)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    projection = torch.randn_like(found)
    wanted = [*backbone.parameters(), view.fields, *([view.dense] if n_dense else [])]
    ours, theirs = (
        torch.autograd.grad((y * projection).sum(), wanted, allow_unused=True, materialize_grads=True)
        for y in (found, expected)
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_the_degree_of_its_products_is_one_more_than_it_has_layers():
    """On the line s x_0 the output is a polynomial in s; differences of its degree and one more tell the degree."""
    for layers in (1, 2, 3):
        backbone, view = made(rows=1, layers=layers, hidden=[])
        points = [backbone(View(view.fields * s, view.dense * s)).detach() for s in range(layers + 3)]
        for _ in range(layers + 1):
            points = [b - a for a, b in pairwise(points)]
        assert points[0].abs().max() > 1e-6
        torch.testing.assert_close(points[0], points[1], atol=1e-9, rtol=1e-9)


def test_matrices_of_zeros_leave_the_fields_as_they_are():
    backbone, view = made(hidden=[])
    for p in backbone.parameters():
        torch.nn.init.zeros_(p)
    assert torch.equal(backbone(view), torch.cat([view.fields.flatten(1), view.dense], dim=1))


def test_a_low_rank_saves_parameters_and_a_full_one_can_be_the_same():
    low, view = made(low_rank=2, hidden=[])
    full, _ = made(low_rank=None, hidden=[])
    x = low.encoder.width
    count = {name: sum(p.numel() for p in b.parameters()) for name, b in (("low", low), ("full", full))}
    assert count == {"low": 2 * (2 * x * 2 + x), "full": 2 * (x * x + x)}
    with torch.no_grad():
        for ours, theirs in zip(full.encoder.layers, low.encoder.layers, strict=True):
            ours.weight.copy_(theirs[1].weight @ theirs[0].weight)
            ours.bias.copy_(theirs[1].bias)
    torch.testing.assert_close(full(view), low(view))


def test_options_reach_the_mlp_and_bfloat16_goes_through():
    backbone, view = made(norm="layer", activation="gelu", dropout=0.5)
    assert [type(part).__name__ for part in backbone.stages[0]] == ["Linear", "LayerNorm", "GELU", "Dropout"]
    with torch.autocast("cpu", torch.bfloat16):
        h = backbone.float()(View(view.fields.float(), view.dense.float()))
    assert h.dtype == torch.bfloat16
    assert h.isfinite().all()
