"""Table floors: what they learn for each kind of task, by what they choose, and what they never see."""

import math
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from taskloom.errors import ConfigError, DataError
from taskloom.floors import floor as floor_module
from taskloom.floors.boosting import Boosting
from taskloom.floors.floor import select_floors
from taskloom.floors.inputs import Inputs
from taskloom.floors.lightgbm import LightGBM
from taskloom.floors.linear import Linear
from taskloom.floors.table_floor import Part, Problem, validation_error
from taskloom.floors.xgboost import XGBoost
from taskloom.schema import Feature, Schema
from taskloom.tasks import Task

FLOORS = [
    pytest.param(floor, id=floor.name, marks=pytest.mark.skipif(absent, reason=f"{floor.name} is not installed"))
    for floor in (Linear, Boosting, LightGBM, XGBoost)
    for absent in [floor.package is not None and find_spec(floor.package) is None]
]
SCHEMA = Schema(
    (
        Feature("job", "categorical", "user", size=7),
        Feature("tags", "bag", "item", size=5, width=2),
        Feature("age", "dense", "user"),
    ),
    ("y",),
)
N = {"train": 3000, "val": 800, "test": 1000}


def made(floor, **settings):
    """A floor with few, small trees: enough for these targets."""
    return Linear(steps=100) if floor is Linear else floor(**{"leaves": 5, "rate": 0.2, "trees": 80, **settings})


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """For rows as few as these, threads wait for each other longer than they work."""
    import sklearn.ensemble  # noqa: F401  a library has a limit once it is there
    from threadpoolctl import threadpool_limits

    for package in ("lightgbm", "xgboost"):
        if find_spec(package):
            import_module(package)
    with threadpool_limits(1):
        yield


def quiet(line):
    pass


def rows(part, seed=0):
    """Inputs, and the score that every target of these tests is made from."""
    g = torch.Generator().manual_seed(seed + N[part])
    n = N[part]
    job, tags = torch.randint(1, 7, (n, 1), generator=g), torch.randint(0, 5, (n, 2), generator=g)
    age = torch.randn(n, 1, generator=g)
    job_score = torch.tensor([0.0, 1.2, -1.0, 0.4, -1.5, 0.9, 0.1])[job.squeeze(1)]
    score = job_score + 0.8 * (tags == 2).any(1) + 0.7 * age.squeeze(1)
    return Inputs(job, tags, age), score, torch.rand(n, generator=g), torch.randn(n, generator=g)


def target_of(kind, score, u, noise):
    """A target (N, t), and what the best predictor would say."""
    if kind == "binary":
        return (u < score.sigmoid()).float()[:, None], score.sigmoid()[:, None]
    if kind == "multilabel":
        both = torch.stack([score.sigmoid(), (-score).sigmoid()], 1)
        return (u[:, None] < both).float(), both
    if kind == "multiclass":
        edges = torch.stack([(score - 1).sigmoid(), (score + 1).sigmoid()], 1)  # codes 2, 5, 9
        best = torch.stack([1 - edges[:, 1], edges[:, 1] - edges[:, 0], edges[:, 0]], 1)
        return torch.tensor([9.0, 5.0, 2.0])[(u[:, None] > edges).sum(1)][:, None], best
    if kind == "count":
        rate = score.exp()
        return torch.poisson(rate, generator=torch.Generator().manual_seed(3))[:, None], rate[:, None]
    if kind == "ordinal":
        return (3 + score + 0.3 * noise).round().clamp(1, 5)[:, None], (3 + score).clamp(1, 5)[:, None]
    return (100 + 20 * score + 5 * noise)[:, None], (100 + 20 * score)[:, None]


