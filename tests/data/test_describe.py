"""Facts of a store: known answers, and what they say where something is wrong."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taskloom.data import figures
from taskloom.data.describe import date, describe
from taskloom.data.encode import Encoding
from taskloom.data.figures import correlations, history_figures, label_figures, repeats
from taskloom.data.loader import Columns
from taskloom.data.store import Store
from taskloom.tasks import Task

NAN = float("nan")
CLICK = Task("click", kind="binary", about="a click")
DWELL = Task("dwell", kind="regression", parent="click", options={"transform": "log1p"})
STARS = Task("stars", kind="ordinal")
TOPICS = Task("topics", kind="multilabel", target=("topics_0", "topics_1"))
TARGETS = ["click", "dwell", "stars", "topics_0", "topics_1"]


def rows(n: int, seed: int) -> dict[str, np.ndarray]:
    """Columns of a part: user, item (1 unknown in five), a bag, two numbers of which one is missing at times."""
    rng = np.random.default_rng(seed)
    click = (rng.random(n) < 0.4).astype(np.float32)
    return {
        "categorical": np.stack([rng.integers(1, 9, n), rng.integers(0, 5, n), np.full(n, 2)], axis=1).astype(np.int32),
        "bags": np.stack([rng.integers(0, 3, n), np.zeros(n)], axis=1).astype(np.int32),
        "dense": np.stack([rng.normal(size=n), np.where(rng.random(n) < 0.25, 0, 1.5)], axis=1).astype(np.float32),
        "targets": np.stack(
            [
                np.where(rng.random(n) < 0.1, NAN, click),
                np.where(click == 1, np.exp(rng.normal(size=n)), NAN),
                rng.integers(1, 6, n),
                click,
                rng.random(n) < 0.5,
            ],
            axis=1,
        ).astype(np.float32),
        "group": rng.integers(0, 8, n).astype(np.int32),
        "row": np.arange(n),
        "history": np.stack([np.zeros(n), rng.integers(0, 8, n)], axis=1).astype(np.int32),
    }


def write(folder: Path, parts: dict[str, dict[str, np.ndarray]], **changes: object) -> Store:
    """A store as the engine writes it."""
    names = list(parts)
    for part, columns in parts.items():
        (folder / part).mkdir(parents=True)
        for name, values in columns.items():
            np.save(folder / part / f"{name}.npy", values)
    encodings = [
        Encoding("user", "categorical", "user", "user_id", values=tuple(range(1, 9))),
        Encoding("item", "categorical", "item", "item", values=tuple("abcd")),
        Encoding("shop", "categorical", "item", "shop", values=("x", "y")),
        Encoding("genres", "bag", "item", "genres", values=("p", "q"), width=2),
        Encoding("age", "dense", "user", "age", mean=40.0, std=10.0),
        Encoding("price", "dense", "item", "price", mean=3.0, std=2.0),
    ]
    sizes = {part: len(columns["row"]) for part, columns in parts.items()}
    counts = {"rows": sizes, "users": dict.fromkeys(names, 0) | {"test": 7}, "items": dict.fromkeys(names, 3)}
    meta = {
        "parts": names,
        "group": "user_id",
        "recipe": {
            "split": {"kind": "global_time", "ratios": [8, 1, 1], "seed": 1},
            "targets": [{"name": n, "expression": f"col_{n}", "task": n.partition("_")[0]} for n in TARGETS],
        },
        "targets": TARGETS,
        "encodings": [encoding.to_json() for encoding in encodings],
        "rows": sizes,
        "users": 8,
        "items": 5,
        "unseen": {"global_time": counts, "random": counts},
        "span": {part: [881250949.0 + 1000 * k, 881250949.0 + 1000 * k + 900] for k, part in enumerate(names)},
        "in_time": True,
        "filtered": {"user with fewer than 5 training rows": 6},
        "account": {
            "read": sum(sizes.values()) + 10,
            "refused": 1,
            "refusals": ["a.csv, line 3: bad"],
            "dropped": {"x": 3},
        },
        "history": {"of": ["item"], "length": 5, "events": 99, "seen": "earlier rows of every part"},
        "notes": ["a note"],
        "warnings": ["split: something", "dwell: a doubt"],
    }
    meta = {key: value for key, value in {**meta, **changes}.items() if value is not None}
    (folder / "meta.json").write_text(json.dumps(meta))
    return Store(folder)


@pytest.fixture
def store(tmp_path):
    return write(tmp_path / "s", {"train": rows(3000, 1), "val": rows(300, 2), "test": rows(500, 3)})


def test_facts(store):
    facts = describe(store, [CLICK, DWELL, STARS, TOPICS], "shop", "by hand", {"rating": "knows the future"})
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["rows"] == {
        "read": 3810,
        "refused": 1,
        "refusals": ["a.csv, line 3: bad"],
        "dropped": {"x": 3},
        "filtered": {"user with fewer than 5 training rows": 6},
        "used": 3800,
    }
    assert (facts["users"], facts["items"], facts["came_from"]) == (8, 5, "by hand")
    assert [part["name"] for part in facts["parts"]] == ["train", "val", "test"]
    assert sum(part["share"] for part in facts["parts"]) == pytest.approx(1)
    assert facts["parts"][0]["span"]["from"] == "1997-12-04 15:55"
    assert [(cold["split"], cold["used"]) for cold in facts["cold"]] == [("global_time", True), ("random", False)]
    assert (facts["cold"][0]["users"]["test"], facts["cold"][0]["items"]["test"]) == (7, 3)
    assert facts["correlation"]["names"] == ["click", "dwell (log1p)", "stars", "col_topics_0", "col_topics_1"]
    assert facts["excluded"] == {"rating": "knows the future"}
    assert facts["notes"] == ["a note"]
    assert {"split: something", "dwell: a doubt"} <= set(facts["warnings"])
    assert "dwell: a doubt" not in describe(store, [CLICK], "shop")["warnings"]


def test_labels_of_each_part(store):
    facts = describe(store, [CLICK, DWELL, STARS, TOPICS], "shop")
    click, dwell, stars, topics = facts["tasks"]
    for part in ("train", "val", "test"):
        targets = store.split(part).targets.numpy()
        known = targets[~np.isnan(targets[:, 0]), 0]
        assert click["parts"][part] == {
            "rows": len(targets),
            "labelled": len(known),
            "coverage": pytest.approx(len(known) / len(targets)),
            "positives": int(known.sum()),
            "rate": pytest.approx(float(known.mean())),
        }
        seconds = targets[~np.isnan(targets[:, 1]), 1].astype(float)
        found = dwell["parts"][part]
        assert found["mean"] == pytest.approx(seconds.mean())
        assert found["std"] == pytest.approx(seconds.std())
        assert found["quantiles"]["0.5"] == pytest.approx(np.median(seconds))
        assert sum(found["histogram"]["rows"]) == found["labelled"] == len(seconds)
        assert stars["parts"][part]["classes"] == {f"{k}": int((targets[:, 2] == k).sum()) for k in range(1, 6)}
        assert topics["parts"][part]["rate"] == pytest.approx(targets[:, 3:].mean(axis=0).tolist())
    assert topics["labels"] == ["col_topics_0", "col_topics_1"]
    assert dwell["parent"] == "click"


def test_tasks_in_another_order_keep_their_own_columns(store):
    facts = describe(store, [TOPICS, CLICK], "shop")
    assert facts["tasks"][1]["parts"] == describe(store, [CLICK], "shop")["tasks"][0]["parts"]
    names, value = facts["correlation"]["names"], facts["correlation"]["value"]
    assert names == ["col_topics_0", "col_topics_1", "click"]
    assert value[0][2] == pytest.approx(1)  # the first topic is the click


def test_features(store):
    found = {feature["name"]: feature for feature in describe(store, [CLICK], "shop")["features"]}
    assert list(found) == ["user", "item", "shop", "genres", "age", "price"]
    test = store.split("test")
    assert found["item"]["unknown"]["test"] == pytest.approx(float((test.categorical[:, 1] == 0).double().mean()))
    assert found["user"]["unknown"] == {"train": 0, "val": 0, "test": 0}
    assert found["genres"]["unknown"]["test"] == pytest.approx(float((test.bags == 0).all(1).double().mean()))
    assert found["price"]["unknown"]["train"] == pytest.approx(0.25, abs=0.03)
    assert [found[name]["values"] for name in ("user", "genres", "age")] == [8, 2, None]
    assert (found["age"]["mean"], found["age"]["std"], found["user"]["from"]) == (40.0, 10.0, "user_id")
    assert [name for name, feature in found.items() if feature["constant"]] == ["shop"]


def test_histories(store):
    found = describe(store, [CLICK], "shop")["history"]
    history = store.split("test").history.numpy()
    sizes = history[:, 1] - history[:, 0]
    cut = np.minimum(sizes, 5)
    assert found["parts"]["test"] == {
        "mean": pytest.approx(cut.mean()),
        "none": pytest.approx((sizes == 0).mean()),
        "full": pytest.approx((sizes >= 5).mean()),
        "median": np.sort(cut)[(len(cut) - 1) // 2],
        "most": sizes.max(),
    }


def test_a_store_that_knows_less(tmp_path):
    parts = {
        part: {k: v for k, v in rows(200, s).items() if k != "history"}
        for s, part in enumerate(("train", "val", "test"))
    }
    bare = ("account", "filtered", "history", "notes", "warnings", "span", "in_time", "unseen")
    facts = describe(write(tmp_path / "s", parts, users=0, items=0, **dict.fromkeys(bare)), [CLICK], "bare")
    assert facts["rows"]["read"] == facts["rows"]["used"] == 600
    assert (facts["users"], facts["items"], facts["cold"], facts["history"]) == (None, None, [], None)
    assert facts["parts"][0]["span"] is None


def test_warnings(tmp_path):
    train, val, test = rows(3000, 1), rows(300, 2), rows(150, 3)
    val["targets"][:, 0] = 1
    test["targets"][:, 1] = NAN
    test["categorical"][:, 0] = 0
    for name in ("categorical", "bags", "dense", "targets"):
        test[name][:30] = train[name][:30]
    spans = {"train": [0.0, 50.0], "val": [50.0, 60.0], "test": [40.0, 70.0]}
    store = write(tmp_path / "s", {"train": train, "val": val, "test": test}, span=spans)
    lines = describe(store, [CLICK, DWELL], "shop")["warnings"]
    for said in (
        "click: all 300 labelled val rows are positive; AUC is not defined there",
        "positive test rows, fewer than 100: no verdict on it",
        "feature shop: it is the same on every training row",
        "feature user: unknown on 80% of test rows",
        "split: training ends 50, after the test part begins 40",
        "repeats: 30 of 150 test rows (20.0%) equal a training row",
    ):
        assert any(said in line for line in lines), said
    assert not any(line.startswith("dwell: all") for line in lines)
    assert len(set(lines)) == len(lines)
    nothing = describe(
        write(tmp_path / "t", {"train": train, "val": val, "test": test | {"targets": test["targets"] * NAN}}),
        [CLICK],
        "x",
    )
    assert "click: no test row has a label; nothing is measured there" in nothing["warnings"]


def test_enough_positives_bring_no_warning(store):
    assert not any(line.startswith("click") for line in describe(store, [CLICK], "shop")["warnings"])


def test_negatives_are_no_one_class_task(tmp_path):
    parts = {part: rows(200, s) for s, part in enumerate(("train", "val", "test"))}
    for columns in parts.values():
        columns["targets"][:, 0] = 1
    negatives = {"task": "click", "per_row": 4, "items": 5}
    facts = describe(write(tmp_path / "s", parts, negatives=negatives), [CLICK], "shop")
    assert not any(line.startswith("click") for line in facts["warnings"])
    assert facts["negatives"]["per_row"] == 4
    assert describe(Store(tmp_path / "s"), [CLICK, STARS, TOPICS], "shop")["correlation"]["names"][0] == "stars"


def test_further_test_sets_tables_and_noise(tmp_path):
    parts = {part: rows(400, s) for s, part in enumerate(("train", "val", "test", "random"))}
    for place, columns in enumerate(parts.values()):
        columns["source"] = (np.arange(400) % 4 == 0).astype(np.int8)
        columns["noise"] = np.full((400, 5), 0.5 * place, dtype=np.float32)
    facts = describe(write(tmp_path / "s", parts, tables=["a", "b"]), [CLICK, STARS], "shop")
    assert facts["tables"] == {"a": dict.fromkeys(parts, 300), "b": dict.fromkeys(parts, 100)}
    assert facts["tasks"][1]["parts"]["random"]["noise"] == pytest.approx(1.5)
    assert set(facts["features"][0]["unknown"]) == set(parts)


def test_chunks_change_nothing(store, monkeypatch):
    whole = describe(store, [CLICK, DWELL, STARS, TOPICS], "shop")
    monkeypatch.setattr(figures, "CHUNK", 77)
    parts = describe(store, [CLICK, DWELL, STARS, TOPICS], "shop")
    assert parts["features"] == whole["features"]
    assert parts["tasks"] == whole["tasks"]
    assert (parts["history"], parts["repeats"]) == (whole["history"], whole["repeats"])
    got, wanted = (np.array(f["correlation"]["value"], dtype=float) for f in (parts, whole))
    assert np.allclose(got, wanted, equal_nan=True)


def test_what_varies_between_chunks_alone_varies(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "CHUNK", 100)
    parts = {part: rows(300, s) for s, part in enumerate(("train", "val", "test"))}
    parts["train"]["categorical"][:, 2] = 1 + np.arange(300) // 100
    facts = describe(write(tmp_path / "s", parts), [CLICK], "shop")
    assert not any(feature["constant"] for feature in facts["features"])


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(2, 30), st.just(3)), elements=st.sampled_from([0, 1, 2.5, -7, NAN])))
def test_correlations_are_those_of_numpy(targets):
    value, rows = correlations(torch.from_numpy(targets), [False] * 3)
    for i in range(3):
        for j in range(3):
            both = targets[~np.isnan(targets[:, [i, j]]).any(axis=1)].astype(float)
            assert rows[i, j] == len(both)
            a, b = both[:, i], both[:, j]
            if len(both) > 1 and np.ptp(a) and np.ptp(b):
                assert value[i, j] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-9)
            else:
                assert np.isnan(value[i, j])


def test_correlation_far_from_zero_and_of_logarithms():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20_000, 2))
    a[:, 1] = 0.6 * a[:, 0] + 0.8 * a[:, 1]
    a += 2e6  # its variance is lost in its squares
    value, _ = correlations(torch.from_numpy(a.astype(np.float32)), [False, False])
    assert value[0, 1] == pytest.approx(0.6, abs=0.02)
    x = np.stack([np.expm1(np.abs(rng.normal(size=1000))), rng.normal(size=1000)], axis=1)
    x[:, 1] = np.log1p(x[:, 0])
    value, _ = correlations(torch.from_numpy(x.astype(np.float32)), [True, False])
    assert value[0, 1] == pytest.approx(1, abs=1e-6)


def test_numbers_with_few_values_are_told_one_by_one():
    values = torch.tensor([1.0, 2, 2, 5, NAN]).unsqueeze(1)
    assert label_figures(values, "count")["classes"] == {"1": 1, "2": 2, "5": 1}
    assert "histogram" not in label_figures(values, "regression")


def test_bars_of_round_numbers_hold_as_many_of_them():
    values = torch.arange(0, 50).repeat(200).float().unsqueeze(1)
    found = label_figures(values, "regression")["histogram"]
    assert np.allclose(np.diff(found["edges"]), 2)
    assert found["edges"][0] == -0.5
    assert found["step"] == 1
    assert label_figures(torch.rand(5000, 1), "regression")["histogram"]["step"] == 0
    assert sum(found["rows"]) == 10_000
    assert set(found["rows"][:-1]) == {400}


def test_outliers_lie_in_the_outer_bars():
    values = torch.cat([torch.randn(10_000, generator=torch.Generator().manual_seed(1)), torch.tensor([1e6, -1e6])])
    found = label_figures(values.unsqueeze(1), "regression")
    assert sum(found["histogram"]["rows"]) == 10_002
    assert found["histogram"]["edges"][-1] < 5
    assert (found["least"], found["most"]) == (-1e6, 1e6)


def test_a_constant_label_has_figures():
    found = label_figures(torch.full((20, 1), 3.0), "regression")
    assert found["classes"] == {"3": 20}
    assert found["std"] == 0
    assert label_figures(torch.full((20, 1), NAN), "regression") == {"rows": 20, "labelled": 0, "coverage": 0.0}


def test_more_classes_than_are_told_leave_the_most_frequent():
    values = torch.cat([torch.arange(200), torch.full((50,), 7), torch.full((9,), 150)]).float().unsqueeze(1)
    found = label_figures(values, "multiclass")["classes"]
    assert len(found) == figures.MOST_CLASSES
    assert (found["7"], found["150"]) == (51, 10)


def test_repeats():
    def columns(ids, numbers, labels):
        n = len(ids)
        return Columns(
            torch.tensor(ids).unsqueeze(1),
            torch.empty(n, 0, dtype=torch.int64),
            torch.tensor(numbers).unsqueeze(1),
            torch.tensor(labels).unsqueeze(1),
            torch.zeros(n),
            torch.arange(n),
        )

    train = columns([1, 1, 1, 2], [0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 0.0, 1.0])
    test = columns([1, 2, 2, 3], [0.5, 0.5, 0.6, 0.5], [0.0, 1.0, 1.0, 1.0])
    assert repeats(train, test) == {"train": 1, "test": 2}


def test_too_many_rows_to_look_for_repeats(store, monkeypatch):
    monkeypatch.setattr(figures, "MOST_ROWS_HASHED", 100)
    assert describe(store, [CLICK], "shop")["repeats"] is None


def test_times_in_words():
    assert date(1704067200) == "2024-01-01 00:00"
    assert date(1704067200 * 1000) == "2024-01-01 00:00"
    assert date(20220408) == "2.02204e+07"


def test_history_of_none():
    found = history_figures(torch.zeros(10, 2, dtype=torch.int32), length=3)
    assert found == {"mean": 0, "none": 1, "full": 0, "median": 0, "most": 0}


def test_a_real_store_says_the_same_as_its_rows(tmp_path):
    """From a reader to facts, through the engine."""
    from taskloom.data.build import build
    from taskloom.data.readers.synthetic import Synthetic
    from taskloom.data.recipe import Recipe
    from taskloom.data.spec import parse_features, parse_split, parse_tasks

    tasks, targets = parse_tasks(
        {"click": {"kind": "binary", "target": "click"}, "dwell": {"kind": "regression", "target": "dwell"}}
    )
    features = {"user": {"kind": "categorical", "side": "user"}, "age": {"kind": "dense", "side": "user"}}
    features["history"] = {"kind": "history", "of": ["user"], "length": 4}
    reader = Synthetic(users=30, items=20, rows=3000, missing=0.2)
    recipe = Recipe(
        tuple(parse_features(features)),
        tuple(targets),
        parse_split({"kind": "global_time"}),
        "user",
        "item",
        "timestamp",
    )
    table = reader.read(reader.acquire(None, tmp_path), tmp_path)
    build(table, recipe, tmp_path / "f", kinds={task.name: task.kind for task in tasks})
    facts = describe(Store(tmp_path / "f"), tasks, "synthetic")
    frame = reader.log()
    click = facts["tasks"][0]["parts"]
    assert [click[part]["rows"] for part in click] == [2400, 300, 300]
    assert click["test"]["labelled"] == frame[2700:]["click"].count()
    assert click["test"]["positives"] == frame[2700:]["click"].sum()
    assert facts["tasks"][1]["parts"]["train"]["mean"] == pytest.approx(frame[:2400]["dwell"].mean(), rel=1e-5)
    both = frame[:2400].drop_nulls(["click", "dwell"])
    assert facts["correlation"]["rows"][0][1] == both.height
    assert facts["correlation"]["value"][0][1] is None  # where there is a dwell time there was a click
    assert facts["users"] == frame["user"].n_unique()
    assert facts["history"]["parts"]["test"]["full"] > 0.9
    assert asdict(table.account)["read"] == facts["rows"]["read"]
    assert isinstance(table.frame, pl.LazyFrame)
