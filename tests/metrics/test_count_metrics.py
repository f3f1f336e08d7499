import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_poisson_deviance, root_mean_squared_error

from taskloom.metrics.count import count_metrics
from taskloom.metrics.scoring import score


def of(prediction, target):
    n = len(prediction)
    everything, nobody = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.int64)
    got = score(
        "t", count_metrics(), *(torch.tensor(x, dtype=torch.float64) for x in (prediction, target)), everything, nobody
    )
    return {name.removeprefix("t/"): value for name, value in got.items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-3, 1e4), st.integers(0, 10_000)), min_size=1, max_size=40))
def test_they_agree_with_scikit_learn(rows):
    prediction, target = (list(map(float, column)) for column in zip(*rows, strict=True))
    got = of(prediction, target)
    assert got["deviance"] == pytest.approx(mean_poisson_deviance(target, prediction), rel=1e-9, abs=1e-9)
    assert got["rmse"] == pytest.approx(root_mean_squared_error(target, prediction))
    assert got["mae"] == pytest.approx(mean_absolute_error(target, prediction))


def test_the_truth_has_no_deviance():
    assert of([0.0, 1.0, 7.0], [0.0, 1.0, 7.0])["deviance"] == pytest.approx(0, abs=1e-6)


def test_a_rate_below_zero_costs_much_but_ends_nothing():
    got = of([-3.0, 0.0], [1.0, 0.0])["deviance"]
    assert got == pytest.approx(mean_poisson_deviance([1, 0], np.full(2, np.finfo(np.float32).eps)))
    assert 10 < got < 20


def test_one_metric_is_the_main_one_and_every_direction_is_right():
    specs = count_metrics()
    assert [name for name, spec in specs.items() if spec.main] == ["deviance"]
    assert all(spec.higher_is_better is False for spec in specs.values())
