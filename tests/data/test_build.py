import math
import types

import numpy as np
import polars as pl
import pytest
import torch

from taskloom.data.datamodule import DataModule
from taskloom.errors import ConfigError, DataError


@pytest.fixture
def frame():
    rng = np.random.default_rng(3)
    n = 400
    item = rng.integers(0, 25, n)
    return pl.DataFrame(
        {
            "user": [f"u{u:02d}" for u in rng.integers(0, 30, n)],
            "item": item,
            "shelf": [f"s{i % 4}" for i in item],
            "rating": rng.integers(1, 6, n).astype(float),
            "time": rng.integers(0, 200, n),
            "clicked": (rng.random(n) < 0.4).astype(int),
            "bought": (rng.random(n) < 0.2).astype(int),
            "spread": rng.random(n),
            "day": rng.integers(1, 11, n),
        }
    )


@pytest.fixture
def opened(make, tmp_path):
    """A data module over a frame, with features and tasks that suit it."""

    def open_it(frame, prepare=True, user="user", item="item", time="time", **changes):
        reader = make.TableReader(frame)
        reader.user, reader.item, reader.time = user, item, time
        given = {
            "features": {
                "user": {"kind": "categorical", "side": "user"},
                "item": {"kind": "categorical", "side": "item"},
                "shelf": {"kind": "categorical", "side": "item"},
            },
            "tasks": {
                "like": {"kind": "binary", "target": "rating >= 4"},
                "rating": {"kind": "regression", "target": "rating"},
            },
            "split": {"kind": "random"},
            "batch_size": 64,
            "eval_batch_size": 64,
        } | changes
        data = DataModule(
            reader,
            "table",
            **given,
            raw_dir=tmp_path / "raw",
            processed_dir=tmp_path / "processed",
            say=lambda line: None,
        )
        if prepare:
            data.prepare_data()
            data.setup()
        return data

    return open_it


INTERACT = {
    "like": {"kind": "binary", "target": "rating >= 4"},
    "interact": {"kind": "binary", "target": "rating > 0"},
}


def test_a_label_is_where_it_is_observed(frame, opened):
    tasks = {
        "click": {"kind": "binary", "target": "clicked"},
        "buy": {"kind": "binary", "target": "bought", "observed": "clicked = 1", "parent": "click", "noise": "spread"},
    }
    data = opened(frame, tasks=tasks)
    assert data.statistics[1].n == frame[data.store.split("train").row.numpy()]["clicked"].sum()
    for batch in data.test_dataloader():
        source = frame[batch.row.numpy()]
        assert batch.labelled[:, 1].tolist() == (source["clicked"] == 1).to_list()
        np.testing.assert_allclose(
            batch.target_noise[:, 1], np.where(source["clicked"] == 1, source["spread"], 0), rtol=1e-6
        )


@pytest.mark.parametrize("late", [1, 10])
def test_parts_that_a_column_names_may_overlap_a_little(frame, opened, late):
    """Training rows after the cut, few or many: histories reach over it, but never forward into a later part."""
    order = (
        frame.sort("time")
        .with_row_index("place")
        .with_columns(user=pl.lit("u") + (pl.col("place") % 3).cast(pl.String))
    )
    part = pl.when(pl.col("place") < 320).then(pl.lit("train")).when(pl.col("place") < 360).then(pl.lit("val"))
    parts = order.with_columns(part=part.otherwise(pl.lit("test")))
    swapped = pl.col("place").is_in([*range(340, 340 + late)])
    parts = parts.with_columns(part=pl.when(swapped).then(pl.lit("train")).otherwise("part"))
    features = {
        "item": {"kind": "categorical", "side": "item"},
        "past": {"kind": "history", "of": ["item"], "length": 400},
    }
    data = opened(parts, features=features, split={"kind": "column", "column": "part"})
    assert data.store.meta["in_time"] == (late == 1)
    stage = {"train": 0, "val": 1, "test": 2}
    source, index = parts.to_dicts(), np.load(data.store.folder / "events.npy")[:, 0]
    vocabulary = {value: i + 1 for i, value in enumerate(data.store.encodings[0].values)}
    for name in ("train", "val", "test"):
        columns = data.store.split(name)
        for row, (start, end) in zip(columns.row.tolist(), columns.history.tolist(), strict=True):
            mine = source[row]
            sees = [
                e
                for e in source
                if e["user"] == mine["user"]
                and e["time"] < mine["time"]
                and (stage[e["part"]] <= stage[name] if late == 1 else e["part"] == "train")
            ]
            wanted = sorted(vocabulary.get(e["item"], 0) for e in sees)
            got = sorted(index[start:end].tolist())
            if late == 1 and name == "train":  # what came after the first event of a later part may be lost
                assert not [item for item in set(got) if got.count(item) > wanted.count(item)]
            elif late > 1 or name == "test":
                assert got == wanted


