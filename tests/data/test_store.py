import json
import os

import numpy as np
import polars as pl
import pytest
import torch

from taskloom.atomic import folder_beside
from taskloom.data import build as build_room
from taskloom.data.build import build as build_store
from taskloom.data.npy import NpyWriter
from taskloom.data.recipe import Recipe, fingerprint
from taskloom.data.sections import SplitSpec
from taskloom.data.spec import parse_features, parse_split, parse_tasks
from taskloom.data.splits import SPLITS, Events
from taskloom.data.store import Store
from taskloom.data.table import Account, Table
from taskloom.errors import ConfigError, DataError

FEATURES = {
    "user": {"kind": "categorical", "side": "user"},
    "item": {"kind": "categorical", "side": "item", "min_count": 2},
    "tags": {"kind": "bag", "side": "item", "known": True},
    "decade": {"kind": "categorical", "side": "item", "column": "year // 10", "known": True},
    "year": {"kind": "dense", "side": "item", "known": True},
}
TASKS = {
    "like": {"kind": "binary", "target": "rating >= 4"},
    "rating": {"kind": "regression", "target": "rating"},
    "both": {"kind": "regression", "target": ["rating", "year - 1990"]},
}
COLUMNS = ("categorical", "bags", "dense", "targets", "group", "row")


def recipe(features=FEATURES, tasks=TASKS, kind="random", seed=1):
    split = parse_split({"kind": kind, "seed": seed})
    return Recipe(tuple(parse_features(features)), tuple(parse_tasks(tasks)[1]), split, "user", "item", "timestamp")


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 200
    tags = [[f"t{tag}" for tag in rng.choice(6, size=rng.integers(0, 4), replace=False)] for _ in range(n)]
    years = rng.integers(1970, 2000, n).tolist()
    ratings = rng.integers(1, 6, n).astype(float).tolist()
    years[3] = ratings[5] = ratings[6] = None
    return pl.DataFrame(
        {
            "user": rng.integers(0, 20, n),
            "item": rng.integers(0, 30, n),
            "rating": ratings,
            "timestamp": rng.integers(0, 1000, n),
            "year": years,
            "tags": pl.Series(tags, dtype=pl.List(pl.String)),
        }
    )


def build(frame, what, folder):
    build_store(Table(frame.lazy(), Account(read=len(frame))), what, folder)


def built(frame, folder, **options):
    build(frame, recipe(**options), folder)
    return Store(folder)


def columns_of(store, part):
    return {name: getattr(store.split(part), name) for name in COLUMNS}


def test_columns_against_the_rows(frame, tmp_path):
    store = built(frame, tmp_path / "s")
    schema = store.schema
    assert [feature.name for feature in schema.fields] == ["user", "item", "decade", "tags"]
    assert schema.targets == ("like", "rating", "both_0", "both_1")
    shapes = {"categorical": 3, "bags": schema.of_kind("bag")[0].width, "dense": 1, "targets": 4}
    total = 0
    for part in ("train", "val", "test"):
        columns = store.split(part)
        total += len(columns)
        assert {name: getattr(columns, name).shape[1] for name in shapes} == shapes
        assert columns.categorical.dtype == columns.bags.dtype == columns.group.dtype == torch.int32
        assert columns.dense.dtype == columns.targets.dtype == torch.float32
        for place, row in enumerate(columns.row.tolist()):
            source = frame.row(row, named=True)
            vocabulary = store.encodings[0].values
            user = int(columns.categorical[place, 0])
            assert (vocabulary[user - 1] if user else None) == (
                source["user"] if source["user"] in vocabulary else None
            )
            rating, year = (source[name] if source[name] is not None else float("nan") for name in ("rating", "year"))
            like = float(rating >= 4) if rating == rating else float("nan")
            np.testing.assert_array_equal(columns.targets[place], np.float32([like, rating, rating, year - 1990]))
            tags = {store.encodings[2].values[i - 1] for i in columns.bags[place].tolist() if i}
            assert tags == set(source["tags"])
    assert total == len(frame)


