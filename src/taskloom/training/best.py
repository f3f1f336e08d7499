"""BestEpoch: keeps the weights of the best epoch and stops when no better one comes."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from taskloom.atomic import file_beside
from taskloom.distributed import rank, sharded
from taskloom.module import MultiTaskModule
from taskloom.ranges import NonNegative, PositiveInt
from taskloom.training.checkpoint import BEST, read_checkpoint

ALL = "all"


class BestEpoch(Callback):
    """Early stopping and best checkpoint on ``val/score``, which is higher the better for every task.

    Tasks that share nothing are judged one by one: each has its own best epoch, and ``best.ckpt`` holds each
    task's parameters as they were then. Training stops when no score has improved for ``patience`` epochs.

    Args:
        patience: epochs without improvement after which training stops; null never stops early.
        min_delta: what counts as an improvement.
        folder: where ``best.ckpt`` lies.
    """

    def __init__(self, patience: PositiveInt | None, min_delta: NonNegative = 0.0, *, folder: Path) -> None:
        self.patience, self.min_delta, self.path = patience, min_delta, folder / BEST
        #: of each judged unit (all tasks together, or a task's name): best score, its epoch, epochs since
        self.best: dict[str, dict[str, Any]] = {}
        #: epochs of the phases before this one
        self.epochs_before = 0
        #: steps taken so far
        self.last_step = 0

    def state_dict(self) -> dict[str, Any]:
        """The best scores so far."""
        return {"best": self.best, "epochs_before": self.epochs_before, "last_step": self.last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the best scores so far."""
        self.best, self.epochs_before = state_dict["best"], state_dict["epochs_before"]
        self.last_step = state_dict["last_step"]

    @property
    def stopped(self) -> bool:
        """Whether no unit has improved for ``patience`` epochs."""
        return (
            self.patience is not None
            and bool(self.best)
            and all(unit["since"] >= self.patience for unit in self.best.values())
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A run killed after its last epoch does not begin another."""
        if self.stopped:
            trainer.should_stop = True

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compares this epoch's scores with the best ones."""
        assert isinstance(pl_module, MultiTaskModule)
        self.last_step = trainer.global_step
        improved = []
        for unit, key in self._units(pl_module).items():
            score = float(trainer.callback_metrics.get(key, torch.nan))
            known = self.best.get(unit)
            # A score that is not defined never beats one that is, but a first one must be kept.
            if known is None or score > known["score"] + self.min_delta or known["score"] != known["score"]:
                epoch = self.epochs_before + trainer.current_epoch
                self.best[unit] = {"score": score, "epoch": epoch, "since": 0}
                improved.append(unit)
            else:
                known["since"] += 1
        if improved and (trainer.is_global_zero or sharded(pl_module)):
            self._keep(pl_module, improved)
        if self.stopped:
            trainer.should_stop = True

    def _units(self, module: MultiTaskModule) -> dict[str, str]:
        if module.sharing.independent:
            return {task.name: f"val/{task.name}/score" for task in module.tasks}
        return {ALL: "val/score"}

    def _keep(self, module: MultiTaskModule, improved: list[str]) -> None:
        now: dict[str, Tensor] = module.state_dict()
        content: dict[str, Any] = {"state_dict": now, "best": self.best}
        spread = sharded(module)
        if module.sharing.independent and len(improved) < len(module.tasks) and (spread or self.path.exists()):
            own = {k for k, task in enumerate(module.tasks) if task.name in improved}
            others = {name for name in now if module.owner(name) not in own}
            before = read_checkpoint(self.path) if rank() == 0 else {"state_dict": {}}
            content["state_dict"] = {name: tensor for name, tensor in now.items() if name not in others}
            content["state_dict"] |= {name: t for name, t in before["state_dict"].items() if name in others}
            if spread:
                content["shards"] = {p: f for p, f in before.get("shards", {}).items() if p.split("/")[1] in others}
        if spread:
            from taskloom.training.sharded_checkpoint import save_shards

            save_shards(content, self.path)
        else:
            with file_beside(self.path) as path:
                torch.save(content, path)
