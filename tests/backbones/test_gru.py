"""GRU: its formula by loops, padding that moves nothing, order that tells."""

import pytest
import torch

from backbones.history_views import INPUTS, L, changed, swapped, view, whole
from backbones.history_views import same as check
from taskloom.backbones.gru import GRU
from taskloom.features import View


def make(**arguments):
    torch.manual_seed(0)
    return GRU(INPUTS, **{"hidden": [6, 3], "layers": 2, **arguments}).double()


def pool(backbone, events, candidate):
    states = list(events)
    for layer in backbone.encoder.pool.layers:
        from_event, from_state = layer.weight_ih_l0.split(8), layer.weight_hh_l0.split(8)
        s, after = torch.zeros_like(candidate), []
        for e in states:
            (r_e, z_e, n_e), (r_s, z_s, n_s) = ([w @ v for w in ws] for ws, v in ((from_event, e), (from_state, s)))
            r, z = (r_e + r_s).sigmoid(), (z_e + z_s).sigmoid()
            s = z * s + (1 - z) * (n_e + r * n_s).tanh()
            after.append(s)
        states = after
    return states[-1] if states else torch.zeros_like(candidate)


@pytest.mark.parametrize("factorise", [False, True])
def test_it_is_its_formula(factorise):
    check(make(factorise=factorise), view(), whole(pool, factorise, candidate=True))


def test_padding_moves_nothing():
    backbone, of = make(activation="tanh"), view()
    longer = view(length=L + 3)
    longer = View(
        of.fields,
        of.dense,
        torch.cat([longer.history[:, :3], of.history], dim=1),
        torch.cat([torch.zeros(6, 3, dtype=torch.bool), of.mask], dim=1),
    )
    torch.testing.assert_close(backbone(of), backbone(longer))
    assert torch.equal(backbone(of)[1], backbone(changed(of, 1, L - 2))[1])
    assert not torch.equal(backbone(of)[1], backbone(changed(of, 1, L - 1))[1])


def test_an_empty_history_is_a_state_of_zeros():
    backbone, of = make(activation="tanh"), view()
    events = of.history.flatten(2)
    state = backbone.encoder.pool(events, of.mask, events[:, 0])
    assert torch.equal(state[0], torch.zeros(8, dtype=torch.float64))
    assert state[1:].ne(0).all()


def test_order_tells():
    backbone, of = make(activation="tanh"), view()
    assert not torch.allclose(backbone(of)[5], backbone(swapped(of, 1, 3))[5])
