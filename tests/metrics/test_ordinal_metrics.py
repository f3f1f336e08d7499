import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, mean_absolute_error, root_mean_squared_error

from taskloom.metrics.ordinal import ordinal_metrics
from taskloom.metrics.scoring import score

LEVELS = [1.0, 2.0, 3.0, 4.0, 5.0]


def of(prediction, target, levels=LEVELS):
    n = len(prediction)
    everything, nobody = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.int64)
    got = score("t", ordinal_metrics(levels), torch.tensor(prediction), torch.tensor(target), everything, nobody)
    return {name.removeprefix("t/"): value for name, value in got.items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 6), st.sampled_from(LEVELS)), min_size=2, max_size=50))
def test_they_agree_with_scikit_learn(rows):
    prediction, target = (list(column) for column in zip(*rows, strict=True))
    got = of(prediction, target)
    assert got["rmse"] == pytest.approx(root_mean_squared_error(target, prediction))
    assert got["mae"] == pytest.approx(mean_absolute_error(target, prediction))
    # Halfway between two levels the lower one is as near.
    nearest = np.clip(np.ceil(np.array(prediction) - 0.5), 1, 5)
    if len(set(target)) > 1:
        expected = cohen_kappa_score(target, nearest, labels=LEVELS, weights="quadratic")
        assert got["kappa"] == pytest.approx(expected, abs=1e-9)
    else:
        assert math.isnan(got["kappa"])


def test_levels_far_apart_count_as_neighbours():
    assert of([0.2, 90.0, 9.0], [0.0, 100.0, 10.0], [0.0, 10.0, 100.0])["kappa"] == 1


def test_a_constant_prediction_agrees_by_chance_alone():
    assert of([3.4] * 4, [1.0, 3.0, 5.0, 5.0])["kappa"] == 0


def test_a_single_level_has_no_agreement_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = of([3.0, 3.0], [3.0, 3.0])
    assert math.isnan(got["kappa"])
    assert got["rmse"] == 0


def test_one_metric_is_the_main_one_and_every_direction_is_right():
    specs = ordinal_metrics(LEVELS)
    assert [name for name, spec in specs.items() if spec.main] == ["rmse"]
    assert {name: spec.higher_is_better for name, spec in specs.items()} == {"rmse": False, "mae": False, "kappa": True}
