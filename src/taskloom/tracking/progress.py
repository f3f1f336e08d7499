"""progress_bar(): a live bar in a terminal, a line an epoch elsewhere; the same lines in both."""

import math
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from torch import Tensor

from taskloom.tracking.crowding import Reading, crowding, read
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


class _EpochLines(Callback):
    """Makes the lines; what shows them says how.

    A line is made when its epoch ends and shown when the next one begins or the training ends, because the
    module logs its mean loss after the callbacks' turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self._best: dict[str, float] = {}
        self._began = 0.0
        self._finish_line: Callable[[float | None], str] | None = None
        self._clocks: Reading | None = None
        self._crowded: str | None = None  # what there is to tell, once
        self._told = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the clock, for a run that goes on in the middle of an epoch, which has no start."""
        super().on_train_start(trainer, pl_module)
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the clock and shows the line of the epoch before."""
        self._show_line(trainer)
        super().on_train_epoch_start(trainer, pl_module)
        self._began = time.perf_counter()
        self._clocks = read() if pl_module.device.type == "cpu" and not self._told else None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes the line, but for the loss."""
        super().on_train_epoch_end(trainer, pl_module)
        metrics = trainer.callback_metrics
        values = {"val/score": float(metrics["val/score"])} if "val/score" in metrics else {}
        for name in main_names(metrics, getattr(pl_module, "main_metrics", None) or {}):
            values[name.removeprefix("val/")] = float(metrics[name])
        throughput = next((c for c in trainer.callbacks if isinstance(c, Throughput)), None)  # type: ignore[attr-defined]
        epochs = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        rate = throughput.epoch_rows_per_s if throughput else None
        epoch, seconds, mark = (
            trainer.current_epoch + 1,
            time.perf_counter() - self._began,
            self._mark(trainer),
        )

        def finish_line(loss: float | None) -> str:
            before = {} if loss is None else {"loss": loss}
            return epoch_line(epoch, epochs, seconds, rate, before | values) + mark

        self._finish_line = finish_line
        if self._clocks is not None and (now := read()) is not None:
            self._crowded = crowding(self._clocks, now, torch.get_num_threads())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shows the last line, and what the model has to say of itself."""
        self._show_line(trainer)
        if (told := getattr(pl_module, "afterword", lambda: None)()) is not None:
            self._show(f"note: {told}")
        super().on_train_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """The best scores, so that a resumed run doesn't call its first epoch the best."""
        return {"best": dict(self._best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them up again."""
        self._best = dict(state_dict["best"])

    def _show(self, line: str) -> None:
        raise NotImplementedError

    def _show_line(self, trainer: Trainer) -> None:
        if self._finish_line is not None:
            loss = trainer.callback_metrics.get("train/loss")
            self._show(self._finish_line(None if loss is None else float(loss)))
            self._finish_line = None
            if self._crowded is not None:
                self._show(f"note: {self._crowded}")
                self._crowded, self._told = None, True

    def _mark(self, trainer: Trainer) -> str:
        """Which score is the highest so far: that of all tasks, or each one's where they share nothing."""
        metrics = trainer.callback_metrics
        scores = {"": "val/score"}
        if getattr(getattr(trainer.lightning_module, "sharing", None), "independent", False):
            tasks = [name.split("/")[1] for name in metrics if re.fullmatch("val/[^/]+/score", name)]
            scores = {f" {task}": f"val/{task}/score" for task in tasks}
        better = []
        for unit, name in scores.items():
            score = float(metrics.get(name, math.nan))
            if score > self._best.get(unit, -math.inf):
                self._best[unit] = score
                better.append(unit)
        return "  *best" + ",".join(better) if better else ""


class PlainProgress(_EpochLines, ProgressBar):
    """Prints a line an epoch, ``*best`` where ``val/score`` is the highest so far.

    The values are the trainer's: ``train/loss``, ``val/score`` and each task's main metric,
    ``val/<task>/<metric>``. Which metric is the main one, the module says by an attribute ``main_metrics``
    (task name to metric name); without it, the first one logged. Rows a second come from the trainer's
    `Throughput` callback, where there is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True

    def disable(self) -> None:
        """Says nothing from now on, as ranks above 0 do."""
        self._enabled = False

    def enable(self) -> None:
        """Speaks again."""
        self._enabled = True

    def _show(self, line: str) -> None:
        if self._enabled:
            print(line, flush=True)


class LiveProgress(_EpochLines, RichProgressBar):
    """A live bar for the epoch under way, and above it the lines of `PlainProgress` for those before."""

    def __init__(self) -> None:
        super().__init__()
        self._refresh_rate = REDRAWS_PER_SECOND
        self.theme = RichProgressBarTheme(progress_bar="cyan", progress_bar_finished="green", metrics="dim")
        self._drawn = 0.0
        self._loss: float | None = None

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The loss beside the bar; the rest is in the lines."""
        return {} if self._loss is None else {"loss": self._loss}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar now and then: reading the loss at each step would make a GPU wait."""
        now = time.perf_counter()
        if now - self._drawn >= 1 / REDRAWS_PER_SECOND or batch_idx + 1 >= self.total_train_batches:
            self._drawn = now
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
            self._loss = float(loss) if isinstance(loss, Tensor) else None
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def _show(self, line: str) -> None:
        if self.is_enabled and self.progress is not None:
            self.progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _get_train_description(self, current_epoch: int) -> str:
        epochs = self.trainer.max_epochs
        return f"epoch {current_epoch + 1}" + (f"/{epochs}" if epochs and epochs > 0 else "")


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


def _in_thousands(number: float) -> str:
    if number >= 1e6:
        return f"{number / 1e6:.1f} M"
    return f"{number / 1e3:.0f} k" if number >= 1e4 else f"{number:.0f}"