def problem(kind, classes=(), options=None, val_rows=None):
    parts = []
    for part in ("train", "val"):
        inputs, score, u, noise = rows(part)
        parts.append(Part(inputs, target_of(kind, score, u, noise)[0]))
    if val_rows is not None:
        parts[1] = Part(parts[1].inputs.select(slice(0, val_rows)), parts[1].target[:val_rows])
    return Problem(Task("y", kind, options=options or {}), SCHEMA, *parts, classes)


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize(
    ("kind", "error"),
    [("binary", 0.05), ("multilabel", 0.05), ("multiclass", 0.05), ("regression", 2.5), ("ordinal", 0.3)],
)
def test_a_planted_target_is_found(floor, kind, error):
    inputs, score, u, noise = rows("test")
    predicted = made(floor).fit(problem(kind, (2.0, 5.0, 9.0)), quiet)(inputs)
    _, best = target_of(kind, score, u, noise)
    assert predicted.shape == best.shape
    assert predicted.dtype == torch.float32
    assert float((predicted - best).abs().mean()) < error
    if kind == "multiclass":
        torch.testing.assert_close(predicted.sum(1), torch.ones(N["test"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("floor", FLOORS)
def test_a_count_is_a_rate_in_its_own_units(floor):
    inputs, score, _, _ = rows("test")
    predicted = made(floor).fit(problem("count"), quiet)(inputs).squeeze(1)
    assert float(predicted.min()) > 0
    assert float((predicted.log() - score).abs().mean()) < 0.2


@pytest.mark.parametrize("floor", FLOORS)
def test_log1p_is_learned_as_a_logarithm_and_given_in_its_own_units(floor):
    inputs, score, _, _ = rows("test")
    plain = problem("regression")
    parts = []
    for part, name in ((plain.train, "train"), (plain.val, "val")):
        _, s, _, e = rows(name)
        parts.append(Part(part.inputs, (s + 4 + 0.2 * e).clamp(min=0).expm1()[:, None]))
    long_tail = Problem(Task("y", "regression", options={"transform": "log1p"}), SCHEMA, *parts)
    predicted = made(floor).fit(long_tail, quiet)(inputs).squeeze(1)
    assert float((predicted.log1p() - (score + 4)).abs().mean()) < 0.15


def test_log1p_predicts_nothing_below_zero():
    """A straight line through logarithms goes below 0 where the target is near 0."""
    _, score, _, _ = rows("train")
    task = problem("regression")
    train = Part(task.train.inputs, score.clamp(min=0).expm1()[:, None])
    val = Part(task.val.inputs, torch.zeros_like(task.val.target))
    near_zero = Problem(Task("y", "regression", options={"transform": "log1p"}), SCHEMA, train, val)
    predicted = made(Linear).fit(near_zero, quiet)(task.train.inputs)
    assert float(predicted.min()) == 0


def test_ridge_is_the_closed_form():
    g = np.random.default_rng(0)
    x, y = g.normal(size=(50, 3)), g.normal(size=50) + 7
    fitted = Linear(penalties=[3.0]).learn("squared", x, y, x, y, None)
    centred = x - x.mean(0)
    w = np.linalg.solve(centred.T @ centred + 3 * np.eye(3), centred.T @ (y - y.mean()))
    np.testing.assert_allclose(fitted.predict(x), y.mean() + centred @ w, atol=1e-8)


@pytest.mark.parametrize("loss", ["logistic", "poisson"])
def test_the_penalty_is_that_of_the_formula(loss):
    """At the optimum the gradient of Σ ℓ is −α w, and 0 for the intercept."""
    g = np.random.default_rng(0)
    x = g.normal(size=(400, 3))
    y = (g.random(400) < 0.3).astype(float) if loss == "logistic" else g.poisson(1.5, 400).astype(float)
    alpha = 5.0
    fitted = Linear(penalties=[alpha], steps=2000).learn(loss, x, y, x, y, None)
    link = (lambda p: np.log(p / (1 - p))) if loss == "logistic" else np.log
    points = np.vstack([np.zeros(3), np.eye(3)])
    eta = link(fitted.predict(points))
    w, residual = eta[1:] - eta[0], fitted.predict(x) - y
    np.testing.assert_allclose(x.T @ residual, -alpha * w, atol=0.05)
    assert abs(residual.sum()) < 0.05


def test_the_penalty_is_the_one_that_predicts_validation_rows_best():
    g = np.random.default_rng(1)
    x, y = g.normal(size=(30, 20)), g.normal(size=30)
    x_val = g.normal(size=(200, 20))
    for y_val, chosen in ((np.zeros(200), "L2 4096"), (y.mean() + x_val @ np.linalg.lstsq(x, y)[0], "L2 0.001")):
        fitted = Linear(penalties=[0.001, 1, 4096]).learn("squared", x, y, x_val, y_val, None)
        assert fitted.about == chosen


@pytest.mark.parametrize(("errors", "tried", "chosen"), [([3, 2, 4, 1, 5, 6, 0], 6, 8), ([1, 2, 3, 0], 3, 64)])
def test_two_worse_fits_in_a_row_end_the_walk(monkeypatch, errors, tried, chosen):
    asked = []

    def fit(loss, x, y, penalty, steps, start):
        asked.append(penalty)
        return (lambda rows: np.full(len(rows), float(errors[len(asked) - 1]))), None

    monkeypatch.setattr("taskloom.floors.linear._fit", fit)
    zeros = np.zeros((4, 1))
    fitted = Linear([1, 2, 4, 8, 16, 32, 64]).learn("squared", zeros, zeros[:, 0], zeros, zeros[:, 0], None)
    assert len(asked) == tried
    assert fitted.about == f"L2 {chosen}"


@pytest.mark.parametrize("loss", ["logistic", "poisson"])
def test_a_fit_on_the_way_does_not_change_the_one_that_is_kept(loss):
    """Fits begin where the last ended: the best one must not move with those after it."""
    g = np.random.default_rng(2)
    x, x_val = g.normal(size=(40, 30)), g.normal(size=(500, 30))
    y, y_val = (g.random(40) < 0.5).astype(float), (g.random(500) < 0.5).astype(float)
    every = Linear(penalties=[1e4, 1e-1, 1e-2]).learn(loss, x, y, x_val, y_val, None)
    alone = Linear(penalties=[1e4]).learn(loss, x, y, x_val, y_val, None)
    assert every.about == "L2 10000"
    np.testing.assert_array_equal(every.predict(x_val), alone.predict(x_val))


@pytest.mark.parametrize("floor", FLOORS[1:])
def test_trees_stop_at_the_least_validation_loss(floor):
    g = np.random.default_rng(0)
    x = g.normal(size=(400, 5)).astype(np.float32)
    y = (g.random(400) < 0.5).astype(float)  # nothing to learn: every tree but a few makes it worse
    x_val, y_val = g.normal(size=(400, 5)).astype(np.float32), (g.random(400) < 0.5).astype(float)
    stopped = made(floor, patience=5).learn("logistic", x, y, x_val, y_val, None)
    trees = int(stopped.about.split()[0])
    assert trees < 20
    assert stopped.error == pytest.approx(validation_error("logistic", y_val, stopped.predict(x_val)))
    for other in (trees + 1, trees + 3):
        none = np.zeros(0)
        longer = made(floor, trees=other).learn("logistic", x, y, x[:0], none, None)
        assert validation_error("logistic", y_val, longer.predict(x_val)) >= stopped.error - 1e-6
    same = made(floor, trees=trees).learn("logistic", x, y, x[:0], none, None)
    np.testing.assert_allclose(same.predict(x_val), stopped.predict(x_val), atol=1e-6)


@pytest.mark.parametrize("floor", FLOORS[1:])
def test_ids_are_categories_and_not_numbers(floor):
    """Odd against even ids: two leaves tell them apart, if ids have no order."""
    g = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 41, (4000, 1), generator=g)
    schema = Schema((Feature("id", "categorical", "user", size=41),), ("y",))
    part = Part(Inputs(ids, ids[:, :0], torch.zeros(4000, 0)), (ids % 2).float())
    stump = made(floor, leaves=2)
    predicted = stump.fit(Problem(Task("y", "binary"), schema, part, part), quiet)(part.inputs)
    assert roc_auc_score(part.target, predicted) > 0.99


@pytest.mark.parametrize("floor", FLOORS)
def test_validation_targets_are_never_learned(floor):
    """An id that only validation rows have, all of them positive, is predicted as any unknown one."""
    task = problem("binary")
    keep = task.train.inputs.categorical.squeeze(1) != 6
    train = Part(task.train.inputs.select(keep.nonzero().squeeze(1)), task.train.target[keep])
    val = Part(task.val.inputs, torch.where(task.val.inputs.categorical == 6, 1.0, task.val.target))
    predict = made(floor).fit(Problem(task.task, SCHEMA, train, val), quiet)
    asked = task.val.inputs
    sixes, zeros = (Inputs(torch.full_like(asked.categorical, job), asked.bags, asked.dense) for job in (6, 0))
    assert torch.equal(predict(sixes), predict(zeros))


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "count"])
def test_without_validation_rows_a_stated_setting_is_taken(floor, kind):
    lines = []
    inputs, *_ = rows("test")
    predicted = made(floor, trees=5).fit(problem(kind, (2.0, 5.0, 9.0), val_rows=0), lines.append)(inputs)
    assert bool(predicted.isfinite().all())
    assert ("L2 4" if floor is Linear else "5 trees") in lines[-1]
    assert "no validation rows" in lines[-1]


