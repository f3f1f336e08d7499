import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from taskloom.metrics.multilabel import multilabel_metrics
from taskloom.metrics.scoring import score


def of(prediction, target):
    prediction, target = torch.as_tensor(prediction), torch.as_tensor(target)
    n = len(prediction)
    everything, nobody = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.int64)
    got = score("t", multilabel_metrics(), prediction, target, everything, nobody)
    return {name.removeprefix("t/"): value for name, value in got.items()}


@pytest.mark.parametrize("seed", range(5))
def test_they_agree_with_scikit_learn(seed):
    g = np.random.default_rng(seed)
    prediction = g.random((60, 3)).round(1)
    target = (g.random((60, 3)) < [0.2, 0.5, 0.7]).astype(np.float64)
    got = of(prediction, target)
    assert got["macro_auc"] == pytest.approx(roc_auc_score(target, prediction, average="macro"))
    micro = average_precision_score(target, prediction, average="micro")
    assert got["micro_average_precision"] == pytest.approx(micro, abs=1e-6)
    cells = log_loss(target.ravel(), prediction.ravel().astype(np.float32), labels=[0, 1])
    assert got["log_loss"] == pytest.approx(cells, rel=1e-4)


def test_a_label_without_both_classes_is_left_out_of_the_macro_auc():
    prediction = [[0.9, 0.1, 0.3], [0.2, 0.4, 0.6], [0.8, 0.5, 0.7]]
    got = of(prediction, [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    assert got["macro_auc"] == 1  # the first label alone; torchmetrics would say less


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_of_one_class_give_nan_and_no_warning(label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = of([[0.2, 0.7], [0.5, 0.1]], [[label, 1.0], [label, 1.0]])
    assert math.isnan(got["macro_auc"])
    assert math.isfinite(got["log_loss"])


def test_one_metric_is_the_main_one_and_every_direction_is_right():
    specs = multilabel_metrics()
    assert [name for name, spec in specs.items() if spec.main] == ["macro_auc"]
    assert {name: spec.higher_is_better for name, spec in specs.items()} == {
        "macro_auc": True,
        "micro_average_precision": True,
        "log_loss": False,
    }
