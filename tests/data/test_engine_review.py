"""What the engine must not do, wherever a row comes from: several chunks, other configs, further test sets."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from taskloom.data import rows as rows_room
from taskloom.data import text as text_room
from taskloom.data.build import build
from taskloom.data.datamodule import DataModule
from taskloom.data.labels import Labels
from taskloom.data.recipe import Recipe
from taskloom.data.sections import NegativesSpec
from taskloom.data.spec import parse_features, parse_split, parse_tasks
from taskloom.data.store import Store
from taskloom.data.table import Account, Table
from taskloom.errors import ConfigError, DataError

FEATURES = {
    "user": {"kind": "categorical", "side": "user"},
    "item": {"kind": "categorical", "side": "item", "min_count": 2},
    "tags": {"kind": "bag", "side": "item", "separator": "|"},
    "price": {"kind": "dense", "side": "item", "log": True},
    "words": {"kind": "text", "side": "item", "column": "tags", "buckets": 32, "width": 4},
    "at": {"kind": "time", "column": "time", "parts": ["hour", "weekday"]},
    "history": {"kind": "history", "of": ["item"], "length": 3, "where": "rating >= 2"},
}
TASKS = {
    "like": {"kind": "binary", "target": "rating >= 3"},
    "rating": {"kind": "regression", "target": "rating", "observed": "rating <> 2", "noise": "price"},
}
MEAN = {"kind": "asof", "side": "item", "by": "item", "of": "rating"}


def made(n=90, users=6, items=7, moments=40, seed=0):
    rng = np.random.default_rng(seed)
    tags = rng.choice(["", "a", "a|b", "b|c|a", "c|c|a b"], n)
    return pl.DataFrame(
        {
            "user": rng.integers(0, users, n),
            "item": rng.integers(0, items, n),
            "rating": rng.integers(0, 6, n).astype(float),
            "time": rng.integers(0, moments, n) * 3600,
            "price": rng.random(n) * 100,
            "tags": tags.tolist(),
        }
    )


def stored(frame, folder, split, features=FEATURES, tasks=TASKS, core=None, negatives=None, item="item"):
    recipe = Recipe(
        tuple(parse_features(features)),
        tuple(parse_tasks(tasks)[1]),
        parse_split(split),
        "user",
        item,
        "time",
        core or {},
        negatives,
    )
    build(Table(frame.lazy(), Account(read=len(frame))), recipe, folder, {n: t["kind"] for n, t in tasks.items()})
    return Store(folder)


def histories(store, part):
    """Items of each row's history, by row number."""
    columns = store.split(part)
    ids, mask = store.events().gather(columns.history)
    values = (0, *store.encodings[1].values)
    return {
        int(row): [values[i] for i, there in zip(mine[:, 0].tolist(), known.tolist(), strict=True) if there]
        for row, mine, known in zip(columns.row, ids, mask, strict=True)
    }


def same(one: Path, two: Path) -> None:
    """Whether two stores hold the same; decimals may differ in what summing in pieces does."""
    files = sorted(path.relative_to(one) for path in one.rglob("*.npy"))
    assert files == sorted(path.relative_to(two) for path in two.rglob("*.npy"))
    assert files
    for name in files:
        np.testing.assert_allclose(np.load(one / name), np.load(two / name), rtol=1e-5, atol=1e-6, err_msg=str(name))
    near(*(json.loads((folder / "meta.json").read_text()) for folder in (one, two)))


def near(one, two):
    if isinstance(one, float) and isinstance(two, float):
        assert one == pytest.approx(two, rel=1e-9, abs=1e-12)
    elif isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            near(one[key], two[key])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            near(a, b)
    else:
        assert one == two