@pytest.mark.parametrize("floor", FLOORS)
def test_a_class_that_training_lacks_has_no_probability(floor):
    task = problem("multiclass", (2.0, 5.0, 9.0))
    keep = (task.train.target != 5).squeeze(1)
    train = Part(task.train.inputs.select(keep.nonzero().squeeze(1)), task.train.target[keep])
    predicted = made(floor).fit(Problem(task.task, SCHEMA, train, task.val, task.classes), quiet)(task.val.inputs)
    assert predicted.shape == (N["val"], 3)
    assert float(predicted[:, 1].abs().max()) == 0
    torch.testing.assert_close(predicted.sum(1), torch.ones(N["val"]), atol=1e-5, rtol=0)
    # Validation rows of that class judge nothing: without them the fit is the same.
    keep = (task.val.target != 5).squeeze(1)
    fewer = Part(task.val.inputs.select(keep.nonzero().squeeze(1)), task.val.target[keep])
    again = made(floor).fit(Problem(task.task, SCHEMA, train, fewer, task.classes), quiet)(task.val.inputs)
    assert torch.equal(again, predicted)


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize(("kind", "value"), [("binary", 1.0), ("count", 0.0), ("regression", 7.0), ("multiclass", 5.0)])
def test_a_target_that_is_alike_is_predicted_as_such(floor, kind, value):
    task = problem(kind, (2.0, 5.0, 9.0))
    train = Part(task.train.inputs, torch.full_like(task.train.target, value))
    predicted = made(floor).fit(Problem(task.task, SCHEMA, train, task.val, task.classes), quiet)(task.val.inputs)
    expected = torch.tensor([[0.0, 1.0, 0.0]]) if kind == "multiclass" else torch.tensor([[value]])
    assert torch.equal(predicted, expected.expand(N["val"], -1))


