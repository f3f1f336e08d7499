"""Pruning: ends a trial of a search that promises little."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from taskloom.sweeping.trial_file import read_trial
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.throughput import Throughput
from taskloom.training.best import BestEpoch


class PrunedError(Exception):
    """The search needs no more of this trial; the message says why."""


class Pruning(Callback):
    """Reports a trial's objective to its study after each epoch, and stops the trial where the study says so.

    Args:
        folder: of the run, inside that of the sweep.
        trial: what ``trial.json`` says.

    Raises:
        PrunedError: from the validation of an epoch, on every rank alike.
    """

    def __init__(self, folder: Path, trial: dict[str, Any]) -> None:
        self.folder, self.trial = folder, trial
        (self.objective,) = trial["objectives"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reports one epoch."""
        epochs = trainer.current_epoch + 1 + sum(c.epochs_before for c in _best(trainer))
        value = float(trainer.callback_metrics.get(self.objective, math.nan))
        stop = trainer.is_global_zero and math.isfinite(value) and self._report(epochs, value)
        if trainer.strategy.broadcast(stop):
            raise PrunedError(
                f"stopped after epoch {epochs}: {self.objective} {value:.4f} promises less than other trials "
                f"(pruner {self.trial['pruner']})"
            )

    def _report(self, epochs: int, value: float) -> bool:
        """Whether the study wants the trial to stop after so many epochs with this value."""
        from taskloom.sweeping.study import load_study

        study, storage = load_study(self.folder.parent, self.trial["storage"], self.trial["study"])
        found = next(t for t in study.get_trials(deepcopy=False) if t.number == self.trial["number"])
        storage.set_trial_intermediate_value(found._trial_id, epochs, value)
        return study.pruner.prune(study, storage.get_trial(found._trial_id))


def pruning(folder: Path) -> dict[str, Callback]:
    """The callback of a run that is a trial of a search with a pruner, by name; none for any other run."""
    trial = read_trial(folder)
    return {"pruning": Pruning(folder, trial)} if trial and trial["pruner"] != "none" else {}


def end_pruned(folder: RunFolder, why: PrunedError, callbacks: Iterable[Callback]) -> None:
    """Says in ``run.json`` that a run was stopped; no test row is scored.

    Args:
        folder: of the run.
        why: it was stopped.
        callbacks: of the training.
    """
    found: dict[str, Any] = {}
    for callback in callbacks:
        if isinstance(callback, BestEpoch):
            found["best"] = callback.best
        elif isinstance(callback, Throughput):
            found |= callback.result()
    folder.update(state="pruned", reason=str(why), **found)
    print(f"pruned: {why}", flush=True)


def _best(trainer: L.Trainer) -> list[BestEpoch]:
    return [callback for callback in trainer.callbacks if isinstance(callback, BestEpoch)]  # type: ignore[attr-defined]
