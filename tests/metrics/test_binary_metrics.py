import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from taskloom.metrics.binary import binary_metrics
from taskloom.metrics.scoring import score


def of(prediction, target, group=None, labelled=None):
    prediction, target = torch.as_tensor(prediction), torch.as_tensor(target)
    n = len(prediction)
    group = torch.zeros(n, dtype=torch.int64) if group is None else torch.as_tensor(group)
    labelled = torch.ones(n, dtype=torch.bool) if labelled is None else torch.as_tensor(labelled)
    scores = score("like", binary_metrics(), prediction, target, labelled, group)
    return {name.removeprefix("like/"): value for name, value in scores.items()}


# Few distinct values, so that ties are the rule.
rows = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.25001, 0.5, 0.9, 1.0]), st.booleans(), st.integers(-2, 3)),
    min_size=1,
    max_size=60,
)


def loop_gauc(prediction, target, group):
    total = covered = 0.0
    for g in set(group):
        positive = [p for p, y, h in zip(prediction, target, group, strict=True) if h == g and y]
        negative = [p for p, y, h in zip(prediction, target, group, strict=True) if h == g and not y]
        if positive and negative:
            wins = sum((p > q) + 0.5 * (p == q) for p in positive for q in negative)
            n = len(positive) + len(negative)
            total += n * wins / (len(positive) * len(negative))
            covered += n
    return (total / covered if covered else np.nan), covered / len(target)


def loop_calibration(prediction, target, n_bins=15):
    edges = torch.linspace(0, 1, n_bins + 1, dtype=torch.float64).tolist()
    error = 0.0
    for j in range(n_bins + 1):
        upper = edges[j + 1] if j < n_bins else np.inf
        inside = [(p, y) for p, y in zip(prediction, target, strict=True) if edges[j] <= p < upper]
        if inside:
            confidence, rate = np.mean(inside, axis=0)
            error += len(inside) / len(target) * abs(rate - confidence)
    return error


@settings(max_examples=100, deadline=None)
@given(rows)
def test_they_agree_with_scikit_learn_and_with_loops(data):
    prediction, target, group = (list(column) for column in zip(*data, strict=True))
    got = of(torch.tensor(prediction, dtype=torch.float64), torch.tensor(target, dtype=torch.float32), group)
    p32 = np.array(prediction, dtype=np.float32)
    assert got["log_loss"] == pytest.approx(log_loss(target, p32, labels=[0, 1]), rel=1e-4)
    assert got["calibration_error"] == pytest.approx(loop_calibration(prediction, target), abs=1e-9)
    gauc, coverage = loop_gauc(prediction, target, group)
    if len(set(group)) > 1:
        assert got["gauc"] == pytest.approx(gauc, abs=1e-12, nan_ok=True)
        assert got["gauc_coverage"] == pytest.approx(coverage)
    else:
        assert not {"gauc", "gauc_coverage"} & set(got)
    if len(set(target)) == 2:
        assert got["auc"] == pytest.approx(roc_auc_score(target, prediction), abs=1e-6)
    else:
        assert np.isnan(got["auc"])
    if any(target):
        assert got["average_precision"] == pytest.approx(average_precision_score(target, prediction), abs=1e-6)
    else:
        assert np.isnan(got["average_precision"])


def test_many_rows_of_continuous_scores():
    g = np.random.default_rng(0)
    target = g.random(200_000) < 0.3
    prediction = 1 / (1 + np.exp(-(g.normal(size=len(target)) + target)))
    got = of(prediction, target.astype(np.float32), np.arange(len(target)) == 0)
    assert got["auc"] == pytest.approx(roc_auc_score(target, prediction), abs=2e-6)
    assert got["average_precision"] == pytest.approx(average_precision_score(target, prediction), abs=2e-6)
    assert got["log_loss"] == pytest.approx(log_loss(target, prediction), rel=1e-9)
    assert got["gauc"] == pytest.approx(roc_auc_score(target, prediction), abs=1e-5)  # as good as one group


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_gives_nan_and_no_warning(label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = of([0.2, 0.7, 0.7], [label] * 3, [1, 1, 2])
    assert np.isnan(got["auc"])
    assert np.isnan(got["gauc"])
    assert got["gauc_coverage"] == 0
    assert np.isnan(got["average_precision"]) == (label == 0)
    assert got["log_loss"] == pytest.approx(log_loss([label] * 3, [0.2, 0.7, 0.7], labels=[0, 1]), rel=1e-6)


def test_a_certain_and_wrong_prediction_costs_much_but_not_infinity():
    assert of([1.0, 0.0], [0.0, 1.0])["log_loss"] == pytest.approx(15.94, abs=0.01)


def test_ranking_metrics_take_scores_of_any_scale():
    target, group = [0.0, 1.0, 0.0, 1.0, 1.0], [1, 1, 2, 2, 2]
    low = of([0.1, 0.2, 0.3, 0.3, 0.05], target, group)
    # A sigmoid would make all of these equal.
    high = of([1000.1, 1000.2, 1000.3, 1000.3, -1e9], target, group)
    for name, spec in binary_metrics().items():
        if spec.ranks:
            assert high[name] == low[name], name


def test_one_metric_is_the_main_one_and_every_direction_is_right():
    specs = binary_metrics()
    assert [name for name, spec in specs.items() if spec.main] == ["auc"]
    assert {name: spec.higher_is_better for name, spec in specs.items()} == {
        "auc": True,
        "log_loss": False,
        "average_precision": True,
        "calibration_error": False,
        "gauc": True,
        "gauc_coverage": None,
    }
