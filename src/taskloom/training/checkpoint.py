"""Checkpoint: last.ckpt, from which a killed run goes on."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from taskloom.atomic import file_beside
from taskloom.distributed import objects_at_first, rank, sharded
from taskloom.ranges import PositiveInt
from taskloom.training.rng import restore_rank, rng_state

LAST, BEST = "last.ckpt", "best.ckpt"


class Checkpoint(Callback):
    """Writes ``last.ckpt`` at the start, at each epoch's end and every so many steps.

    It holds all that training needs to go on as if nothing had been: weights, optimiser, schedule, the loader's
    position, the callbacks' state and the random number generators'.

    Args:
        every_steps: steps from one to the next within an epoch.
        folder: where ``last.ckpt`` lies.
    """

    def __init__(self, every_steps: PositiveInt, *, folder: Path) -> None:
        self.every_steps, self.path = every_steps, folder / LAST
        self._rng: list[dict[str, Any]] = []
        self.phase = 0

    def state_dict(self) -> dict[str, Any]:
        """The generators of each rank, and the phase of the training."""
        return {"rng": self._rng, "phase": self.phase}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps the generators' state until training starts: what comes between may draw numbers."""
        rng = state_dict["rng"]
        self._rng = rng if isinstance(rng, list) else [rng]  # older checkpoints know one process
        self.phase = state_dict["phase"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restores the generators, or writes the first checkpoint."""
        if self._rng:
            restore_rank(self._rng, rank())
            self._rng = []
        else:
            self._save(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes every so many steps, but for the last batch: validation and the epoch's end come right after."""
        if trainer.global_step % self.every_steps == 0 and not trainer.is_last_batch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes at the epoch's end."""
        self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        self._rng = objects_at_first(rng_state()) or []
        if trainer.is_global_zero:
            with file_beside(self.path) as path:
                trainer.save_checkpoint(path, weights_only=False)
            if sharded(trainer.lightning_module):
                from taskloom.training.sharded_checkpoint import remove_old_shards

                remove_old_shards(self.path.parent)
        else:  # every rank takes part, and one of them writes
            trainer.save_checkpoint(self.path, weights_only=False)
        self._rng = []


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU; it holds tensors and plain containers alone."""
    return torch.load(path, map_location="cpu", weights_only=True)
