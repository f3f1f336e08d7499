"""The study behind a search: its storage survives a kill, its sampler goes on where it was, its pruner stops."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from taskloom.errors import ConfigError
from taskloom.sweeping.study import make_pruner, open_study, quiet

FACTS = {
    "objectives": ["val/score"],
    "sampler": "tpe",
    "pruner": "none",
    "epochs": 4,
    "space": "lr",
    "fixed": [],
    "sweep": "sweep",
}


def opened(folder: Path, address: str | None = None, higher: Sequence[bool] = (True,), **facts: Any) -> optuna.Study:
    return open_study(folder, address, "it", FACTS | facts, higher, seed=3)[0]


def propose(study: optuna.Study, n: int) -> list[tuple[float, int]]:
    found = []
    for _ in range(n):
        trial = study.ask()
        x, k = trial.suggest_float("x", 0, 1), trial.suggest_int("k", 1, 9)
        found.append((x, k))
        study.tell(trial, [(x - 0.3) ** 2 + k] * len(study.directions))
    return found


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_a_search_goes_on_to_the_points_it_would_have_come_to(tmp_path: Path, sampler: str) -> None:
    whole = propose(opened(tmp_path / "a", sampler=sampler), 14)
    parts = [propose(opened(tmp_path / "b", sampler=sampler), 1) for _ in range(14)]
    assert [part[0] for part in parts] == whole
    assert len(set(whole)) == 14


def test_another_seed_gives_other_points(tmp_path: Path) -> None:
    one = propose(opened(tmp_path / "a"), 3)
    other = propose(open_study(tmp_path / "b", None, "it", FACTS, [True], seed=4)[0], 3)
    assert one != other


def test_tpe_learns(tmp_path: Path) -> None:
    points = propose(opened(tmp_path, higher=[False]), 40)
    assert sum(k for _, k in points[-10:]) < sum(k for _, k in points[:10])


def test_a_line_torn_by_a_kill_is_cut_off(tmp_path: Path) -> None:
    before = propose(opened(tmp_path), 2)
    journal = tmp_path / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"worker_id":"x')
    study = opened(tmp_path)
    assert len(study.trials) == 2
    after = propose(study, 1)
    assert journal.read_bytes().startswith(whole)
    assert [(t.params["x"], t.params["k"]) for t in opened(tmp_path).trials] == [*before, *after]


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    """As Optuna's own locks do; the file that this one leaves locks nobody out."""
    study = opened(tmp_path)
    (tmp_path / ".study.journal.lock").write_text("")
    (tmp_path / "study.journal.lock").symlink_to(tmp_path / "study.journal")
    assert len(propose(study, 1)) == 1


def test_a_relative_sqlite_file_lies_in_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    propose(opened(tmp_path / "sweep", "sqlite:///study.db"), 1)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(opened(tmp_path / "sweep", "sqlite:///study.db").trials) == 1
    assert (tmp_path / "sweep" / "study.db").is_file()


@pytest.mark.parametrize("address", ["sqlite:////no/such/folder/study.db", "nonsense://x"])
def test_a_storage_that_cannot_be_opened_is_told(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=r"hydra.sweeper.storage=.*cannot be opened"):
        opened(tmp_path, address)


def test_another_search_does_not_get_into_a_study(tmp_path: Path) -> None:
    opened(tmp_path)
    opened(tmp_path)
    with pytest.raises(ConfigError, match=r"another space \(lr, now dim\)"):
        opened(tmp_path, space="dim")
    with pytest.raises(ConfigError, match="the study it is that of sweep: go on with -m resume"):
        opened(tmp_path, sweep="other")


CURVES = {  # the best after 9 epochs is the best throughout
    "good": [0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8, 0.9],
    "bad": [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
}


def stopped_after(study: optuna.Study, curve: Sequence[float]) -> int | None:
    trial = study.ask()
    for epoch, value in enumerate(curve, start=1):
        trial.report(value, epoch)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return epoch
    study.tell(trial, curve[-1])
    return None


@pytest.mark.parametrize(("name", "latest"), [("median", 4), ("halving", 1), ("hyperband", 9)])
def test_a_pruner_stops_what_promises_little(name: str, latest: int) -> None:
    with quiet():
        study = optuna.create_study(direction="maximize", pruner=make_pruner(name, 9), study_name="fixed")
    assert [stopped_after(study, CURVES["good"]) for _ in range(6)].count(None) >= 1
    ends = [stopped_after(study, CURVES["bad"]) for _ in range(6)]
    assert all(end is not None and end <= latest for end in ends), ends
    assert stopped_after(study, [value + 0.05 for value in CURVES["good"]]) is None


def test_median_lets_a_slow_start_catch_up() -> None:
    with quiet():
        study = optuna.create_study(direction="maximize", pruner=make_pruner("median", 8), study_name="fixed")
    assert [stopped_after(study, [0.5] * 8) for _ in range(6)] == [None] * 6
    assert stopped_after(study, [0.1, 0.2, 0.4, 0.55, 0.6, 0.6, 0.6, 0.6]) is None
    assert stopped_after(study, [0.1, 0.2, 0.3, 0.4, 0.45, 0.6, 0.6, 0.6]) == 4


def test_no_pruner_stops_nothing() -> None:
    with quiet():
        study = optuna.create_study(direction="maximize", pruner=make_pruner("none", 9))
    assert [stopped_after(study, CURVES[name]) for name in ("good",) * 6 + ("bad",) * 3] == [None] * 9
