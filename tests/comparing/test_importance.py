"""Shares of variance: exact on a full grid, estimated by a forest elsewhere, none where there is too little."""

import itertools
import random

import pytest

from taskloom.comparing.importance import INTERACTIONS, describe_key, importance


def grid(function, **levels):
    settings = [dict(zip(levels, row, strict=True)) for row in itertools.product(*levels.values())]
    return settings, [function(**row) for row in settings]


def shares(settings, values, blocks=None):
    rows, method = importance(settings, values, blocks or ["films"] * len(settings))
    return {row["key"]: row["share"] for row in rows}, method


def test_main_effects_of_a_balanced_grid_are_exact() -> None:
    """Variances of independent ±1 terms add: 4, 1 and, for their product, 0.25 of 5.25."""
    settings, y = grid(lambda a, b: 2 * a + b + 0.5 * a * b, a=[-1, 1], b=[-1, 1])
    found, method = shares(settings, [{1: value} for value in y])
    assert found == pytest.approx({"a": 4 / 5.25, "b": 1 / 5.25, INTERACTIONS: 0.25 / 5.25})
    assert method == "by analysis of variance of the full grid"


def test_pure_interaction_belongs_to_nobody_alone() -> None:
    settings, y = grid(lambda a, b: a * b, a=[-1, 1], b=[-1, 1])
    assert shares(settings, [{1: value} for value in y])[0] == pytest.approx({"a": 0, "b": 0, INTERACTIONS: 1})


def test_words_count_as_they_are() -> None:
    settings, y = grid(
        lambda model, n: {"soft": 3.0, "hard": 1.0, None: 2.0}[model], model=["soft", "hard", None], n=[1, 2]
    )
    assert shares(settings, [{1: value} for value in y])[0]["model"] == pytest.approx(1)


def test_the_standard_error_is_that_of_leaving_a_seed_out() -> None:
    settings, y = grid(lambda a, b: 2 * a + b, a=[-1, 1], b=[-1, 1])
    same, _ = importance(settings, [{1: value, 2: value, 3: value} for value in y], ["films"] * 4)
    assert [row["se"] for row in same] == pytest.approx([0, 0, 0])
    noise = random.Random(0)
    noisy, _ = importance(settings, [{s: value + noise.gauss(0, 0.5) for s in (1, 2, 3)} for value in y], ["films"] * 4)
    assert all(0 < row["se"] < 0.5 for row in noisy)
    single, _ = importance(settings, [{1: value} for value in y], ["films"] * 4)
    assert [row["se"] for row in single] == [None, None, None]


def test_differences_between_data_sets_do_not_count() -> None:
    settings, y = grid(lambda a, b: 2.0 * a + b, a=[-1, 1], b=[-1, 1])
    values = [{1: value} for value in y] + [{1: 1000 + 50 * value} for value in y]
    found, _ = shares(settings * 2, values, ["films"] * 4 + ["shops"] * 4)
    assert found == pytest.approx({"a": 0.8, "b": 0.2, INTERACTIONS: 0})


def test_a_search_is_judged_by_a_forest() -> None:
    draw = random.Random(1)
    settings = [
        {"lr": 10 ** draw.uniform(-4, -1), "model": draw.choice(["soft", "hard"]), "idle": draw.random()}
        for _ in range(80)
    ]
    values = [{1: (row["lr"] > 0.003) * 3.0 + (row["model"] == "soft") * 1.0 + draw.gauss(0, 0.05)} for row in settings]
    rows, method = importance(settings, values, ["films"] * 80)
    found = {row["key"]: row for row in rows}
    assert [row["key"] for row in rows] == ["lr", "model", "idle"]
    assert method == "by a forest on the means of the configurations"
    # variances: 9 · p(1 − p) and 0.25
    assert found["lr"]["share"] == pytest.approx(0.89, abs=0.15)
    assert found["model"]["share"] == pytest.approx(0.1, abs=0.05)
    assert found["idle"]["share"] < 0.03
    assert all(0 < row["se"] < 0.1 for row in rows)
    assert importance(settings, values, ["films"] * 80)[0] == rows  # the same each time


def test_a_setting_that_some_runs_do_not_have() -> None:
    draw = random.Random(2)
    settings = [{"strength": draw.choice([None, 0.001, 0.1, 10.0]), "dim": draw.choice([8, 16])} for _ in range(60)]
    values = [{1: float(row["strength"] is None) + draw.gauss(0, 0.02)} for row in settings]
    assert shares(settings, values)[0]["strength"] > 0.8


@pytest.mark.parametrize(
    ("settings", "values", "why"),
    [
        ([], [], "two settings"),
        ([{"a": 1}, {"a": 2}], [1.0, 2.0], "two settings"),
        ([{"a": 1, "b": 1}, {"a": 2, "b": 2}], [1.0, 2.0], "takes a full grid, or 16 configurations; there are 2"),
        ([{"a": a, "b": b} for a in (1, 2) for b in (1, 2)], [0.4, 0.1 + 0.3, 0.4, 0.4], "equally good"),
    ],
)
def test_nothing_is_said_of_too_little(settings, values, why: str) -> None:
    found, method = shares(settings, [{1: value} for value in values])
    assert found == {}
    assert why in method


def test_kinds_of_settings() -> None:
    assert describe_key("model", ["b", "a", "b"]) == {
        "key": "model",
        "kind": "category",
        "log": False,
        "values": ["b", "a"],
    }
    assert describe_key("dim", [64, 8, 16])["values"] == [8, 16, 64]
    assert not describe_key("dim", [8, 16])["log"]
    assert describe_key("lr", [1e-4, 1e-2])["log"]
    assert not describe_key("l2", [0.0, 1.0])["log"]
    assert describe_key("detach", [True, False])["kind"] == "category"