@pytest.mark.parametrize("chunk", [1, 7, 89])
def test_a_store_is_the_same_whatever_the_chunks(tmp_path, monkeypatch, chunk):
    plain = {"negatives": NegativesSpec("like", rule="popularity", eval_per_row=3), "core": {"user": 2}}
    stacked = pl.concat(
        [
            made(60).with_columns(table=pl.lit("ratings")),
            made(40, seed=1).drop("item").with_columns(table=pl.lit("moods")),
        ],
        how="diagonal",
    )
    grouped = FEATURES | {"mean": MEAN, "where": {"kind": "group", "column": "tags"}}

    def both(name):
        stored(made(), tmp_path / name / "a", {"kind": "global_time", "ratios": [2, 1, 1]}, **plain)
        stored(stacked, tmp_path / name / "b", {"kind": "random"}, grouped)

    both("whole")
    monkeypatch.setattr(rows_room, "CHUNK", chunk)
    monkeypatch.setattr(text_room, "CHUNK", max(1, chunk // 3))
    both("pieces")
    for name in "ab":
        same(tmp_path / "whole" / name, tmp_path / "pieces" / name)
    for part in ("train", "val", "test"):
        columns = Store(tmp_path / "pieces" / "b").split(part)
        assert columns.source.tolist() == [int(i < 60) for i in columns.row.tolist()]


def test_a_further_test_set_from_before_training_is_in_no_history(tmp_path):
    """As with a random log that ran beside the training period."""
    frame = made(120, moments=60).with_columns(log=pl.Series(["random" if i % 4 == 0 else "usual" for i in range(120)]))
    part = (
        "CASE WHEN log = 'random' THEN 'random' WHEN time < 108000 THEN 'train' WHEN time < 162000 THEN 'val' "
        "ELSE 'test' END"
    )
    split = {"kind": "column", "column": part}
    before = stored(frame, tmp_path / "before", split, FEATURES | {"mean": MEAN})
    later = pl.col("log") == "random"
    other = frame.with_columns(
        item=pl.when(later).then((pl.col("item") + 1) % 7).otherwise("item"),
        rating=pl.when(later).then(5.0).otherwise("rating"),
    )
    after = stored(other, tmp_path / "after", split, FEATURES | {"mean": MEAN})
    assert histories(before, "train") == histories(after, "train")
    np.testing.assert_array_equal(before.split("train").dense, after.split("train").dense)
    assert any(histories(before, "test").values())
    # Where all of it lies behind validation, test rows know what came before them.
    late = frame.filter((pl.col("log") != "random") | (pl.col("time") >= 162000))
    assert stored(late, tmp_path / "late", split).meta["in_time"]


def test_in_time_is_what_a_column_makes_of_it(tmp_path):
    frame = made(60).sort("time")
    place = np.arange(60)
    in_order = np.where(place < 30, "train", np.where(place < 45, "val", "test"))
    times = frame["time"].to_numpy()
    frame = frame.with_columns(time=pl.Series(np.where(place < 30, np.minimum(times, times[29]), times)))
    split = {"kind": "column", "column": "part"}
    # Rows of one moment on both sides of a border do not see each other, so that it may run through a moment.
    level = frame.with_columns(time=pl.when(pl.int_range(60).is_in([29, 30])).then(times[29]).otherwise("time"))
    assert stored(level.with_columns(part=pl.Series(in_order)), tmp_path / "a", split).meta["in_time"]
    for name, swap in (("b", [("train", "val")]), ("c", [("val", "test")])):
        mixed = in_order.copy()
        for one, two in swap:
            mixed[in_order == one], mixed[in_order == two] = two, one
        store = stored(frame.with_columns(part=pl.Series(mixed)), tmp_path / name, split)
        assert not store.meta["in_time"]
        assert store.meta["history"]["seen"] == "earlier rows of training alone"


@pytest.mark.parametrize(
    ("split", "in_time"),
    [
        ({"kind": "group", "column": "user", "ratios": [2, 1, 1]}, True),
        ({"kind": "group", "column": "tags", "ratios": [1, 1, 1]}, False),
    ],
)
def test_a_split_by_groups_is_in_time_where_a_user_is_in_one_part(tmp_path, split, in_time):
    assert stored(made(), tmp_path / "s", split).meta["in_time"] is in_time


@pytest.mark.parametrize(
    ("features", "where"),
    [
        ({"price": {"kind": "dense", "column": "price / MAX(price)"}}, r"data\.features\.price\.column"),
        ({"price": {"kind": "dense", "column": "rating / MAX(rating)"}}, r"data\.features\.price\.column"),
        ({"m": MEAN | {"of": "rating - AVG(rating)"}}, r"data\.features\.m\.of"),
        ({"m": MEAN | {"by": "item + MAX(item)"}}, r"data\.features\.m\.by"),
        ({"history": FEATURES["history"] | {"where": "rating >= AVG(rating)"}}, r"data\.features\.history\.where"),
        ({"history": FEATURES["history"] | {"where": "rating >= MAX(rating)"}}, r"data\.features\.history\.where"),
    ],
)
def test_no_expression_looks_at_other_rows(tmp_path, features, where):
    with pytest.raises(ConfigError, match=where + r": .* looks at other rows than its own"):
        stored(made(), tmp_path / "s", {"kind": "random"}, FEATURES | features, {"like": TASKS["like"]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("by", ["name", "size"])
def test_validation_is_carved_by_the_key_alone(tmp_path, by):
    """Other names and sizes in the test rows move nobody from training to validation."""
    frame = made(200, users=60).with_columns(
        part=pl.Series(["test" if i % 5 == 0 else "train" for i in range(200)]),
        name=pl.format("n{}", "user"),
        size=pl.col("user") + 0.5,
    )
    split = {"kind": "column", "column": "part", "by": by, "ratios": [2, 1, 1]}
    new = {"name": pl.format("a{}", "item"), "size": pl.col("item") - 50.0}
    other = frame.with_columns(pl.when(pl.col("part") == "test").then(new[by]).otherwise(by).alias(by))
    before, after = (stored(f, tmp_path / n, split) for f, n in ((frame, "one"), (other, "two")))
    assert before.split("val").row.tolist() == after.split("val").row.tolist()
    rows = {part: set(frame[by].to_numpy()[before.split(part).row.numpy()].tolist()) for part in ("train", "val")}
    assert rows["val"]
    assert not rows["train"] & rows["val"]


def test_warnings_and_refusals_do_not_depend_on_who_built_the_store(make, tmp_path):
    """Kinds of tasks shape no file, so that a store may have been built for a task of another kind."""
    frame = made(200).with_columns(
        rare=(pl.int_range(200) == 3).cast(pl.Int64) | (pl.int_range(200) % 2), several=pl.int_range(200) % 3
    )

    def opened(kind, target, name):
        reader = make.TableReader(frame)
        reader.time = "time"
        data = DataModule(
            reader,
            "t",
            {"user": FEATURES["user"]},
            {"x": {"kind": kind, "target": target}},
            {"kind": "random"},
            8,
            8,
            raw_dir=tmp_path,
            processed_dir=tmp_path / name,
            say=lambda line: None,
        )
        data.prepare_data()
        data.setup()
        return data

    alone = opened("binary", "rare", "alone")
    opened("regression", "rare", "shared")
    shared = opened("binary", "rare", "shared")
    warned = [[line for line in data.summary() if "warning" in line] for data in (alone, shared)]
    assert warned[0] == warned[1]
    assert any("no verdict" in line for line in warned[0])
    opened("regression", ["several", "rare"], "list")
    with pytest.raises(ConfigError, match=r"data\.tasks\.x\.target: a multilabel label must be 0 or 1, found 2 in row"):
        opened("multilabel", ["several", "rare"], "list")


@pytest.mark.parametrize("kind", ["per_user", "leave_last", "global_time", "random"])
def test_a_user_whose_events_are_of_one_moment_has_no_history(tmp_path, kind):
    frame = made(60, users=1, moments=1)
    store = stored(frame, tmp_path / "s", {"kind": kind, "ratios": [8, 1, 1]}, FEATURES | {"mean": MEAN})
    assert sum(store.meta["rows"].values()) == 60
    for part in store.parts:
        assert not any(histories(store, part).values())
        assert (store.split(part).dense[:, 1] == 0).all()


@pytest.mark.parametrize("kind", ["random", "global_time"])
def test_parts_of_one_row(tmp_path, kind):
    item = {"kind": "categorical", "side": "item"}
    features = FEATURES | {"item": item, "mean": MEAN | {"side": "context"}}
    store = stored(made(10), tmp_path / "s", {"kind": kind}, features, negatives=NegativesSpec("like"))
    assert store.meta["rows"] == {"train": 8, "val": 1, "test": 1}
    assert store.split("test").drawn.shape == (1, 20)


@pytest.mark.parametrize("kind", ["random", "global_time", "per_user"])
def test_rows_that_are_left_out_are_seen_by_nobody(tmp_path, kind):
    frame, split = made(80, users=20), {"kind": kind, "ratios": [2, 1, 1]}
    options = {"features": FEATURES | {"mean": MEAN, "n": MEAN | {"take": "sum"}}, "core": {"user": 3}}
    before = stored(frame, tmp_path / "before", split, **options)
    kept = np.concatenate([before.split(part).row.numpy() for part in before.parts])
    assert len(kept) < len(frame)
    gone = ~pl.int_range(len(frame)).is_in(kept.tolist())
    other = frame.with_columns(pl.when(gone).then(99.0).otherwise(name).alias(name) for name in ("rating", "price"))
    other = other.with_columns(pl.when(gone).then(pl.lit("new")).otherwise("tags").alias("tags"))
    after = stored(other, tmp_path / "after", split, **options)
    assert (before.encodings, before.meta["statistics"]) == (after.encodings, after.meta["statistics"])
    for part in before.parts:
        np.testing.assert_array_equal(before.split(part).dense, after.split(part).dense)
        assert histories(before, part) == histories(after, part)


@pytest.mark.parametrize("split", [{"kind": "random"}, {"kind": "global_time", "ratios": [2, 1, 1]}])
def test_the_catalogue_is_what_training_shows(tmp_path, split):
    """Items in order of first appearance, each with its first training row's side; how many there are by each time."""
    frame = made(120, items=25, users=5)
    features = FEATURES | {
        "item": {"kind": "categorical", "side": "item"},
        "context": {"kind": "dense", "column": "time"},
    }
    store = stored(frame, tmp_path / "s", split, features, negatives=NegativesSpec("like", eval_per_row=4))
    train = sorted(store.split("train").row.tolist(), key=lambda row: (frame["time"][row], row))
    first = {}
    for row in train:
        first.setdefault(frame["item"][row], row)
    vocabulary = store.encodings[1].values
    catalogue = store.catalogue()
    assert [vocabulary[i - 1] for i in catalogue.categorical[:, 1].tolist()] == list(first)
    assert (catalogue.categorical[:, 0] == 0).all()
    price, context = (next(e for e in store.encodings if e.name == name) for name in ("price", "context"))
    where = [f.name for f in store.schema.of_kind("dense")]
    found = catalogue.dense[:, where.index("price")].numpy()
    np.testing.assert_array_equal(found, price.apply(frame["price"][list(first.values())])[:, 0])
    assert context.std > 0
    assert (catalogue.dense[:, where.index("context")] == 0).all()
    times, items = frame["time"].to_list(), list(first)
    assert [items[i] for i in store.popularity().tolist()] == [frame["item"][row] for row in train]
    had = {(frame["user"][row], frame["item"][row]) for row in train}
    for part in store.parts:
        columns = store.split(part)
        for place, row in enumerate(columns.row.tolist()):
            exist = [item for item in items if times[first[item]] <= times[row]]
            assert columns.reach[place].tolist() == [len(exist), sum(times[t] <= times[row] for t in train)]
            if part != "train":
                drawn = [items[i] for i in columns.drawn[place].tolist() if i >= 0]
                assert set(drawn) <= set(exist) - {frame["item"][row]}
                assert not had & {(frame["user"][row], item) for item in drawn}
    pairs = store.pairs()
    number = {frame["user"][row]: g for part in store.parts for row, g in _groups(store, part)}
    assert {(u, items[i]) for u in number for i in pairs.of(number[u]).tolist()} == had


def _groups(store, part):
    columns = store.split(part)
    return zip(columns.row.tolist(), columns.group.tolist(), strict=True)


def test_training_groups_are_numbered_first(tmp_path):
    frame = made(200, users=40)
    store = stored(frame, tmp_path / "s", {"kind": "group", "column": "user", "ratios": [1, 1, 1]})
    groups = [{group for _, group in _groups(store, part)} for part in store.parts]
    assert groups[0] == set(range(len(groups[0])))
    assert min(groups[1] | groups[2]) == len(groups[0])


def test_a_row_without_an_item_is_not_a_cold_one(tmp_path):
    frame = made(60).with_columns(item=pl.when(pl.int_range(60) % 3 == 0).then(None).otherwise("item"))
    meta = stored(frame, tmp_path / "s", {"kind": "random"}).meta
    assert meta["items"] == frame["item"].n_unique() - 1
    assert meta["unseen"]["random"]["items"] == {"train": 0, "val": 0, "test": 0}


def test_items_too_rare_for_an_id_are_not_drawn(tmp_path):
    features = FEATURES | {"item": {"kind": "categorical", "side": "item", "min_count": 4}}
    store = stored(made(100, items=30), tmp_path / "s", {"kind": "random"}, features, negatives=NegativesSpec("like"))
    ids = store.catalogue().categorical[:, 1].tolist()
    assert sorted(ids) == list(range(1, len(store.encodings[1].values) + 1))
    assert len(ids) < 25


def test_frozen_draws_follow_the_seed_of_the_split(tmp_path):
    """Under a split on which the seed has no say otherwise."""
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        split = {"kind": "global_time", "seed": seed}
        store = stored(made(100, items=30), tmp_path / name, split, negatives=NegativesSpec("like", eval_per_row=4))
        drawn.append(store.split("test").drawn.tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_event_of_which_it_is_not_known_whether_it_counts_does_not(tmp_path):
    frame = made(60)
    holes = frame.with_columns(rating=pl.when(pl.int_range(60) % 2 == 0).then(None).otherwise("rating"))
    low = frame.with_columns(rating=pl.when(pl.int_range(60) % 2 == 0).then(0.0).otherwise("rating"))
    one, two = (stored(f, tmp_path / n, {"kind": "global_time"}) for f, n in ((holes, "a"), (low, "b")))
    for part in one.parts:
        assert histories(one, part) == histories(two, part)


def test_rows_that_a_reader_does_not_account_for(tmp_path):
    with pytest.raises(DataError, match="the reader accounts for 61 rows and gives 60: a fault of the reader"):
        build(Table(made(60).lazy(), Account(read=61)), a_recipe(), tmp_path / "s")


def test_an_item_as_of_its_event_cannot_be_drawn(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.features\.mean: a drawn item has no event"):
        stored(made(), tmp_path / "s", {"kind": "random"}, FEATURES | {"mean": MEAN}, negatives=NegativesSpec("like"))


def test_items_are_drawn_for_users_alone(tmp_path):
    features = FEATURES | {"g": {"kind": "group", "column": "tags"}}
    with pytest.raises(ConfigError, match="items are drawn for users; leave the feature of kind group out"):
        stored(made(), tmp_path / "s", {"kind": "random"}, features, negatives=NegativesSpec("like"))


def test_a_wrong_label_is_told_by_its_row_whatever_the_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_room, "CHUNK", 7)
    frame = made(60).with_columns(label=pl.when(pl.int_range(60) == 37).then(5).otherwise(1))
    with pytest.raises(ConfigError, match="found 5 in row 38"):
        stored(frame, tmp_path / "s", {"kind": "random"}, tasks={"x": {"kind": "binary", "target": "label"}})


def test_dates_are_seconds(tmp_path):
    frame = made(60)
    dated = frame.with_columns(pl.from_epoch("time", time_unit="s").alias("time"))
    one, two = (stored(f, tmp_path / n, {"kind": "global_time"}) for f, n in ((frame, "a"), (dated, "b")))
    assert one.meta["span"] == two.meta["span"]
    assert histories(one, "test") == histories(two, "test")


def test_labels_of_rows_that_are_left_out_count_nowhere():
    labels = Labels("x", "binary", 1, ["train", "val", "test"])
    place = np.array([0] * 4 + [1] * 100 + [2] * 99 + [-1] * 9, dtype=np.int8)
    values = np.ones((len(place), 1), dtype=np.float32)
    values[[0, 4, 104]] = 0
    values[-1] = 7  # nor is it refused
    labels.add(values, place, 0)
    assert labels.warnings() == ["x: 98 positive test rows, fewer than 100: no verdict on it"]
    two = np.ones((2, 1), dtype=np.float32)
    labels.add(two, np.full(2, 2, dtype=np.int8), 0)
    assert labels.warnings() == []


def a_recipe():
    split = parse_split({"kind": "random"})
    return Recipe(tuple(parse_features(FEATURES)), tuple(parse_tasks(TASKS)[1]), split, "user", "item", "time")