@pytest.mark.parametrize("floor", FLOORS)
def test_table_fits_are_repeatable(floor):
    task = problem("binary")
    state = torch.get_rng_state()
    first, second = (made(floor).fit(task, quiet)(task.val.inputs) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_are_predicted_in_chunks(monkeypatch):
    task = problem("binary")
    predict = Linear().fit(task, quiet)
    whole = predict(task.train.inputs)
    monkeypatch.setattr("taskloom.floors.table_floor.PREDICTION_ROWS", 7)
    torch.testing.assert_close(predict(task.train.inputs), whole)


def test_lines_say_what_is_done():
    lines = []
    task = problem("binary")
    Linear().fit(Problem(task.task, SCHEMA, task.train, task.val, labelled=5_000_000), lines.append)
    assert lines[0] == "floor linear: y, fitting to 3,000 of 5,000,000 rows, a sample (once for these data)"
    assert lines[1].startswith("floor linear: y, log loss 0.")
    assert "on validation rows with L2 " in lines[1]
    Linear().fit(problem("multilabel"), lines.append)
    assert lines[2] == "floor linear: y, fitting to 3,000 rows (once for these data)"
    assert "(and 1 column more)" in lines[3]


@pytest.mark.parametrize("floor", FLOORS)
def test_a_task_without_training_labels_is_one_sentence(floor):
    task = problem("binary")
    none = Part(task.train.inputs.select(slice(0, 0)), task.train.target[:0])
    with pytest.raises(DataError, match=rf"floor {floor.name}: no training row has a label.*data\.tasks\.y"):
        made(floor).fit(Problem(task.task, SCHEMA, none, task.val), quiet)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_an_absent_package_is_one_sentence(monkeypatch, name):
    monkeypatch.setattr(floor_module, "find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=rf"{name} needs the package {name}.*pip install 'taskloom\[boosting\]'"):
        select_floors(["linear", name])
    assert len(select_floors(["constant", "bias", "factorisation", "linear", "boosting"])) == 5


@pytest.mark.parametrize(
    ("loss", "y", "predicted", "error"),
    [
        ("squared", [1.0, 3.0], [1.0, 1.0], math.sqrt(2)),
        ("poisson", [0.0, 2.0], [1.0, 1.0], 2 * math.log(2)),  # 2·mean(1, 2 ln 2 − 1)
        ("softmax", [0.0, 1.0], [[0.5, 0.5], [0.75, 0.25]], math.log(8) / 2),
        ("logistic", [1.0, 0.0], [0.25, 0.5], math.log(8) / 2),
    ],
)
def test_validation_errors_by_hand(loss, y, predicted, error):
    assert validation_error(loss, np.array(y), np.array(predicted)) == pytest.approx(error)
    assert math.isnan(validation_error(loss, np.zeros(0), np.array(predicted)[:0]))
