import math
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from taskloom.metrics.scoring import score
from taskloom.metrics.zero_inflated import zero_inflated_metrics


def of(prediction, target):
    n = len(prediction)
    everything, nobody = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.int64)
    prediction, target = (torch.as_tensor(np.asarray(x, dtype=np.float64)) for x in (prediction, target))
    got = score("t", zero_inflated_metrics(), prediction, target, everything, nobody)
    return {name.removeprefix("t/"): value for name, value in got.items()}


def lorenz_gini(prediction, target):
    """Twice the area between the diagonal and the target's cumulated share, rows from the lowest score up; no ties."""
    share = np.cumsum(target[np.argsort(prediction)]) / target.sum()
    return 1 - 2 * (share.sum() - share[-1] / 2) / len(target)


def amounts(seed, n=80):
    g = np.random.default_rng(seed)
    return np.where(g.random(n) < 0.6, 0.0, g.lognormal(1, 1.5, n)), g


@pytest.mark.parametrize("seed", range(5))
def test_gini_is_the_area_between_lorenz_curves(seed):
    target, g = amounts(seed)
    prediction = target + g.normal(0, 3, len(target))
    expected = lorenz_gini(prediction, target) / lorenz_gini(target, target)
    assert of(prediction, target)["gini"] == pytest.approx(expected)


def test_equal_predictions_share_their_places():
    target, g = amounts(7)
    prediction = g.integers(0, 4, len(target)).astype(float)
    ranks, best = rankdata(prediction), rankdata(target)
    middle = ranks.mean()
    assert of(prediction, target)["gini"] == pytest.approx(
        ((ranks - middle) * target).sum() / ((best - middle) * target).sum()
    )
    assert of(np.ones(80), target)["gini"] == 0


def test_gini_is_1_in_the_right_order_and_minus_1_in_the_reverse():
    target, _ = amounts(3)
    assert of(target**3, target)["gini"] == pytest.approx(1)
    assert of(-target, target)["gini"] == pytest.approx(-1)


@pytest.mark.parametrize("seed", range(5))
def test_the_others_agree_with_scikit_learn(seed):
    target, g = amounts(seed)
    prediction = (target + g.normal(0, 3, len(target))).round()
    got = of(prediction, target)
    assert got["auc_nonzero"] == pytest.approx(roc_auc_score(target > 0, prediction))
    assert got["rmse"] == pytest.approx(root_mean_squared_error(target, prediction))
    assert got["mae"] == pytest.approx(mean_absolute_error(target, prediction))


@pytest.mark.parametrize(("target", "undefined"), [([0, 0, 0], {"gini", "auc_nonzero"}), ([2, 1, 3], {"auc_nonzero"})])
def test_what_cannot_be_judged_is_no_number(target, undefined):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = of([1.0, 2.0, 3.0], target)
    assert {name for name, value in got.items() if math.isnan(value)} == undefined


def test_one_metric_is_the_main_one_and_every_direction_is_right():
    specs = zero_inflated_metrics()
    assert [name for name, spec in specs.items() if spec.main] == ["gini"]
    assert [spec.higher_is_better for spec in specs.values()] == [True, True, False, False]
