"""Binary and regression heads, and the registry."""

import math
from functools import partial

import pytest
import torch
from torch.nn import functional

from taskloom.errors import ConfigError
from taskloom.heads import HEADS, head_class
from taskloom.tasks import TargetStatistics, Task

STATISTICS = TargetStatistics((0.25,), (0.5,), 100)


def binary(**arguments):
    return HEADS["binary"](Task("like", "binary"), STATISTICS, 5, **arguments)


def regression(statistics=TargetStatistics((3.5,), (1.2,), 100), **arguments):
    return HEADS["regression"](Task("rating", "regression"), statistics, 5, **arguments)


def test_binary_begins_at_the_base_rate():
    assert math.isclose(float(binary().predict(binary()(torch.zeros(1, 5)))), 0.25, rel_tol=1e-5)
    assert math.isclose(float(binary(wide=5).predict(binary(wide=5)(torch.zeros(1, 5)))), 0.25, rel_tol=1e-5)


def test_binary_loss_is_cross_entropy():
    raw, y = torch.tensor([[0.3], [-2.0]]), torch.tensor([[1.0], [0.0]])
    p = raw.sigmoid().squeeze(1)
    torch.testing.assert_close(binary().loss(raw, y, None), -torch.stack([p[0].log(), (1 - p[1]).log()]))


def test_regression_is_learnt_standardised_and_predicted_in_its_own_units():
    head = regression()
    raw, y = torch.tensor([[1.0]]), torch.tensor([[3.5 + 1.2 * 3]])
    torch.testing.assert_close(head.predict(raw), torch.tensor([3.5 + 1.2]))
    torch.testing.assert_close(head.loss(raw, y, None), torch.tensor([4.0]))


def test_regression_of_a_constant_target_stays_finite():
    head = regression(TargetStatistics((2.0,), (0.0,), 4))
    assert head.loss(torch.zeros(1, 1), torch.tensor([[2.0]]), None).item() == 0


@pytest.mark.parametrize("make", [binary, regression])
def test_wide_channels_are_added_beside_the_tower(make):
    torch.manual_seed(0)
    head = make(wide=3, hidden=[4])
    h = torch.randn(6, 5)
    scale = getattr(head, "scale", 1.0)
    deep = head.tower(h[:, 3:])
    torch.testing.assert_close(head(h), scale * (deep + h[:, :3].sum(1, keepdim=True)))
    with torch.no_grad():
        head.delta.copy_(torch.tensor([[0.5, 0.0, -1.0]]))
    torch.testing.assert_close(head(h), scale * (deep + h[:, :3] @ torch.tensor([[1.5], [1.0], [0.0]])))


def test_constant_prediction_is_the_mean():
    assert regression().constant_prediction(2).tolist() == [3.5, 3.5]


def test_each_head_has_one_main_metric():
    for head in (binary(), regression()):
        assert sum(spec.main for spec in head.metrics().values()) == 1


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"data.tasks.buy.kind: no head of kind 'binry'; there are .*binary.*plugins"):
        head_class(Task("buy", "binry"))


def test_a_head_of_one_target_refuses_two():
    with pytest.raises(ConfigError, match="a binary task has 1 target column, got a, b"):
        HEADS["binary"](Task("like", "binary", target=("a", "b")), STATISTICS, 5)


def test_bfloat16_representations_give_float32_losses():
    head = binary(wide=2, hidden=[3]).to(torch.bfloat16)
    loss = head.loss(head(torch.randn(4, 5, dtype=torch.bfloat16)), torch.ones(4, 1), None)
    assert loss.dtype == torch.float32


def test_cross_entropy_survives_large_logits():
    raw = torch.tensor([[200.0], [-200.0]])
    loss = partial(binary().loss, raw)(torch.tensor([[0.0], [1.0]]), None)
    torch.testing.assert_close(loss, functional.softplus(torch.tensor([200.0, 200.0])))
