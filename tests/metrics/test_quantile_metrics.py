import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_pinball_loss

from taskloom.metrics.quantile import quantile_metrics
from taskloom.metrics.scoring import score

SHARES = [0.1, 0.5, 0.9]


def of(prediction, target, shares=SHARES, labelled=None):
    n = len(prediction)
    labelled = torch.ones(n, dtype=torch.bool) if labelled is None else labelled
    prediction, target = (torch.as_tensor(x, dtype=torch.float64) for x in (prediction, target))
    got = score("t", quantile_metrics(shares), prediction, target, labelled, torch.zeros(n, dtype=torch.int64))
    return {name.removeprefix("t/"): value for name, value in got.items()}


@pytest.mark.parametrize("seed", range(5))
def test_they_agree_with_scikit_learn(seed):
    g = np.random.default_rng(seed)
    prediction, target = np.sort(g.normal(size=(50, 3)), axis=1), g.normal(size=50)
    got = of(prediction, target)
    each = [mean_pinball_loss(target, prediction[:, j], alpha=share) for j, share in enumerate(SHARES)]
    assert got["pinball"] == pytest.approx(np.mean(each))
    assert got["mae"] == pytest.approx(mean_absolute_error(target, prediction[:, 1]))
    inside = (prediction[:, 0] <= target) & (target <= prediction[:, 2])
    assert got["coverage"] == pytest.approx(inside.mean())
    assert got["width"] == pytest.approx((prediction[:, 2] - prediction[:, 0]).mean())


def test_the_true_quantiles_cover_what_they_say_and_lose_least():
    g = torch.Generator().manual_seed(0)
    target = torch.randn(20_000, generator=g, dtype=torch.float64)
    truth = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(SHARES)).double()
    right = of(truth.expand(20_000, 3), target)
    assert right["coverage"] == pytest.approx(0.8, abs=0.01)
    for wrong in (truth * 1.3, truth * 0.7, truth + 0.3):
        assert of(wrong.expand(20_000, 3), target)["pinball"] > right["pinball"]


def test_what_stands_in_an_unlabelled_row_changes_nothing():
    g = torch.Generator().manual_seed(1)
    prediction, target = torch.randn(30, 3, generator=g).sort(1).values, torch.randn(30, generator=g)
    labelled = torch.rand(30, generator=g) < 0.5
    alone = of(prediction[labelled], target[labelled])
    prediction[~labelled], target[~labelled] = math.nan, math.inf
    assert of(prediction, target, labelled=labelled) == alone


@pytest.mark.parametrize("shape", [(4,), (4, 2)])
def test_a_prediction_has_a_column_a_quantile(shape):
    with pytest.raises(ValueError, match=r"prediction must be \(N, C\) and target \(N,\)"):
        of(torch.rand(shape), torch.rand(4))


def test_one_quantile_has_no_interval_and_no_median_but_its_own():
    prediction = torch.zeros(4, 1)
    assert of(prediction, [0.0, 1.0, 1.0, 2.0], [0.9]) == {"pinball": pytest.approx(0.9)}
    assert of(prediction, [0.0, 1.0, 1.0, 2.0], [0.5]) == {"pinball": 0.5, "mae": 1.0}


def test_one_metric_is_the_main_one_and_every_direction_is_right():
    specs = quantile_metrics(SHARES)
    assert [name for name, spec in specs.items() if spec.main] == ["pinball"]
    assert {name: spec.higher_is_better for name, spec in specs.items()} == {
        "pinball": False,
        "mae": False,
        "coverage": None,
        "width": None,
    }
