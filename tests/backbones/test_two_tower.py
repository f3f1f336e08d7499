"""Two towers: the formula by loops, sides that do not see each other, refusals."""

import pytest
import torch

from backbones.history_views import INPUTS, B, event, events, view
from backbones.history_views import same as check
from taskloom.backbones.fm import FM
from taskloom.backbones.two_tower import TwoTower
from taskloom.errors import ConfigError
from taskloom.features import InputSpec, View
from taskloom.schema import Feature


def make(inputs=INPUTS, **arguments):
    torch.manual_seed(0)
    return TwoTower(inputs, **{"hidden": [6, 5], "out": 3, **arguments}).double()


def tower(layers, x):
    for layer in layers[:-1]:
        x = (layer[0].weight @ x + layer[0].bias).clamp_min(0)
    return layers[-1].weight @ x + layers[-1].bias


def reference(backbone, of):
    rows = []
    for b in range(B):
        earlier = events(of, b)
        past = sum(earlier) / len(earlier) if earlier else torch.zeros_like(event(of, b))
        u = tower(backbone.encoder.towers[0], torch.cat([of.fields[b, 0], of.fields[b, 2], of.dense[b, :1], past]))
        v = tower(backbone.encoder.towers[1], torch.cat([of.fields[b, 1], of.fields[b, 3], of.dense[b, 1:]]))
        rows.append(torch.cat([u * v, u, v]))
    return torch.stack(rows)


@pytest.mark.parametrize("hidden", [[], [6], [6, 5]])
def test_it_is_its_formula(hidden):
    check(make(hidden=hidden), view(), reference)


def test_the_sides_stand_last_and_their_product_first():
    backbone = make()
    h = backbone(view())
    assert backbone.sides == 3
    u, v = h[:, -6:].split(3, dim=1)
    torch.testing.assert_close(h[:, : backbone.wide], u * v)
    assert FM(INPUTS, hidden=[4]).sides == 0


def test_no_side_sees_the_other():
    of = view()
    u, v = make()(of)[:, -6:].split(3, dim=1)
    for side, blind in ((u, ([1, 3], 1)), (v, ([0, 2], 0))):
        fields, dense, history = torch.autograd.grad(
            side.sum(), [of.fields, of.dense, of.history], retain_graph=True, allow_unused=True
        )
        assert not fields[:, blind[0]].any()
        assert not dense[:, blind[1]].any()
        assert dense[:, 1 - blind[1]].any()
        assert (history is not None and bool(history.any())) == (side is u)


def test_without_a_history_the_user_has_none():
    of, inputs = view(), InputSpec(INPUTS.fields, 4, 2, dense_sides=("user", "item"))
    assert make(inputs)(View(of.fields, of.dense)).shape == (B, 9)


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_missing_side_is_said(side):
    fields = tuple(Feature(f.name, "categorical", "context" if f.side == side else f.side, 9) for f in INPUTS.fields)
    with pytest.raises(ConfigError, match=f"the data has none with side: {side}"):
        make(InputSpec(fields, dim=4))


def test_features_tell_whom_a_dense_column_describes(make_module, schema):
    assert make_module(schema).features.inputs.dense_of("user") == [0]
