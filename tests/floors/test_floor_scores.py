import math

import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from taskloom.errors import ConfigError
from taskloom.floors.bias import Bias
from taskloom.floors.cache import TableFits
from taskloom.floors.compute import FloorData, FloorTask, TableData, default_floors, floor_scores
from taskloom.floors.floor import FLOORS, Ratings
from taskloom.floors.inputs import Inputs
from taskloom.floors.linear import Linear
from taskloom.floors.table_floor import Part, Problem
from taskloom.metrics.binary import binary_metrics
from taskloom.metrics.multiclass import multiclass_metrics
from taskloom.metrics.regression import regression_metrics
from taskloom.schema import Feature, Schema
from taskloom.tasks import Task

RANKS = {"like/auc", "like/average_precision", "like/gauc", "like/gauc_coverage"}


def ratings(n, seed):
    g = torch.Generator().manual_seed(seed)
    user, item = torch.randint(1, 20, (n,), generator=g), torch.randint(1, 15, (n,), generator=g)
    value = (3 + 0.1 * (user - 10) + 0.15 * (item - 7) + torch.randn(n, generator=g)).clamp(1, 5)
    return Ratings(user, item, value)


TRAIN, VAL, TEST = ratings(800, 0), ratings(100, 1), ratings(200, 2)
DATA = FloorData(TRAIN, VAL, TEST.user, TEST.item)


def tasks(target=TEST.value):
    like, labelled = (target >= 4).float(), torch.ones(len(target), dtype=torch.bool)
    return [
        FloorTask("like", binary_metrics(), like, labelled, TEST.user, mean=float((TRAIN.value >= 4).float().mean())),
        FloorTask(
            "rating",
            regression_metrics(),
            target,
            labelled,
            TEST.user,
            mean=float(TRAIN.value.mean()),
            fitted=True,
        ),
    ]


def test_constant_has_every_metric_of_every_task():
    (scores,) = floor_scores(["constant"], tasks()).values()
    like, rating = (task.target for task in tasks())
    base = float((TRAIN.value >= 4).float().mean())
    assert scores["like/auc"] == 0.5
    assert scores["like/log_loss"] == pytest.approx(log_loss(like, torch.full_like(like, base)), rel=1e-5)
    assert scores["like/average_precision"] == pytest.approx(like.mean().item(), rel=1e-5)
    assert scores["rating/rmse"] == pytest.approx((rating - TRAIN.value.mean()).square().mean().sqrt().item())
    assert scores.keys() == {f"like/{m}" for m in binary_metrics()} | {f"rating/{m}" for m in regression_metrics()}


def test_a_floor_of_ratings_only_ranks_another_task():
    scores = floor_scores(["bias"], tasks(), DATA)["bias"]
    assert scores.keys() == RANKS | {f"rating/{m}" for m in regression_metrics()}
    predicted = Bias().fit(TRAIN, VAL).predict(TEST.user, TEST.item)
    assert scores["rating/rmse"] == pytest.approx((predicted - TEST.value).square().mean().sqrt().item())
    assert scores["like/auc"] == pytest.approx(roc_auc_score(TEST.value >= 4, predicted), abs=1e-6)


def test_unlabelled_rows_are_not_scored():
    target = TEST.value.clone()
    target[::2] = math.nan
    hidden = [FloorTask(t.name, t.specs, t.target, ~target.isnan(), t.group, t.mean, t.fitted) for t in tasks(target)]
    scores = floor_scores(["constant", "bias"], hidden, DATA)
    half = FloorData(TRAIN, VAL, TEST.user[1::2], TEST.item[1::2])
    rows = [
        FloorTask(t.name, t.specs, t.target[1::2], t.labelled[1::2], t.group[1::2], t.mean, t.fitted) for t in tasks()
    ]
    assert scores == floor_scores(["constant", "bias"], rows, half)


