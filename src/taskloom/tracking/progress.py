"""progress_bar(): a live bar in a terminal, a line an epoch elsewhere; the same lines in both."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from torch import Tensor

from taskloom.tracking.throughput import Throughput

# A drawing takes about 4 ms of the one interpreter: twice a second is under 1 % of any step.
REDRAWS_PER_SECOND = 2


def progress_bar() -> ProgressBar:
    """What shows a training's progress: `LiveProgress` in a terminal, `PlainProgress` in a file or pipe.

    Example:
        >>> type(progress_bar()).__name__  # the output of a test is no terminal
        'PlainProgress'
    """
    return LiveProgress() if sys.stdout.isatty() else PlainProgress()


def epoch_line(
    epoch: int, epochs: int | None, seconds: float, rows_per_s: float | None, values: Mapping[str, float]
) -> str:
    """One epoch in one line, narrow enough for a terminal.

    Args:
        epoch: counted from 1.
        epochs: how many there are at most; None where nobody knows.
        seconds: the epoch's, validation included.
        rows_per_s: of training alone, validation excluded.
        values: what to show, in order, under the names to show.

    Example:
        >>> epoch_line(3, 30, 1.234, 412_000, {"loss": 0.83, "val/score": 0.412})
        'epoch  3/30  1.2 s  412 k rows/s  loss 0.830  val/score 0.412'
    """
    width = len(str(epochs)) if epochs else 1
    parts = [f"epoch {epoch:>{width}}" + (f"/{epochs}" if epochs else ""), f"{seconds:.1f} s"]
    if rows_per_s is not None:
        parts.append(f"{_in_thousands(rows_per_s)} rows/s")
    parts += [f"{name} {value:.3f}" for name, value in values.items()]
    return "  ".join(parts)


class PlainProgress(ProgressBar):
    """Prints a line an epoch, ``*best`` where ``val/score`` is the highest so far.

    The values are the trainer's: ``train/loss``, ``val/score`` and each task's main metric,
    ``val/<task>/<metric>``. Which metric is the main one, the module says by an attribute ``main_metrics``
    (task name to metric name); without it, the first one logged. Rows a second come from the trainer's
    `Throughput` callback, where there is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._best: float | None = None
        self._began = 0.0
        self._enabled = True

    def disable(self) -> None:
        """Say nothing from now on, as ranks above 0 do."""
        self._enabled = False

    def enable(self) -> None:
        """Speak again."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """For a run that goes on in the middle of an epoch, which has no start."""
        super().on_train_start(trainer, pl_module)
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the clock."""
        super().on_train_epoch_start(trainer, pl_module)
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line."""
        super().on_train_epoch_end(trainer, pl_module)
        line, self._best = _line_of(trainer, pl_module, time.perf_counter() - self._began, self._best)
        if self._enabled:
            print(line, flush=True)

    def state_dict(self) -> dict[str, Any]:
        """The best score, so that a resumed run doesn't call its first epoch the best."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self._best = state_dict["best"]


class LiveProgress(RichProgressBar):
    """A live bar for the epoch under way, and above it the lines of `PlainProgress` for those before."""

    def __init__(self) -> None:
        theme = RichProgressBarTheme(progress_bar="cyan", progress_bar_finished="green", metrics="dim")
        super().__init__(refresh_rate=REDRAWS_PER_SECOND, theme=theme)
        self._best: float | None = None
        self._began = 0.0
        self._drawn = 0.0

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The loss beside the bar; the rest is in the lines."""
        loss = _number(trainer.callback_metrics, "train/loss", "train/loss_step")
        return {} if loss is None else {"loss": loss}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        super().on_train_start(trainer, pl_module)
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the bar anew."""
        super().on_train_epoch_start(trainer, pl_module)
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar now and then: reading the loss at each step would make a GPU wait."""
        now = time.perf_counter()
        if now - self._drawn >= 1 / REDRAWS_PER_SECOND or batch_idx + 1 >= self.total_train_batches:
            self._drawn = now
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line above the bar."""
        super().on_train_epoch_end(trainer, pl_module)
        line, self._best = _line_of(trainer, pl_module, time.perf_counter() - self._began, self._best)
        if self.is_enabled and self.progress is not None:
            self.progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def state_dict(self) -> dict[str, Any]:
        """The best score."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self._best = state_dict["best"]

    def _get_train_description(self, current_epoch: int) -> str:
        epochs = self.trainer.max_epochs
        return f"epoch {current_epoch + 1}" + (f"/{epochs}" if epochs and epochs > 0 else "")


def _line_of(
    trainer: Trainer, module: LightningModule, seconds: float, best: float | None
) -> tuple[str, float | None]:
    """The line of the epoch that just ended, and the best score including it."""
    metrics = trainer.callback_metrics
    values: dict[str, float] = {}
    if (loss := _number(metrics, "train/loss", "train/loss_epoch")) is not None:
        values["loss"] = loss
    score = _number(metrics, "val/score")
    if score is not None:
        values["val/score"] = score
    for name in main_names(metrics, getattr(module, "main_metrics", None) or {}):
        values[name.removeprefix("val/")] = float(metrics[name])
    throughput = next((c for c in trainer.callbacks if isinstance(c, Throughput)), None)  # type: ignore[attr-defined]
    epochs = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
    rate = throughput.epoch_rows_per_s if throughput else None
    line = epoch_line(trainer.current_epoch + 1, epochs, seconds, rate, values)
    if score is not None and (best is None or score > best):
        return line + "  *best", score
    return line, best


def main_names(names: Any, main: Mapping[str, str]) -> list[str]:
    """Of the validation metrics ``val/<task>/<metric>``, one a task.

    Args:
        names: names of logged values, in order; others than ``val/<task>/<metric>`` are passed over.
        main: the main metric by task; a task that is not in it shows the first of its own.

    Example:
        >>> logged = ["train/loss", "val/score", "val/like/gauc", "val/like/auc", "val/rating/rmse"]
        >>> main_names(logged, {"like": "auc"})
        ['val/like/auc', 'val/rating/rmse']
    """
    chosen: dict[str, str] = {}
    for name in names:
        match name.split("/"):
            case ["val", task, metric] if task not in chosen or main.get(task) == metric:
                chosen[task] = name
    return list(chosen.values())


def _number(metrics: Mapping[str, Any], *names: str) -> float | None:
    for name in names:
        if name in metrics:
            value = metrics[name]
            return float(value.item() if isinstance(value, Tensor) else value)
    return None


def _in_thousands(number: float) -> str:
    if number >= 1e6:
        return f"{number / 1e6:.1f} M"
    return f"{number / 1e3:.0f} k" if number >= 1e4 else f"{number:.0f}"