def test_a_missing_label_is_nan_and_left_out_of_the_statistics(frame, tmp_path):
    store = built(frame, tmp_path / "s")
    rows = np.flatnonzero(SPLITS["random"](Events(len(frame)), SplitSpec("random", (8, 1, 1), 1)) == 0)
    known = frame[rows].drop_nulls(["rating", "year"])
    both = store.statistics("both")
    assert both.n == len(known)
    assert both.mean == pytest.approx((known["rating"].mean(), known["year"].mean() - 1990))
    assert both.std == pytest.approx((known["rating"].std(ddof=0), known["year"].std(ddof=0)))
    labels = frame[rows]["rating"].drop_nulls()
    assert store.statistics("like").mean == pytest.approx(((labels >= 4).mean(),))
    assert store.statistics("like").n == len(labels)


@pytest.mark.parametrize("altered", ["val", "test"])
def test_no_held_out_row_reaches_training(frame, tmp_path, altered):
    """Other rows with new ids, longer bags and wild values move nothing that training sees."""
    before = built(frame, tmp_path / "before")
    rows = before.split(altered).row.numpy()
    held_out = pl.Series(np.isin(np.arange(len(frame)), rows))
    wild = {
        "user": pl.lit(-77),
        "item": pl.lit(12345),
        "rating": pl.lit(1e6),
        "timestamp": pl.lit(10**9),
        "year": pl.lit(90000),
        "tags": pl.lit([f"new{i}" for i in range(9)], dtype=pl.List(pl.String)),
    }
    other = frame.with_columns(
        pl.when(held_out).then(value).otherwise(pl.col(name)).alias(name) for name, value in wild.items()
    ).cast(frame.schema)
    after = built(other, tmp_path / "after")
    assert after.encodings == before.encodings
    assert after.schema == before.schema
    assert after.meta["statistics"] == before.meta["statistics"]
    for name, values in columns_of(before, "train").items():
        torch.testing.assert_close(getattr(after.split("train"), name), values, rtol=0, atol=0, equal_nan=True)
    ids = after.split(altered).categorical
    assert (ids == 0).all()
    assert (after.split(altered).bags == 0).all()
    assert after.meta["unseen"]["random"]["users"][altered] == len(rows)
    assert after.meta["unseen"]["random"]["items"][altered] == len(rows)


def test_groups_are_users_cold_ones_too(frame, tmp_path):
    store = built(frame, tmp_path / "s", kind="global_time")
    seen = {}
    for part in ("train", "val", "test"):
        columns = store.split(part)
        for group, row in zip(columns.group.tolist(), columns.row.tolist(), strict=True):
            assert seen.setdefault(frame["user"][row], group) == group
    assert sorted(seen.values()) == list(range(frame["user"].n_unique()))


def test_columns_are_mapped_and_files_stay_as_they_are(frame, tmp_path, recwarn):
    store = built(frame, tmp_path / "s")
    columns = store.split("train")
    columns.targets[:] = -1234
    assert not (store.split("train").targets == -1234).any()
    assert not recwarn.list


def test_fingerprint_covers_what_shapes_the_data_and_nothing_else(frame, make):
    def name(what, rows=frame):
        reader = make.TableReader(rows)
        return fingerprint(reader, reader.acquire(None, "."), what)

    base = name(recipe())
    assert len(base) == 16
    assert base == name(recipe(), frame.clone())
    weighted = {name: task | {"weight": 3, "about": "x"} for name, task in TASKS.items()}
    assert name(recipe(tasks=weighted)) == base
    others = {
        name(recipe(seed=2)),
        name(recipe(kind="leave_last")),
        name(recipe(features=FEATURES | {"user": FEATURES["user"] | {"min_count": 3}})),
        name(recipe(features=FEATURES | {"year": None})),
        name(recipe(tasks=TASKS | {"like": {"kind": "binary", "target": "rating >= 3"}})),
        name(recipe(), frame.with_columns(rating=pl.col("rating").fill_null(1))),
        name(recipe(), frame[::-1]),
        name(recipe(), frame.with_columns(tags=pl.col("tags").list.reverse())),
    }
    assert len(others | {base}) == 9


