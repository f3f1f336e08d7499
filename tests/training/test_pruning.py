"""Pruning: a trial reports to its study after each epoch, and ends where the study says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from taskloom.schema import Schema
from taskloom.sweeping.study import open_study
from taskloom.sweeping.trial_file import folder_of, write_trial
from taskloom.tracking.run_folder import RunFolder
from taskloom.training.best import BestEpoch
from taskloom.training.checkpoint import Checkpoint
from taskloom.training.pruning import PrunedError, Pruning, end_pruned, pruning
from taskloom.training.run import fit

FACTS: dict[str, Any] = {"sampler": "random", "pruner": "median", "epochs": 4, "sweep": "sweep"}


def trial_of(sweep: Path, level: float, pruner: str = "median") -> tuple[optuna.Study, Path]:
    """A trial of a study in which earlier ones had this score throughout."""
    study, _ = open_study(sweep, None, "it", FACTS | {"pruner": pruner}, [True], 1)
    for _ in range(6):
        earlier = study.ask()
        for epoch in range(1, 5):
            earlier.report(level, epoch)
        study.tell(earlier, level)
    number = study.ask().number
    folder = sweep / folder_of(number)
    write_trial(
        folder,
        {"number": number, "study": "it", "storage": "study.journal", "objectives": ["val/score"], "pruner": pruner},
    )
    return study, folder


def train(folder: Path, module: Any, data: Any) -> dict[str, Any]:
    RunFolder.create(folder, {})
    callbacks = {
        "checkpoint": Checkpoint(100, folder=folder),
        "best": BestEpoch(None, folder=folder),
        **pruning(folder),
    }
    settings = {"accelerator": "cpu", "devices": 1}
    fit(module, data, settings, list(callbacks.values()), [], folder, folder)
    return callbacks


@pytest.fixture
def make_trial(schema: Schema, make_module: Callable[..., Any], make_data: Callable[..., Any]) -> Callable[..., Any]:
    from taskloom.methods.supervised import Supervised

    def run(folder: Path) -> dict[str, Any]:
        return train(folder, make_module(schema, method=Supervised(epochs=4)), make_data(schema))

    return run


def test_a_trial_that_promises_little_is_stopped(tmp_path: Path, make_trial: Callable[..., Any]) -> None:
    study, folder = trial_of(tmp_path, level=99.0)
    with pytest.raises(PrunedError, match=r"stopped after epoch 2: val/score -?\d+\.\d+ promises less .*median"):
        make_trial(folder)
    values = study.trials[-1].intermediate_values
    assert list(values) == [1, 2]
    assert max(values.values()) < 99


def test_a_trial_that_promises_more_goes_on(tmp_path: Path, make_trial: Callable[..., Any]) -> None:
    study, folder = trial_of(tmp_path, level=-99.0)
    callbacks = make_trial(folder)
    values = study.trials[-1].intermediate_values
    assert list(values) == [1, 2, 3, 4]
    assert max(values.values()) == pytest.approx(callbacks["best"].best["all"]["score"])


def test_what_a_pruned_run_says(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    best = BestEpoch(None, folder=tmp_path)
    best.best = {"all": {"score": 0.1, "epoch": 0, "since": 0}}
    end_pruned(run, PrunedError("stopped after epoch 1"), [best])
    record = run.read()
    assert (record["state"], record["reason"], record["best"]) == ("pruned", "stopped after epoch 1", best.best)


def test_a_run_that_is_no_trial_has_no_such_callback(tmp_path: Path) -> None:
    assert pruning(tmp_path) == {}
    _, folder = trial_of(tmp_path / "sweep", level=0.0, pruner="none")
    assert pruning(folder) == {}
    _, folder = trial_of(tmp_path / "other", level=0.0)
    assert isinstance(pruning(folder)["pruning"], Pruning)
