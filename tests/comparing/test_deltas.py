"""Gains over a baseline: signed so that + is better, paired by seed, against the baseline with the same settings."""

import pytest

from taskloom.comparing.comparison import compare
from taskloom.comparing.deltas import delta_m, gain, gains
from taskloom.errors import ConfigError


def test_plus_is_better_whatever_the_direction() -> None:
    assert gain(0.84, 0.80, True) == pytest.approx(5)
    assert gain(0.84, 0.80, False) == pytest.approx(-5)
    assert gain(0.0, -0.5, True) == pytest.approx(100)  # R² may be negative
    assert gain(1.0, 0.0, True) != gain(1.0, 0.0, True)  # no relation to nothing


def test_gains_are_taken_seed_by_seed() -> None:
    assert gains({1: 0.88, 2: 0.99, 3: 5.0}, {1: 0.8, 2: 0.9, 4: 1.0}, True) == pytest.approx({1: 10, 2: 10})
    assert gains({3: 1.0, 4: 1.2}, {1: 1.0, 2: 1.0}, True) == pytest.approx({None: 10})
    assert gains({}, {1: 1.0}, True) == {}


def test_delta_m_by_hand() -> None:
    """Two tasks, two seeds: (10 − 5) / 2 and (20 − 5) / 2."""
    found = delta_m([{1: 10.0, 2: 20.0}, {1: -5.0, 2: -5.0}])
    assert found is not None
    assert (found.mean, found.se, found.n) == (5.0, 2.5, 2)
    assert delta_m([{1: 1.0}, {}]) is None
    assert delta_m([]) is None


def test_of_a_comparison(make_run) -> None:
    folders = [
        *(make_run(f"s{s}", "model=single_task", seed=s, auc=0.80, rmse=0.90) for s in (1, 2)),
        make_run("h1", "model=hard_sharing", seed=1, auc=0.84, rmse=0.99),
        make_run("h2", "model=hard_sharing", seed=2, auc=0.82, rmse=0.90),
    ]
    found = compare(folders)
    single, hard = sorted(found["points"], key=lambda point: -point["baseline"])
    assert (single["baseline"], single["delta_m"], single["metrics"]["like/auc"]["delta"]) == (True, None, None)
    assert hard["metrics"]["like/auc"]["delta"] == pytest.approx(3.75)
    assert hard["metrics"]["rating/rmse"]["delta"] == pytest.approx(-5)
    assert hard["metrics"]["val/score"]["delta"] is None
    assert hard["baseline_point"] == single["id"]
    assert hard["delta_m"]["mean"] == pytest.approx(((5 - 10) / 2 + 2.5 / 2) / 2)
    assert hard["delta_m"]["n"] == 2


def test_each_is_held_against_the_baseline_with_its_other_settings(make_run) -> None:
    base = {"fm": 0.8, "mlp": 0.4}
    folders = [make_run(f"s{b}", "model=single_task", f"backbone={b}", auc=base[b]) for b in base]
    folders += [make_run(f"h{b}", "model=hard_sharing", f"backbone={b}", auc=0.88) for b in base]
    gained = {p["label"]: p["metrics"]["like/auc"]["delta"] for p in compare(folders)["points"] if not p["baseline"]}
    assert gained == pytest.approx({"hard_sharing · fm": 10, "hard_sharing · mlp": 120})


def test_without_it_the_best_baseline_by_validation(make_run) -> None:
    folders = [
        make_run("s1", "model=single_task", settings={"optimizer.lr": 0.1}, auc=0.5, score=0.1),
        make_run("s2", "model=single_task", settings={"optimizer.lr": 0.2}, auc=0.4, score=0.2),
        make_run("h", "model=hard_sharing", settings={"optimizer.lr": 0.3}, auc=0.5),
    ]
    found = compare(folders)
    hard = next(point for point in found["points"] if not point["baseline"])
    assert hard["metrics"]["like/auc"]["delta"] == pytest.approx(25)
    assert any(
        "no baseline has the settings of hard_sharing · lr=0.3: held against single_task" in n for n in found["notes"]
    )


def test_a_baseline_on_other_data_is_none(make_run) -> None:
    folders = [make_run("s", "model=single_task"), make_run("h", "model=hard_sharing", "data=movielens_1m")]
    assert all(point["delta_m"] is None for point in compare(folders)["points"])


def test_another_baseline(make_run) -> None:
    folders = [make_run(b, f"backbone={b}", seed=1, auc=auc) for b, auc in (("fm", 0.8), ("mlp", 0.4))]
    found = compare(folders, baseline="backbone=mlp")
    assert [(p["label"], p["baseline"]) for p in found["points"]] == [("fm", False), ("mlp", True)]
    assert found["points"][0]["metrics"]["like/auc"]["delta"] == pytest.approx(100)


def test_no_baseline(make_run) -> None:
    folders = [make_run(m, f"model={m}") for m in ("hard_sharing", "soft_sharing")]
    assert "no run is single_task: without that baseline there is no Δm" in compare(folders)["notes"]
    with pytest.raises(ConfigError, match=r"baseline=soft_sharin: no run is that; did you mean soft_sharing\?"):
        compare(folders, baseline="soft_sharin")
    with pytest.raises(ConfigError, match="the models are hard_sharing, soft_sharing; or write key=value"):
        compare(folders, baseline="backbone=mlp")