def test_test_rows_never_reach_a_fit(tmp_path):
    """Altered test rows find the kept fit unchanged: it is keyed by all that it has seen."""
    floor_scores(["bias"], tasks(), DATA, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    altered = FloorData(TRAIN, VAL, TEST.user.flip(0), torch.zeros_like(TEST.item))
    floor_scores(["bias"], tasks(6 - TEST.value), altered, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_task_of_several_columns_has_a_mean_for_each():
    from torchmetrics.regression import MeanAbsoluteError

    from taskloom.metrics.spec import MetricSpec

    target = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    task = FloorTask(
        "pair",
        {"mae": MetricSpec(MeanAbsoluteError(), False)},
        target,
        torch.ones(2).bool(),
        torch.zeros(2),
        (2.0, 20.0),
    )
    data = FloorData(TRAIN, VAL, TEST.user[:2], TEST.item[:2])
    assert floor_scores(["constant", "bias"], [task], data) == {"constant": {"pair/mae": 5.5}, "bias": {}}


def test_without_ratings_only_the_constant_is_left():
    assert floor_scores([], tasks()) == {}
    with pytest.raises(ConfigError, match=r"bias is fitted to ratings.*take floors=\[constant,linear,boosting\]"):
        floor_scores(["constant", "bias"], tasks())


def test_the_defaults_go_by_the_kind_of_data():
    assert default_floors(rated=True) == ["constant", "bias", "factorisation"]
    assert default_floors(rated=False) == ["constant", "linear", "boosting"]
    assert {*default_floors(True), *default_floors(False), "lightgbm", "xgboost"} <= FLOORS.keys()


SCHEMA = Schema((Feature("user", "categorical", "user", 20), Feature("item", "categorical", "item", 15)), ("y",))


def columns(rows):
    ids = torch.stack([rows.user, rows.item], dim=1)
    return Inputs(ids, ids[:, :0], torch.zeros(len(rows), 0))


def fitted_to(kinds):
    """Table fits of tasks by their kinds, all of them to the ratings."""

    def problem(name):
        kind, value = kinds.get(name, (None, None))
        if kind is None:
            return None
        parts = [Part(columns(rows), value(rows.value)[:, None]) for rows in (TRAIN, VAL)]
        return Problem(Task(name, kind), SCHEMA, *parts, classes=(1.0, 2.0, 3.0) if kind == "multiclass" else ())

    return TableFits(problem, None, lambda line: None)


def test_a_table_floor_has_every_metric_of_its_tasks():
    fits = fitted_to({"like": ("binary", lambda value: (value >= 4).float()), "rating": ("regression", lambda v: v)})
    scores = floor_scores(["constant", "linear"], tasks(), table=TableData(fits, columns(TEST)))
    assert scores["linear"].keys() == scores["constant"].keys()
    assert 0.6 < scores["linear"]["like/auc"] < 0.9
    assert scores["linear"]["like/log_loss"] < scores["constant"]["like/log_loss"]
    assert scores["linear"]["rating/rmse"] < scores["constant"]["rating/rmse"]
    predicted = Linear().fit(fits.problem("like"), lambda line: None)(columns(TEST)).squeeze(1)
    assert scores["linear"]["like/auc"] == pytest.approx(roc_auc_score(TEST.value >= 4, predicted), abs=1e-6)


def test_a_table_floor_says_nothing_of_a_task_that_it_cannot_fit():
    fits = fitted_to({"rating": ("regression", lambda value: value)})
    scores = floor_scores(["linear"], tasks(), table=TableData(fits, columns(TEST)))
    assert {key.split("/")[0] for key in scores["linear"]} == {"rating"}


def test_classes_have_probabilities_from_tables_and_nothing_from_ratings():
    def third(value):
        return value.round().clamp(2, 4) - 1

    shares = [float((third(TRAIN.value) == c).float().mean()) for c in (1, 2, 3)]
    labelled = torch.ones(len(TEST), dtype=torch.bool)
    task = FloorTask("third", multiclass_metrics((1.0, 2.0, 3.0)), third(TEST.value), labelled, TEST.user, shares)
    table = TableData(fitted_to({"third": ("multiclass", third)}), columns(TEST))
    scores = floor_scores(["constant", "bias", "linear"], [task], DATA, table=table)
    assert scores["bias"] == {}
    assert scores["constant"]["third/macro_auc"] == 0.5
    most = 1 + shares.index(max(shares))
    assert scores["constant"]["third/accuracy"] == pytest.approx(float((task.target == most).float().mean()))
    assert scores["linear"]["third/macro_auc"] > 0.6
    assert scores["linear"]["third/accuracy"] > scores["constant"]["third/accuracy"]
