"""The floors of a run: fitted to the data's own training rows, scored on the very rows of the outcome."""

import math

import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from taskloom.data.acquire import Raw
from taskloom.data.datamodule import DataModule
from taskloom.data.table import Account, Table
from taskloom.errors import ConfigError
from taskloom.floors.bias import Bias
from taskloom.floors.floor import Ratings
from taskloom.outcome import OutcomeCollector
from taskloom.tasks import Task
from taskloom.training import floors as floors_module
from taskloom.training.floors import Floors

ROWS = 900


def frame():
    g = torch.Generator().manual_seed(0)
    user, item, job = (torch.randint(1, n, (ROWS,), generator=g) for n in (40, 30, 6))
    age = torch.randn(ROWS, generator=g)
    spent = 10 * job + 5 * age  # a linear model has it exactly
    return pl.DataFrame(
        {
            "user": user.tolist(),
            "item": item.tolist(),
            "timestamp": list(range(ROWS)),
            "job": job.tolist(),
            "age": age.double().tolist(),
            "spent": [None if n % 3 == 0 else value for n, value in enumerate(spent.double().tolist())],
            "buys": (spent > 30).long().tolist(),
            "stars": (1 + (user + item) % 5).tolist(),
        }
    )


class MemoryReader:
    name, user, item, time = "memory", "user", "item", "timestamp"

    def __init__(self):
        self.settings = {}
        self.frame = frame()
        self.columns = tuple(self.frame.columns)

    def acquire(self, source, raw_dir, say=print):
        return Raw(raw_dir, "memory", trusted=True)

    def digest(self, raw):
        return str(self.frame.hash_rows().sum())

    def read(self, raw, scratch, say=print):
        return Table(self.frame.lazy(), Account(read=ROWS))


FEATURES = {
    "user": {"kind": "categorical", "side": "user"},
    "item": {"kind": "categorical", "side": "item"},
    "job": {"kind": "categorical", "side": "context"},
    "age": {"kind": "dense", "side": "context"},
}
TASKS = {
    "buys": {"kind": "binary", "target": "buys"},
    "spent": {"kind": "regression", "target": "spent"},
    "stars": {"kind": "regression", "target": "stars"},
    "interact": {"kind": "binary", "target": "stars > 0"},
}


@pytest.fixture
def make_table(tmp_path):
    def make(features=FEATURES, **settings):
        settings = {"selected": ["buys", "spent"]} | settings
        data = DataModule(
            MemoryReader(), "memory", features, TASKS, {"kind": "random", "ratios": [6, 2, 2], "seed": 1}, 64, 50,
            raw_dir=tmp_path, processed_dir=tmp_path / "processed", say=lambda line: None, **settings,
        )  # fmt: skip
        data.prepare_data()
        return data

    return make


@pytest.fixture
def module_for(make_module):
    return lambda data: make_module(data.schema, data.tasks)


def outcome(data, part="test"):
    """The rows of a part, with predictions of nothing."""
    collector = OutcomeCollector()
    for batch in data.part_dataloader(part):
        collector.add(batch, [torch.zeros(len(batch))] * len(data.tasks), data.task_columns)
    return collector.finish()


def some(whole, rows):
    parts = ([x[rows] for x in whole.predictions], [x[rows] for x in whole.targets])
    return type(whole)(*parts, whole.labelled[rows], whole.group[rows], whole.row[rows])


def test_a_table_has_table_floors_and_ratings_have_theirs(make_table, module_for):
    table = make_table()
    assert Floors(None, table, module_for(table)).names == ["constant", "linear", "boosting"]
    rated = make_table(floors={"user": "user", "item": "item", "target": "stars"})
    assert Floors(None, rated, module_for(rated)).names == ["constant", "bias", "factorisation"]
    assert Floors(["bias"], rated, module_for(rated)).names == ["bias"]
    assert Floors([], table, module_for(table)).score(outcome(table)) == {}


def test_predictions_stand_on_the_rows_of_the_outcome(make_table, module_for):
    data = make_table()
    floors, whole = Floors(["linear"], data, module_for(data)), outcome(data)
    rows = torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))[:100]
    for asked in (whole, some(whole, rows)):
        scores = floors.score(asked)["linear"]
        assert scores["spent/rmse"] < 0.1  # of a standard deviation of 15: a row in the wrong place would cost that
        assert scores["buys/auc"] > 0.99
    assert floors.score(outcome(data, "val"), "val")["linear"]["spent/rmse"] < 0.1


def test_fits_are_kept_beside_the_data(make_table, module_for, capsys):
    data = make_table()
    first = Floors(["linear"], data, module_for(data)).score(outcome(data))
    assert "fitting to" in capsys.readouterr().out
    assert len(list((data.store.folder / "floors").iterdir())) == 2
    assert Floors(["linear"], data, module_for(data)).score(outcome(data)) == first
    assert capsys.readouterr().out == ""


def test_only_rows_with_a_label_are_learned_from_and_tasks_share_them(make_table, module_for):
    data = make_table(selected=["buys", "spent", "stars"])
    floors = Floors(["linear"], data, module_for(data))
    buys, spent, stars = (floors._problem(name) for name in ("buys", "spent", "stars"))
    n = len(data.store.split("train"))
    assert (len(buys.train.inputs), buys.labelled) == (n, n)
    assert len(spent.train.inputs) == spent.labelled == data.store.statistics("spent").n < n
    assert not bool(spent.train.target.isnan().any())
    columns = data.store.split("train")
    spends = torch.from_numpy(frame()["spent"].cast(pl.Float32).to_numpy().copy())[columns.row]
    assert torch.equal(spent.train.target[:, 0], spends[~spends.isnan()])
    assert torch.equal(spent.train.inputs.categorical, columns.categorical[~spends.isnan()])
    assert buys.train.inputs is stars.train.inputs


