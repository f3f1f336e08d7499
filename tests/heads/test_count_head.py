"""The count head."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_poisson_deviance

from taskloom.errors import ConfigError
from taskloom.heads import HEADS
from taskloom.tasks import TargetStatistics, Task


def make(statistics=TargetStatistics((3.5,), (4.0,), 100, least=(0.0,)), **arguments):
    return HEADS["count"](Task("visits", "count"), statistics, 5, **arguments)


@pytest.mark.parametrize("wide", [0, 5])
def test_it_begins_at_the_mean(wide):
    head = make(wide=wide)
    torch.testing.assert_close(head.predict(head(torch.zeros(2, 5))), torch.full((2,), 3.5))
    assert head.constant_prediction(2).tolist() == [3.5, 3.5]


def test_the_loss_is_the_unit_deviance():
    head = make()
    raw, y = torch.tensor([[0.3], [-2.0], [1.0]]), torch.tensor([[0.0], [1.0], [9.0]])
    rates = 3.5 * np.exp(raw[:, 0].numpy())
    expected = [mean_poisson_deviance([a], [b]) for a, b in zip(y[:, 0], rates, strict=True)]
    torch.testing.assert_close(head.loss(raw, y, None), torch.tensor(expected, dtype=torch.float32))
    torch.testing.assert_close(head.predict(raw), torch.tensor(rates))


def test_the_loss_pulls_towards_the_count():
    raw = torch.zeros(2, 1, requires_grad=True)
    make().loss(raw, torch.tensor([[0.0], [7.0]]), None).sum().backward()
    torch.testing.assert_close(raw.grad, torch.tensor([[2 * 3.5], [2 * (3.5 - 7)]]))


def test_a_count_that_is_always_0_stays_finite():
    head = make(TargetStatistics((0.0,), (0.0,), 4, least=(0.0,)))
    assert head.loss(head(torch.zeros(1, 5)), torch.zeros(1, 1), None).item() == pytest.approx(0, abs=1e-5)


def test_a_negative_count_is_refused():
    with pytest.raises(ConfigError, match=r"data.tasks.visits.target: a count is >= 0, and .* down to -2; take kind"):
        make(TargetStatistics((3.5,), (4.0,), 100, least=(-2.0,)))
