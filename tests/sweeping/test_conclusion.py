"""What a search says at its end: the table, the best configuration, the exit code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import TrialState

from taskloom.config.compose import Composed
from taskloom.errors import RunError
from taskloom.sweeping.conclusion import conclude, importance
from taskloom.sweeping.ledger import Ledger
from taskloom.sweeping.search_settings import read_settings
from taskloom.sweeping.study import load_study, open_study
from taskloom.sweeping.trial_file import folder_of, write_trial
from taskloom.tracking.run_folder import RunFolder

DEFAULTS = {"model": "soft", "optimizer": {"lr": 0.1}, "seed": 42}


def compose(overrides: Sequence[str]) -> Composed:
    model = dict(line.split("=") for line in overrides).get("model", "soft")
    return Composed(DEFAULTS | {"model": model}, {"model": model}, [], [])


def section(**changes: Any) -> dict[str, Any]:
    return {
        "params": {"lr": "interval(0, 1)"},
        "n_trials": 3,
        "objectives": ["val/score"],
        "sampler": "random",
        "seed": 1,
        "pruner": "none",
        "n_jobs": 1,
        "storage": None,
        "study": None,
        "save_as": None,
    } | changes


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    return tmp_path / "conf"


def searched(tmp_path: Path, values: Sequence[Any], higher: Sequence[bool] = (True,), **changes: Any) -> Ledger:
    """A sweep whose trials came to these values; a word stands for a failure's reason, None for a pruned trial."""
    ledger = Ledger.create(tmp_path / "sweep", ["-m"], "optuna")
    settings = read_settings(section(**changes))
    facts: dict[str, Any] = {"sampler": "random", "pruner": "none", "epochs": None, "sweep": "sweep"}
    study, storage = open_study(ledger.path, None, "sweep", facts, higher, 1)
    for value in values:
        trial = study.ask()
        lr = trial.suggest_float("lr", 0, 1)
        dim = trial.suggest_categorical("dim", [8, 16])
        model = trial.suggest_categorical("model", ["soft", "hard"])
        if model == "hard":
            trial.suggest_int("only_hard", 1, 3)
        folder = ledger.path / folder_of(trial.number)
        write_trial(folder, {"number": trial.number, "study": "sweep", "storage": "study.journal"})
        config = DEFAULTS | {"model": model, "optimizer": {"lr": lr}}
        RunFolder.create(folder, {"config": config, "choices": {"model": model}})
        if isinstance(value, str):
            storage.set_trial_user_attr(trial._trial_id, "reason", value)
            study.tell(trial, state=TrialState.FAIL)
        elif value is None:
            study.tell(trial, state=TrialState.PRUNED)
        elif value == "under way":
            pass
        else:
            study.tell(trial, value)
        assert dim in (8, 16)
    assert settings.n_trials
    return ledger


def ended(ledger: Ledger, conf: Path, name: str | None = "mine", interrupted: bool = False, **changes: Any) -> int:
    return conclude(section(**changes), ledger, compose, conf, name, interrupted)


def test_the_end_of_a_search(tmp_path: Path, conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = searched(tmp_path, [0.2, "no memory", 0.7, None])
    assert ended(ledger, conf) == 0
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines()]
    assert [row[:2] for row in rows if row[:1] in (["2"], ["0"]) and "." in row[1]] == [
        ["2", "0.7000"],
        ["0", "0.2000"],
    ]
    assert "2 done, 1 pruned, 1 failed of 4 trials" in printed.out
    assert f"failed: trial 1: no memory ({ledger.path / 'trial-0001'})" in printed.err
    best = ledger.path / "best.yaml"
    assert (
        f"cp {best} {conf / 'experiment' / 'best_mine.yaml'}\n  python src/train.py experiment=best_mine" in printed.out
    )
    text = best.read_text()
    assert text.splitlines()[1] == "# The best of the trials of mine: val/score 0.7000 on validation rows."
    wanted = RunFolder(ledger.path / "trial-0002").read()["config"]
    assert yaml.safe_load(text)["optimizer"] == wanted["optimizer"]


def test_saved_where_it_is_wanted_and_over_nothing(
    tmp_path: Path, conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = searched(tmp_path, [0.2, 0.7, 0.1])
    assert ended(ledger, conf, save_as="mine") == 0
    saved = conf / "experiment" / "mine.yaml"
    assert saved.read_text() == (ledger.path / "best.yaml").read_text()
    ended(ledger, conf, save_as="mine")  # it is the same
    assert "is there already" not in capsys.readouterr().out
    saved.write_text("# changed since\n")
    ended(ledger, conf, save_as="mine")
    assert f"{saved} is there already and stays as it is" in capsys.readouterr().out
    assert saved.read_text() == "# changed since\n"


def test_a_front_has_a_file_a_member(tmp_path: Path, conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objectives = ["val/like/auc", "val/rating/rmse"]
    ledger = searched(tmp_path, [(0.6, 0.9), (0.7, 1.0), (0.5, 1.1)], [True, False], objectives=objectives)
    (ledger.path / "best_2.yaml").write_text("# of a larger front\n")
    assert ended(ledger, conf, objectives=objectives) == 0
    assert sorted(path.name for path in ledger.path.glob("best*")) == ["best_0.yaml", "best_1.yaml"]
    printed = capsys.readouterr().out
    assert "Pareto front" in printed
    assert not any(line.split()[:2] == ["2", "0.5000"] for line in printed.splitlines())
    assert "val/like/auc 0.7000, val/rating/rmse 1.0000" in (ledger.path / "best_1.yaml").read_text()


@pytest.mark.parametrize(
    ("values", "changes", "interrupted", "code", "sentence"),
    [
        ([0.1, 0.2], {}, True, 130, "interrupted: 1 of 3 trials are left"),
        ([0.1, "x", "x", "x", "x", "x"], {}, False, 1, "ended with 2 trials missing: 5 in a row failed"),
        ([0.1, 0.2, 0.3], {}, True, 130, "interrupted: 0 of 3"),
        ([0.1, "x", 0.3, 0.4], {}, False, 0, "failed: trial 1: x"),
    ],
)
def test_the_exit_code(
    tmp_path: Path,
    conf: Path,
    capsys: pytest.CaptureFixture[str],
    values: list[Any],
    changes: dict[str, Any],
    interrupted: bool,
    code: int,
    sentence: str,
) -> None:
    ledger = searched(tmp_path, values)
    assert ended(ledger, conf, interrupted=interrupted) == code
    printed = capsys.readouterr().err
    assert sentence in printed
    assert (f"-m resume={ledger.path}" in printed) == (code != 0)


def test_no_study_yet(tmp_path: Path, conf: Path) -> None:
    with pytest.raises(RunError, match="has no study yet"):
        ended(Ledger.create(tmp_path / "sweep", [], "optuna"), conf)


def test_importance_finds_the_parameter_that_counts(tmp_path: Path) -> None:
    ledger = searched(tmp_path, [])
    study, _ = load_study(ledger.path, None, "sweep")
    for _ in range(30):
        trial = study.ask()
        trial.suggest_categorical("dim", [8, 16])
        study.tell(trial, trial.suggest_float("lr", 0, 1))
    shares = importance(study, read_settings(section()))["val/score"]
    assert shares["lr"] > 0.9
    assert set(shares) == {"lr", "dim"}


def test_importance_of_few_trials_is_not_told(tmp_path: Path) -> None:
    ledger = searched(tmp_path, [0.1] * 9)
    assert importance(load_study(ledger.path, None, "sweep")[0], read_settings(section())) == {}