def test_drawn_items_exist_by_then_and_were_not_the_users(frame, opened):
    for rule in ("uniform", "popularity"):
        data = opened(
            frame,
            tasks=INTERACT,
            split={"kind": "global_time"},
            negatives={"task": "interact", "per_row": 3, "rule": rule, "eval_per_row": 5},
        )
        names = [e.values for e in data.store.encodings]
        train = frame[data.store.split("train").row.numpy()]
        first = dict(train.group_by("item").agg(pl.col("time").min()).iter_rows())
        shelf = dict(frame.select("item", "shelf").iter_rows())
        had = set(train.select("user", "item").iter_rows())
        n_drawn = 0
        for loader in (data.train_dataloader(), data.test_dataloader()):
            for batch in loader:
                n = int((batch.row >= 0).sum())
                times = dict(zip(batch.row[:n].tolist(), frame["time"].to_numpy()[batch.row[:n].numpy()], strict=True))
                per_row = 3 if loader is not None and len(batch) == n * 4 else 5
                assert (batch.row[:n] >= 0).all()
                assert (batch.targets[:n, 1] == 1).all()
                for place in range(n, len(batch)):
                    if not batch.labelled[place, 1]:
                        continue
                    n_drawn += 1
                    assert batch.targets[place, 1] == 0
                    assert not batch.labelled[place, 0]
                    user, item, its_shelf = batch.categorical[place].tolist()
                    item = names[1][item - 1]
                    assert names[2][its_shelf - 1] == shelf[item]
                    assert first[item] <= times[(-int(batch.row[place]) - 1) // per_row]
                    assert not user or (names[0][user - 1], item) not in had
        assert n_drawn > 500
        assert data.statistics[1].mean == pytest.approx((0.25,))


def test_evaluation_draws_are_frozen_and_hashed(frame, opened):
    options = {"tasks": INTERACT, "negatives": {"task": "interact", "eval_per_row": 4}}
    data = opened(frame, **options)
    one, two = ([batch.categorical for batch in data.test_dataloader()] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    hashes = data.store.meta["negatives"]["sha256"]
    assert set(hashes) == {"val", "test"}
    assert len(hashes["val"]) == 64
    other = opened(frame, **options | {"split": {"kind": "random", "seed": 2}})
    assert other.store.meta["negatives"]["sha256"] != hashes


def test_items_are_drawn_only_for_a_task_that_is_trained(frame, opened):
    of = {"task": "interact"}
    data = opened(frame, tasks=INTERACT, default_tasks=["like"], negatives=of, ranking=of)
    assert data.ranking is None
    assert all((batch.row >= 0).all() for batch in data.train_dataloader())


def test_a_ranking_without_a_catalogue_is_refused_before_training(frame, opened):
    for negatives in (None, {"task": "interact"}):
        with pytest.raises(ConfigError, match=r"data\.ranking\.task: ranking by like needs the catalogue"):
            opened(
                frame,
                tasks=INTERACT,
                default_tasks=["like"],
                negatives=negatives,
                ranking={"task": "like"},
                prepare=False,
            )


def test_a_further_test_set_and_rows_that_are_in_none(frame, opened):
    part = "CASE WHEN day <= 6 THEN 'train' WHEN day <= 8 THEN 'test' WHEN day = 9 THEN 'rare' ELSE NULL END"
    data = opened(frame, split={"kind": "column", "column": part, "by": "item"})
    assert data.further_tests == ["rare"]
    counts = frame["day"].value_counts().sort("day")["count"].to_list()
    assert data.store.meta["rows"]["rare"] == counts[8]
    assert data.store.meta["filtered"] == {"data.split.column names no part": counts[9]}
    items = [set(frame["item"].to_numpy()[data.store.split(p).row.numpy()].tolist()) for p in ("train", "val")]
    assert not items[0] & items[1]
    assert sum(data.store.meta["rows"].values()) + counts[9] == len(frame)
    assert len(torch.cat([batch.row for batch in data.part_dataloader("rare")])) == counts[8]


def test_stacked_tables_are_told_apart(frame, opened):
    other = pl.DataFrame({"words": [f"w{i % 7} good" for i in range(60)], "mood": [i % 3 for i in range(60)]})
    stacked = pl.concat(
        [frame.with_columns(table=pl.lit("ratings")), other.with_columns(table=pl.lit("moods"))], how="diagonal"
    )
    data = opened(
        stacked,
        features={
            "item": {"kind": "categorical", "side": "item"},
            "words": {"kind": "text", "side": "context", "buckets": 64, "width": 4},
        },
        tasks={
            "rating": {"kind": "regression", "target": "rating"},
            "mood": {"kind": "regression", "target": "mood"},
        },
        sampling={"rule": "equal"},
    )
    assert data.store.meta["tables"] == ["moods", "ratings"]
    labelled = torch.cat([batch.labelled for batch in data.train_dataloader()])
    assert (labelled.sum(1) == 1).all()
    assert abs(int(labelled[:, 0].sum()) - int(labelled[:, 1].sum())) <= 1
    n_known = torch.cat([(batch.bags > 0).sum(1)[batch.labelled[:, 1]] for batch in data.train_dataloader()])
    assert (n_known > 0).all()


def test_the_core_is_counted(frame, opened):
    data = opened(frame, core={"user": 9, "item": 3})
    (rule, gone), *none = data.store.meta["filtered"].items()
    assert not none
    assert rule == "user with fewer than 9 training rows and item with fewer than 3 training rows"
    assert gone > 0
    assert sum(data.store.meta["rows"].values()) + gone == len(frame)
    users = frame["user"].to_numpy()[data.store.split("train").row.numpy()]
    assert np.unique(users, return_counts=True)[1].min() >= 9
    assert any(f"{gone:,} user with fewer" in line for line in data.summary())


def test_prior_and_group(frame, opened):
    features = {
        "item": {"kind": "categorical", "side": "item"},
        "shelf": {"kind": "categorical", "side": "context"},
        "by_day": {"kind": "group", "column": "day"},
    }
    data = opened(frame, features=features, prior=["shelf"])
    batch = next(iter(data.test_dataloader()))
    assert torch.equal(batch.prior[:, 0], batch.categorical[:, 1])
    days = frame["day"].to_numpy()[batch.row.numpy()]
    assert len(set(zip(days.tolist(), batch.group.tolist(), strict=True))) == len(set(days.tolist()))
    assert data.schema.group == "day"


def test_columns_that_stay_on_the_accelerator(frame, opened):
    """Batches are gathered where the columns are; the meta device stands for one that is not this machine's."""
    data = opened(frame, device_resident=True)
    assert next(iter(data.train_dataloader())).categorical.device.type == "cpu"  # nobody trains yet
    data.trainer = types.SimpleNamespace(strategy=types.SimpleNamespace(root_device=torch.device("meta")))
    for loader in (data.train_dataloader(), data.test_dataloader()):
        batch = next(iter(loader))
        assert {batch.categorical.device.type, batch.targets.device.type, batch.row.device.type} == {"meta"}


def test_blocks_of_rows_stay_near_each_other(frame, opened):
    rows = torch.cat([batch.row for batch in opened(frame, block=4, batch_size=8).train_dataloader()])
    every = opened(frame).store.split("train").row
    assert sorted(rows.tolist()) == every.tolist()
    assert rows.tolist() != every.tolist()


def test_statistics_for_heads(frame, opened):
    data = opened(frame)
    known = data.store.statistics("rating")
    train = frame["rating"].to_numpy()[data.store.split("train").row.numpy()]
    assert known.values == (1, 2, 3, 4, 5)
    assert known.counts == tuple(np.bincount(train.astype(int))[1:].tolist())
    assert known.transformed.mean[0] == pytest.approx(np.log1p(train).mean())
    assert known.transformed.std[0] == pytest.approx(np.log1p(train).std())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rating": pl.lit(math.inf)}, r"data\.tasks\.rating\.target: row 1 has an infinite label"),
        ({"user": pl.when(pl.col("day") > 9).then(None).otherwise("user")}, r"rows have no user \(the first is row"),
        ({"time": pl.lit("yesterday")}, r"column time is the time of a row and holds String"),
        ({"clicked": pl.lit(1)}, r"data\.tasks\.click: every training label is 1, so there is nothing to learn"),
        ({"clicked": pl.lit(None, dtype=pl.Int64)}, r"data\.tasks\.click: no training row has a label"),
        ({"clicked": pl.lit(2)}, r"data\.tasks\.click\.target: a binary label must be 0 or 1, found 2 in row 1"),
    ],
)
def test_data_that_cannot_be(frame, opened, change, says):
    tasks = {
        "click": {"kind": "binary", "target": "clicked"},
        "rating": {"kind": "regression", "target": "rating"},
    }
    with pytest.raises((DataError, ConfigError), match=says):
        opened(frame.with_columns(**change), tasks=tasks)


