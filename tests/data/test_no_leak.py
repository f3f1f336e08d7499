"""What must hold of any data: nothing is learnt from later or held-out rows, and no row is lost."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.build import build
from taskloom.data.loader import ColumnLoader, Extras
from taskloom.data.recipe import Recipe
from taskloom.data.spec import parse_features, parse_split, parse_tasks
from taskloom.data.store import Store
from taskloom.data.table import Account, Table
from taskloom.errors import DataError

FEATURES = {
    "user": {"kind": "categorical", "side": "user"},
    "item": {"kind": "categorical", "side": "item", "min_count": 2},
    "tags": {"kind": "bag", "side": "item", "separator": "|"},
    "price": {"kind": "dense", "side": "item", "log": True},
    "words": {"kind": "text", "side": "item", "column": "tags", "buckets": 32, "width": 4},
    "at": {"kind": "time", "column": "time", "parts": ["hour", "weekday"]},
    "known_mean": {"kind": "asof", "side": "item", "by": "item", "of": "rating"},
    "known_count": {"kind": "asof", "side": "user", "by": "user", "take": "count"},
    "history": {"kind": "history", "of": ["item", "at_hour"], "length": 3},
}
TASKS = {
    "like": {"kind": "binary", "target": "rating >= 3"},
    "rating": {"kind": "regression", "target": "rating", "observed": "rating <> 2"},
}
SPLITS = {
    "random": {"kind": "random"},
    "per_user": {"kind": "per_user", "ratios": [2, 1, 1]},
    "leave_last": {"kind": "leave_last"},
    "global_time": {"kind": "global_time", "ratios": [2, 1, 1]},
    "group": {"kind": "group", "column": "user", "ratios": [2, 1, 1]},
}


@st.composite
def frames(draw):
    n = draw(st.integers(12, 40))
    whole = lambda low, high: st.lists(st.integers(low, high), min_size=n, max_size=n)  # noqa: E731
    tag = st.sampled_from(["", "a", "a|b", "b|c|a", "new"])
    return pl.DataFrame(
        {
            "user": draw(whole(0, 5)),
            "item": draw(whole(0, 6)),
            "rating": pl.Series(draw(whole(0, 5)), dtype=pl.Float64),
            "time": pl.Series(draw(whole(0, 12)), dtype=pl.Int64) * 3600,
            "price": draw(st.lists(st.floats(0, 100), min_size=n, max_size=n)),
            "tags": draw(st.lists(tag, min_size=n, max_size=n)),
        }
    )


def stored(frame, split):
    """The store of a frame; None where the split leaves a part empty."""
    recipe = Recipe(
        tuple(parse_features(FEATURES)),
        tuple(parse_tasks(TASKS)[1]),
        parse_split(split),
        "user",
        "item",
        "time",
    )
    folder = Path(tempfile.mkdtemp())
    try:
        build(Table(frame.lazy(), Account(read=len(frame))), recipe, folder / "s")
    except DataError as error:
        shutil.rmtree(folder)
        if "leaves no row" not in str(error):
            raise
        return None
    return Store(folder / "s")


def rows_of(store, part):
    """By row number: everything that a model gets to see of it."""
    columns = store.split(part)
    batch = next(iter(ColumnLoader(columns, [[0], [1]], len(columns), extras=Extras(store.events()))))
    seen = {}
    for place, row in enumerate(batch.row.tolist()):
        inputs = (batch.categorical, batch.bags, batch.dense, batch.history, batch.history_mask)
        seen[row] = [values[place].tolist() for values in inputs]
    return seen


def everything(store):
    seen = {part: rows_of(store, part) for part in store.parts}
    shutil.rmtree(store.folder.parent)
    return seen


@pytest.mark.parametrize("kind", SPLITS)
@given(frame=frames())
@settings(max_examples=12, deadline=None)
def test_every_row_is_in_one_part(kind, frame):
    store = stored(frame, SPLITS[kind])
    if store is None:
        return
    assert sum(store.meta["rows"].values()) == store.meta["account"]["kept"] == len(frame)
    seen = everything(store)
    assert sorted(row for part in seen.values() for row in part) == list(range(len(frame)))


@pytest.mark.parametrize("kind", SPLITS)
@given(frame=frames(), data=st.data())
@settings(max_examples=12, deadline=None)
def test_no_held_out_row_moves_what_training_sees(kind, frame, data):
    """Other ratings, prices and tags in validation and test, and other users under splits that look at neither."""
    before = stored(frame, SPLITS[kind])
    if before is None:
        return
    held_out = np.concatenate([before.split(part).row.numpy() for part in ("val", "test")])
    statistics, encodings = before.meta["statistics"], before.encodings
    there = pl.Series(np.isin(np.arange(len(frame)), held_out))
    wild = {"rating": 4.0, "price": 9e5, "tags": "never|seen"} | ({"item": 77} if kind != "group" else {})
    other = frame.with_columns(
        pl.when(there).then(pl.lit(value)).otherwise(pl.col(name)).cast(frame.schema[name]).alias(name)
        for name, value in wild.items()
    )
    after = stored(other, SPLITS[kind])
    assert after.meta["statistics"] == statistics
    assert after.encodings == encodings
    assert everything(after)["train"] == everything(before)["train"]


@given(frame=frames(), moment=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_no_later_row_moves_an_earlier_one(frame, moment):
    """Under a split in time, what a row is given depends on earlier rows and on training alone."""
    split = SPLITS["global_time"]
    before = stored(frame, split)
    if before is None:
        return
    train = before.split("train").row.numpy()
    cut = max(moment * 3600, int(frame["time"].to_numpy()[train].max()))
    late = pl.col("time") > cut
    other = frame.with_columns(
        pl.when(late).then(1.0).otherwise(pl.col("rating")).alias("rating"),
        pl.when(late).then(pl.col("item") + 50).otherwise(pl.col("item")).alias("item"),
        pl.when(late).then(1e6).otherwise(pl.col("price")).alias("price"),
    )
    after = stored(other, split)
    one, two = everything(before), everything(after)
    early = set(np.flatnonzero(frame["time"].to_numpy() <= cut).tolist())
    for part in one:
        for row in early & set(one[part]):
            assert one[part][row] == two[part][row]


@pytest.mark.parametrize("kind", SPLITS)
@given(frame=frames())
@settings(max_examples=15, deadline=None)
def test_histories_and_asof_against_a_loop(kind, frame):
    store = stored(frame, SPLITS[kind])
    if store is None:
        return
    part_of = {row: part for part in store.parts for row in store.split(part).row.tolist()}
    vocabulary = {value: i + 1 for i, value in enumerate(store.encodings[1].values)}
    dense = [e for e in store.encodings if e.kind == "dense"]
    mean = next(e for e in dense if e.name == "known_mean")
    blind = kind == "random"
    sees = {"train": {"train"}, "val": {"train", "val"}, "test": {"train", "val", "test"}}
    source = frame.to_dicts()
    for part, found in everything(store).items():
        for row, (_, _, numbers, history, mask) in found.items():
            mine = source[row]
            members = [
                j
                for j, other in enumerate(source)
                if other["time"] < mine["time"] and part_of[j] in ({"train"} if blind else sees[part])
            ]
            own = (j for j in members if source[j]["user"] == mine["user"])
            events = sorted(own, key=lambda j: (source[j]["time"], j))
            wanted = [vocabulary.get(source[j]["item"], 0) for j in events[-3:]]
            assert [ids[0] for ids, there in zip(history, mask, strict=True) if there] == wanted
            ratings = [source[j]["rating"] for j in members if source[j]["item"] == mine["item"]]
            value = (np.mean(ratings) - mean.mean) / mean.std if ratings else 0.0
            np.testing.assert_allclose(numbers[dense.index(mean)], value, rtol=1e-4, atol=1e-5)
