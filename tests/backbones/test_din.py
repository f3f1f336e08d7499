"""DIN: its formula by loops, what the mask hides, weights with and without softmax, and views of its own a task."""

from functools import partial

import pytest
import torch

from backbones.history_views import INPUTS, L, changed, swapped, view, whole
from backbones.history_views import same as check
from taskloom.backbones.din import DIN, TargetAttention
from taskloom.errors import ConfigError
from taskloom.features import InputSpec
from taskloom.schema import Feature, Schema
from taskloom.sharing.soft_sharing import SoftSharing


def make(**arguments):
    torch.manual_seed(0)
    return DIN(INPUTS, **{"hidden": [6, 3], "attention": [5, 3], **arguments}).double()


def pool(backbone, events, candidate, softmax=False):
    attention = backbone.encoder.pool
    state, scores = torch.zeros_like(candidate), []
    for e in events:
        z = torch.cat([e, candidate, e - candidate, e * candidate])
        for linear, slope in zip(
            (attention.match, attention.score[1]), (attention.score[0], attention.score[2]), strict=True
        ):
            z = linear.weight @ z + linear.bias
            z = torch.where(z > 0, z, slope.weight * z)
        last = attention.score[-1]
        scores.append((last.weight[0] * z).sum() + last.bias[0])
    if softmax and scores:
        powers = [score.exp() for score in scores]
        scores = [power / sum(powers) for power in powers]
    for score, e in zip(scores, events, strict=True):
        state = state + score * e
    return state


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("factorise", [False, True])
def test_it_is_its_formula(factorise, softmax):
    backbone = make(factorise=factorise, softmax=softmax)
    check(backbone, view(), whole(partial(pool, softmax=softmax), factorise, candidate=False))


@pytest.mark.parametrize("softmax", [False, True])
def test_the_order_of_events_says_nothing(softmax):
    backbone, of = make(softmax=softmax), view()
    torch.testing.assert_close(backbone(of), backbone(swapped(of, L - 1, 0)))


def test_what_the_mask_hides_is_not_seen():
    backbone, of = make(activation="tanh"), view()
    before = backbone(of)
    assert torch.equal(before[1], backbone(changed(of, 1, L - 2))[1])
    assert not torch.equal(before[1], backbone(changed(of, 1, L - 1))[1])


def test_weights_depend_on_the_candidate_and_add_up_to_one_with_softmax_alone():
    torch.manual_seed(0)
    events, mask = torch.randn(3, 4, 2), torch.tensor([[False] * 4, [False, False, True, True], [True] * 4])
    plain, soft = TargetAttention(2, [5], softmax=False), TargetAttention(2, [5], softmax=True)
    one, other = torch.randn(2, 3, 2)
    assert torch.equal(soft.weights(events, mask, one)[~mask], torch.zeros(6))
    torch.testing.assert_close(soft.weights(events, mask, one).sum(1), torch.tensor([0.0, 1.0, 1.0]))
    assert not torch.allclose(plain.weights(events, mask, one).sum(1)[1:], torch.ones(2))
    assert not torch.allclose(soft.weights(events, mask, one), soft.weights(events, mask, other))


def test_detached_stages_leave_attention_to_the_products():
    backbone = make(factorise=True, detach=True)
    backbone(view())[:, backbone.wide :].sum().backward()
    weight = backbone.encoder.pool.match.weight
    assert not weight.grad.any()
    backbone(view())[:, : backbone.wide].sum().backward()
    assert weight.grad.any()


def test_what_cannot_be_is_said():
    with pytest.raises(ConfigError, match="reads earlier events, and the data has none"):
        DIN(InputSpec(INPUTS.fields, dim=4), hidden=[4], attention=[4])
    with pytest.raises(ConfigError, match=r"features\.dim must be >= 2"):
        DIN(InputSpec(INPUTS.fields, dim=1, history=("item",)), hidden=[4], attention=[4], factorise=True)


def test_a_view_a_task_and_what_the_mask_hides_in_a_whole_model(make_batch, make_module):
    schema = Schema(
        (Feature("user", "categorical", "user", size=4), Feature("item", "categorical", "item", size=6)),
        targets=("like", "rating"),
        history=("item",),
    )
    backbone = partial(DIN, hidden=[5], attention=[3])
    module = make_module(schema, sharing=partial(SoftSharing, strength=0.1), backbone=backbone, views="per_task")
    batch = make_batch(schema)
    before = torch.cat(module(batch).raw)
    hidden, seen = batch.select(torch.arange(16)), batch.select(torch.arange(16))
    hidden.history = torch.where(batch.history_mask.unsqueeze(2), batch.history, 5)
    assert torch.equal(before, torch.cat(module(hidden).raw))
    seen.history = 5 - batch.history
    assert not torch.equal(before, torch.cat(module(seen).raw))
    module.objective(batch)[0].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())
