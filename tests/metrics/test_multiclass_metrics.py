import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from taskloom.metrics.multiclass import multiclass_metrics
from taskloom.metrics.scoring import score

CLASSES = [-1.0, 2.5, 7.0, 8.0]


def of(prediction, target, classes=CLASSES):
    n = len(prediction)
    everything, nobody = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.int64)
    target = torch.as_tensor(target, dtype=torch.float32)
    got = score("t", multiclass_metrics(classes), torch.as_tensor(prediction), target, everything, nobody)
    return {name.removeprefix("t/"): value for name, value in got.items()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("occurring", [[0, 1, 2, 3], [1, 3]])
def test_they_agree_with_scikit_learn(seed, occurring):
    g = np.random.default_rng(seed)
    number = g.choice(occurring, 80)
    target = np.array(CLASSES)[number]
    prediction = g.dirichlet(np.ones(4), 80).round(1)  # with ties
    got = of(prediction, target)
    guess = prediction.argmax(1)
    assert got["accuracy"] == pytest.approx(accuracy_score(number, guess))
    assert got["macro_f1"] == pytest.approx(f1_score(number, guess, average="macro"))
    each = [roc_auc_score(number == j, prediction[:, j]) for j in occurring]
    assert got["macro_auc"] == pytest.approx(np.mean(each))


def test_a_class_that_training_never_saw_is_wrong():
    certain = np.eye(4)[[0, 1, 2, 3]]
    got = of(certain, [-1.0, 2.5, 7.0, 9.0])
    assert got["accuracy"] == 0.75
    # Of five classes that occur (8 as a guess, 9 as a target) three are right.
    assert got["macro_f1"] == pytest.approx(3 / 5)
    assert got["macro_auc"] == 1  # 8 has no row and is not judged


def test_one_class_alone_has_no_auc_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = of(np.eye(4)[[0, 0]], [-1.0, -1.0])
    assert math.isnan(got["macro_auc"])
    assert got["accuracy"] == got["macro_f1"] == 1


def test_what_stands_in_an_unlabelled_row_changes_nothing():
    g = torch.Generator().manual_seed(0)
    prediction, group = torch.rand(30, 4, generator=g), torch.zeros(30, dtype=torch.int64)
    target = torch.tensor(CLASSES)[torch.randint(0, 4, (30,), generator=g)]
    labelled = torch.rand(30, generator=g) < 0.6
    alone = score(
        "t", multiclass_metrics(CLASSES), prediction[labelled], target[labelled], labelled[labelled], group[labelled]
    )
    prediction[~labelled], target[~labelled] = math.nan, math.inf
    assert score("t", multiclass_metrics(CLASSES), prediction, target, labelled, group) == alone


def test_one_metric_is_the_main_one_and_every_direction_is_right():
    specs = multiclass_metrics(CLASSES)
    assert [name for name, spec in specs.items() if spec.main] == ["macro_auc"]
    assert all(spec.higher_is_better for spec in specs.values())
