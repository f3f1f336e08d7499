"""SASRec: its formula by loops, causal and blind to padding, order that tells."""

import pytest
import torch

from backbones.history_views import INPUTS, L, changed, swapped, view, whole
from backbones.history_views import same as check
from taskloom.backbones.sasrec import Block, SASRec
from taskloom.errors import ConfigError


def make(**arguments):
    torch.manual_seed(0)
    return SASRec(INPUTS, **{"hidden": [6, 3], "blocks": 2, "heads": 2, "positions": 4, **arguments}).double()


def linear(layer, x):
    return layer.weight @ x + layer.bias


def normed(norm, x):
    centred = x - x.mean()
    return centred / (centred.square().mean() + norm.eps).sqrt() * norm.weight + norm.bias


def pool(backbone, events, candidate):
    transformer = backbone.encoder.pool
    if not events:
        return torch.zeros_like(candidate)
    ages = range(len(events) - 1, -1, -1)
    z = [e * 8**0.5 + transformer.positions[min(age, 3)] for e, age in zip(events, ages, strict=True)]
    for block in transformer.blocks:
        read = [normed(block.norm, x) for x in z]
        after = []
        for i, x in enumerate(z):
            heads = []
            for part in (slice(0, 4), slice(4, 8)):
                q = linear(block.query, read[i])[part]
                powers = [((q * linear(block.key, read[j])[part]).sum() / 2).exp() for j in range(i + 1)]
                values = [linear(block.value, read[j])[part] for j in range(i + 1)]
                heads.append(sum(a * v for a, v in zip(powers, values, strict=True)) / sum(powers))
            x = x + linear(block.output, torch.cat(heads))
            inner = linear(block.layer[1], normed(block.layer[0], x)).clamp_min(0)
            after.append(x + linear(block.layer[-1], inner))
        z = after
    return normed(transformer.norm, z[-1])


@pytest.mark.parametrize("factorise", [False, True])
def test_it_is_its_formula(factorise):
    check(make(factorise=factorise), view(), whole(pool, factorise, candidate=True))


def test_what_the_mask_hides_is_not_seen():
    backbone, of = make(activation="tanh"), view()
    before = backbone(of)
    assert torch.equal(before[0], backbone(changed(of, 0, L - 1))[0])
    assert torch.equal(before[1], backbone(changed(of, 1, L - 2))[1])
    assert not torch.equal(before[1], backbone(changed(of, 1, L - 1))[1])
    assert not torch.equal(before[4], backbone(changed(of, 4, 0))[4])


def test_an_event_is_blind_to_later_ones():
    torch.manual_seed(0)
    block, x = Block(8, 2, 0.0).double(), torch.randn(1, L, 8, dtype=torch.float64)
    allowed = torch.ones(1, L, L, dtype=torch.bool).tril()
    other = x.clone()
    other[0, 2] += torch.arange(8)
    moved = (block(x, allowed, latest=False) - block(other, allowed, latest=False)).abs().sum(2)[0] > 1e-9
    assert moved.tolist() == [False, False, True, True, True]
    torch.testing.assert_close(block(x, allowed, latest=True)[:, 0], block(x, allowed, latest=False)[:, -1])


def test_order_tells_and_places_beyond_the_last_vector_do_not():
    backbone, of = make(blocks=1, activation="tanh"), view()
    assert not torch.allclose(backbone(of)[5], backbone(swapped(of, 1, 3))[5])
    torch.testing.assert_close(backbone(of)[5], backbone(swapped(of, 0, 1))[5])  # both share the fourth vector


def test_empty_histories_are_zeros_without_nan_in_training():
    backbone, of = make(history_dropout=0.5), view()
    of.mask[:] = False
    state = backbone.encoder.pool(of.history.flatten(2), of.mask, of.fields[:, :2].flatten(1))
    assert torch.equal(state, torch.zeros_like(state))
    backbone(of).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in backbone.parameters())
    assert not of.history.grad.any()


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match=r"backbone.heads: 3 heads do not divide the 8 channels"):
        make(heads=3)
