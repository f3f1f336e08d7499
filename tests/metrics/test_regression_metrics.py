import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from taskloom.metrics.regression import regression_metrics
from taskloom.metrics.scoring import score


def of(prediction, target):
    n = len(prediction)
    everything, nobody = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.int64)
    return score("t", regression_metrics(), torch.as_tensor(prediction), torch.as_tensor(target), everything, nobody)


number = st.floats(-100, 100, width=32)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(number, number), min_size=2, max_size=50),
    st.sampled_from([1e-4, 1.0, 1e5]),
    st.sampled_from([0.0, 1e4]),
)
def test_they_agree_with_scikit_learn_in_any_unit(pairs, unit, offset):
    prediction, target = np.array(pairs, dtype=np.float64).T * unit + offset
    got = of(prediction, target)
    assert got["t/rmse"] == pytest.approx(root_mean_squared_error(target, prediction), rel=1e-9)
    assert got["t/mae"] == pytest.approx(mean_absolute_error(target, prediction), rel=1e-9)
    if len(set(target.tolist())) == 1:
        assert math.isnan(got["t/r2"])
    elif np.var(target) > 1e-12 * np.abs(target).max() ** 2:
        assert got["t/r2"] == pytest.approx(r2_score(target, prediction), rel=1e-6, abs=1e-6)


def test_targets_that_do_not_vary_have_no_r2():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(of([3.0, 4.0], [3.0, 3.0])["t/r2"])
        assert math.isnan(of([3.0], [3.0])["t/r2"])
        assert of([3.0], [4.0])["t/rmse"] == 1


def test_a_task_of_absolute_errors_is_judged_by_them():
    specs = regression_metrics(main="mae")
    assert [name for name, spec in specs.items() if spec.main] == ["mae"]
    assert list(specs) == list(regression_metrics())


def test_rmse_is_the_main_one_and_every_direction_is_right():
    specs = regression_metrics()
    assert [name for name, spec in specs.items() if spec.main] == ["rmse"]
    assert {name: spec.higher_is_better for name, spec in specs.items()} == {
        "rmse": False,
        "mae": False,
        "r2": True,
    }
