"""Throughput: how many rows a second the training itself takes in, and how long a start takes."""

import statistics
import time
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from taskloom.tracking.machine import peak_memory_mb, seconds_since_start


class Throughput(Callback):
    """Counts rows and seconds of training, and nothing else.

    The clock runs from an epoch's first batch (its loading included) to its last one, and stands still
    during validation. It goes on from where it was when a run is resumed.

    Example:
        >>> Throughput().result()["rows_per_s"] is None
        True
    """

    _process_has_trained: ClassVar[bool] = False

    def __init__(self) -> None:
        self.epoch_rows = 0
        self._epoch_seconds = 0.0
        self._epoch_closed = False
        self._running_since: float | None = None
        self._rates: list[float] = []  # rows a second of each whole epoch
        self._seconds = 0.0  # of the epochs before this one
        self._first_step_s: float | None = None
        # In a multirun only the first job's start is the process's; the others begin here.
        self._began = time.perf_counter() - (0 if Throughput._process_has_trained else seconds_since_start())

    @property
    def epoch_seconds(self) -> float:
        """Seconds of training in this epoch so far."""
        if self._running_since is None:
            return self._epoch_seconds
        return self._epoch_seconds + time.perf_counter() - self._running_since

    @property
    def epoch_rows_per_s(self) -> float | None:
        """Rows a second in this epoch so far; None before its first step."""
        return self.epoch_rows / self.epoch_seconds if self.epoch_rows and self.epoch_seconds else None

    def result(self) -> dict[str, Any]:
        """What run.json keeps.

        Returns:
            ``rows_per_s``, the median over epochs, without the first where there are more, because it warms
            up (None before the first step); ``seconds`` of training; ``first_step_s``, from the start of the
            process to the end of its first step; ``peak_memory_mb`` by place (host, cuda).
        """
        rates = self._rates[1:] or self._rates
        if not rates and self.epoch_rows_per_s is not None:
            rates = [self.epoch_rows_per_s]
        return {
            "rows_per_s": round(statistics.median(rates), 1) if rates else None,
            "seconds": round(self._seconds + self.epoch_seconds, 3),
            "first_step_s": None if self._first_step_s is None else round(self._first_step_s, 3),
            "peak_memory_mb": peak_memory_mb(),
        }

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; not called where a run goes on in the middle of an epoch."""
        self._start()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock where the epoch's start did not."""
        if self._running_since is None:
            self._start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the rows, over all ranks."""
        self.epoch_rows += getattr(batch, "rows_global", None) or len(batch)
        if self._first_step_s is None:
            _wait_for(pl_module)
            self._first_step_s = time.perf_counter() - self._began
            Throughput._process_has_trained = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock; the next batch starts it."""
        self._stop(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the epoch's account; its own numbers stand until the next one begins."""
        self._stop(pl_module)
        if (rate := self.epoch_rows_per_s) is not None:
            self._rates.append(rate)
        self._epoch_closed = True

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop the clock."""
        self._stop(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, so that a checkpoint loads with ``weights_only``."""
        return {
            "rates": list(self._rates),
            "seconds": self._seconds,
            "epoch_rows": self.epoch_rows,
            "epoch_seconds": self.epoch_seconds,
            "epoch_closed": self._epoch_closed,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._rates = list(state_dict["rates"])
        self._seconds = state_dict["seconds"]
        self.epoch_rows = state_dict["epoch_rows"]
        self._epoch_seconds = state_dict["epoch_seconds"]
        self._epoch_closed = state_dict["epoch_closed"]

    def _start(self) -> None:
        if self._epoch_closed:
            self._seconds += self._epoch_seconds
            self.epoch_rows, self._epoch_seconds, self._epoch_closed = 0, 0.0, False
        self._running_since = time.perf_counter()

    def _stop(self, module: LightningModule) -> None:
        if self._running_since is None:
            return
        _wait_for(module)
        self._epoch_seconds = self.epoch_seconds
        self._running_since = None


def _wait_for(module: LightningModule) -> None:
    """A GPU works behind the programme's back: let it come to an end before the clock is read."""
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