def test_a_large_table_is_sampled_by_a_fixed_seed(make_table, module_for, monkeypatch, capsys):
    data = make_table()
    monkeypatch.setattr(floors_module, "TABLE_ROWS", 70)
    first, second = (Floors(["linear"], data, module_for(data))._problem("buys") for _ in range(2))
    assert (len(first.train.target), len(first.val.target)) == (70, 70)
    assert first.labelled == len(data.store.split("train"))
    assert first.digest == second.digest
    assert not torch.equal(first.train.inputs.categorical, data.store.split("train").categorical[:70])
    Floors(["linear"], data, module_for(data)).score(outcome(data))
    assert f"fitting to 70 of {first.labelled} rows, a sample" in capsys.readouterr().out


def test_drawn_rows_are_scored_with_their_own_item(make_table, module_for):
    """The AUC of a rating as a score of interest, on test rows and the items drawn against them."""
    data = make_table(
        floors={"user": "user", "item": "item", "target": "stars"},
        negatives={"task": "interact", "per_row": 2, "rule": "uniform", "eval_per_row": 3},
        selected=["buys", "interact"],
    )
    train, val = (data.store.split(part) for part in ("train", "val"))
    stars = data.schema.targets.index("stars")
    bias = Bias().fit(*(Ratings.labelled(*c.categorical[:, :2].long().T, c.targets[:, stars]) for c in (train, val)))
    batches = list(data.test_dataloader())
    ids, row, wanted = (
        torch.cat(parts)
        for parts in zip(*((b.categorical, b.row, b.targets[:, data.task_columns[1][0]]) for b in batches), strict=True)
    )
    assert int((row < 0).sum()) > 2 * int((row >= 0).sum())
    scores = Floors(["constant", "bias", "linear"], data, module_for(data)).score(outcome(data))
    expected = roc_auc_score(wanted > 0, bias.predict(ids[:, 0], ids[:, 1]))
    assert scores["bias"]["interact/auc"] == pytest.approx(expected, abs=1e-6)
    assert {key.split("/")[0] for key in scores["linear"]} == {"buys"}  # no table has the drawn rows
    assert scores["linear"]["buys/auc"] > 0.99
    assert scores["constant"]["interact/auc"] == 0.5


def test_popularity_ranks_the_task_whose_other_half_is_drawn(make_table, module_for):
    """By how many training rows have the item, on test rows and the items drawn against them."""
    negatives = {"task": "interact", "per_row": 2, "rule": "uniform", "eval_per_row": 3}
    # Items with under 15 training rows are one id, whose rows together are many and of each few.
    rare = FEATURES | {"item": FEATURES["item"] | {"min_count": 15}}
    data = make_table(features=rare, negatives=negatives, selected=["buys", "interact"])
    train = data.store.split("train").categorical[:, 1].long()
    times = train.bincount(minlength=31)
    assert times[0] > times[1:].max()
    times[0] = 0
    batches = list(data.test_dataloader())
    item = torch.cat([batch.categorical[:, 1] for batch in batches]).long()
    wanted = torch.cat([batch.targets[:, data.task_columns[1][0]] for batch in batches])
    there = ~wanted.isnan()
    scores = Floors(["constant"], data, module_for(data)).score(outcome(data))
    assert list(scores) == ["constant", "popularity"]
    values = scores["popularity"]
    expected = roc_auc_score(wanted[there] > 0, times[item[there]])
    assert values["interact/auc"] == pytest.approx(expected, abs=1e-6)
    assert abs(expected - 0.5) > 0.01
    assert {key.split("/")[0] for key in values} == {"interact"}
    assert "interact/log_loss" not in values  # a number of rows is no probability
    assert Floors([], data, module_for(data)).score(outcome(data)) == {}


def test_popularity_says_nothing_where_nothing_is_drawn(make_table, module_for):
    data = make_table()
    assert list(Floors(["constant"], data, module_for(data)).score(outcome(data))) == ["constant"]


def test_a_wrong_floor_is_told_before_anything_is_fitted(make_table, module_for):
    table = make_table()
    with pytest.raises(ConfigError, match="bias is fitted to ratings"):
        Floors(["bias"], table, module_for(table))
    with pytest.raises(ConfigError, match="no floor 'liner': did you mean linear"):
        Floors(["liner"], table, module_for(table))
    for wrong, said in (
        ({"user": "age"}, r"data\.floors\.user: 'age' is no categorical feature; there are user, item, job"),
        ({"target": "star"}, r"data\.floors\.target: 'star' is no target; there are buys, spent, stars"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_table(floors={"user": "user", "item": "item", "target": "stars", **wrong})


def test_a_kind_that_floors_do_not_know_is_left_out(make_table, module_for):
    data = make_table()
    floors = Floors(["linear"], data, module_for(data))
    floors.module.tasks[0] = Task("buys", "quantile")
    assert floors._problem("buys") is None
    assert math.isfinite(floors.score(outcome(data))["linear"]["spent/rmse"])