def test_infinite_features_are_refused_and_missing_ones_are_the_mean(frame, opened):
    features = {"item": {"kind": "categorical", "side": "item"}, "spread": {"kind": "dense", "side": "item"}}
    holes = frame.with_columns(spread=pl.when(pl.col("day") == 3).then(float("nan")).otherwise("spread"))
    columns = opened(holes, features=features).store.split("train")
    missing = (holes["day"] == 3).to_numpy()[columns.row.numpy()]
    assert (columns.dense[missing] == 0).all()
    assert abs(float(columns.dense[~missing].mean())) < 1e-5
    with pytest.raises(DataError, match=r"data\.features\.spread: 400 rows have an infinite spread"):
        opened(frame.with_columns(spread=pl.lit(math.inf)), features=features)


def test_a_core_that_leaves_nothing(frame, opened):
    with pytest.raises(DataError, match=r"data\.core leaves no row for train of 400 rows; ask for fewer"):
        opened(frame, core={"user": 300})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"features": {"r": {"kind": "dense", "column": "rating"}}}, "is computed from"),
        ({"excluded": {"shelf": "tells"}}, r"data\.features\.shelf: column 'shelf' is excluded \(tells\)"),
        ({"core": {"user": 3}, "user": None}, r"data\.core\.user: the data names no user column"),
        ({"core": {"users": 3}}, r"Unknown key data\.core\.users"),
        ({"prior": ["price"]}, r"data\.prior: 'price' is no categorical feature; there are user, item, shelf"),
        ({"negatives": {"task": "rating"}}, r"data\.negatives\.task: rating is regression; it must be a binary task"),
        ({"negatives": {"task": "buy"}}, r"data\.negatives\.task: there is no task 'buy'"),
        ({"sampling": {"rule": "some"}}, r"data\.sampling\.rule must be one of proportional, equal, temperature"),
        ({"user": None, "split": {"kind": "leave_last"}}, r"kind=leave_last needs to know each row's user"),
        (
            {"time": None, "features": {"i": {"kind": "asof", "by": "item", "take": "count"}}},
            r"data\.features\.i: an asof feature needs to know when a row was",
        ),
        (
            {
                "user": None,
                "features": {
                    "item": {"kind": "categorical"},
                    "past": {"kind": "history", "of": ["item"]},
                },
            },
            r"data\.features\.past: a history needs to know whose and when a row is",
        ),
        (
            {
                "tasks": INTERACT,
                "negatives": {"task": "interact"},
                "features": {"shelf": {"kind": "categorical", "side": "item"}},
            },
            r"drawing items needs a categorical feature of the item column 'item'",
        ),
    ],
)
def test_configs_that_cannot_be(frame, opened, changes, says):
    with pytest.raises(ConfigError, match=says):
        opened(frame, **changes)