def test_interrupted_build_is_not_taken_for_a_finished_one(frame, tmp_path, monkeypatch):
    folder = tmp_path / "s"
    added = []
    add = build_room.NpyWriter.add

    def dies(writer, values):
        added.append(values)
        if len(added) == 8:
            raise KeyboardInterrupt
        add(writer, values)

    monkeypatch.setattr(build_room.NpyWriter, "add", dies)
    with pytest.raises(KeyboardInterrupt):
        build(frame, recipe(), folder)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()

    # A process killed outright leaves its temporary folder; the next build takes no notice of it.
    (tmp_path / ".s.0badf00d.part" / "train").mkdir(parents=True)
    assert not folder.exists()
    assert len(built(frame, folder).split("test")) == 20


def test_the_first_of_two_builds_stays(frame, tmp_path):
    store = built(frame, tmp_path / "s")
    inode = os.stat(store.folder).st_ino
    assert built(frame, tmp_path / "s").meta == store.meta
    assert os.stat(store.folder).st_ino == inode
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_beside_keeps_the_old_on_failure(tmp_path):
    def half() -> None:
        with folder_beside(tmp_path / "x" / "new") as folder:
            (folder / "half").touch()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        half()
    assert list((tmp_path / "x").iterdir()) == []


def test_damaged_stores(frame, tmp_path):
    store = built(frame, tmp_path / "s")
    path = store.folder / "train" / "targets.npy"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"is damaged .*delete it and start again"):
        store.split("train")
    (store.folder / "meta.json").write_text("{")
    with pytest.raises(DataError, match=r"not a finished data store"):
        Store(store.folder)


def test_vocabularies_can_be_read_without_this_package(frame, tmp_path):
    meta = json.loads((built(frame, tmp_path / "s").folder / "meta.json").read_text())
    tags = next(encoding for encoding in meta["encodings"] if encoding["name"] == "tags")
    assert tags["values"] == sorted({tag for tag in frame["tags"].explode().to_list() if tag})


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("rating - AVG(rating)", r"data\.tasks\.x\.target: .* looks at other rows than its own"),
        ("tags", r"data\.tasks\.x\.target: 'tags' gives List\(String\), not numbers"),
        ("rating + tags", r"data\.tasks\.x\.target: .* cannot be computed"),
    ],
)
def test_targets_that_cannot_be(frame, tmp_path, target, says):
    tasks = {"x": {"kind": "regression", "target": target}}
    with pytest.raises((ConfigError, DataError), match=says):
        build(frame, recipe(tasks=tasks), tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_splits_that_leave_nothing(frame, tmp_path):
    with pytest.raises(DataError, match=r"leaves no row for val of 5 rows"):
        build(frame.head(5), recipe(), tmp_path / "s")
    with pytest.raises(DataError, match="200 of 200 rows have no timestamp"):
        build(frame.with_columns(timestamp=pl.lit(None, dtype=pl.Int64)), recipe(), tmp_path / "s")


def test_a_file_of_too_few_rows_is_no_file(tmp_path):
    for n in (1, 3):
        with pytest.raises(ValueError, match=f"{n} rows were written of 2"):  # noqa: SIM117
            with NpyWriter(tmp_path / "x.npy", np.int32, (2, 1)) as out:
                out.add(np.zeros((n, 1)))
    with pytest.raises(KeyError), NpyWriter(tmp_path / "x.npy", np.int32, (2,)) as out:
        raise KeyError  # what went wrong first is what is told
