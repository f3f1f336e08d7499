"""What the benchmark trains on, and what it measures against: a loop that is written for one model alone."""

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from taskloom.backbones.mlp import MLP, Flatten
from taskloom.data.loader import Columns, ShuffledLoader
from taskloom.errors import ConfigError
from taskloom.module import MultiTaskModule
from taskloom.schema import Batch, Feature, Schema
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.sharing.mmoe import MMoE
from taskloom.tasks import TargetStatistics, Task

#: as in MovieLens-1M: ids of each column, 0 (unknown) included, and whose it is
COLUMNS: Mapping[str, tuple[int, Any]] = {
    "user": (6041, "user"),
    "item": (3707, "item"),
    "gender": (3, "user"),
    "age": (8, "user"),
    "occupation": (22, "user"),
    "zip_prefix": (101, "user"),
    "genre": (19, "item"),
    "year": (82, "item"),
}
TASKS = [Task("like", "binary"), Task("rating", "regression")]


class Rows(L.LightningDataModule):
    """Rows of categorical features, written to a folder and mapped from there.

    Args:
        folder: where the columns are written.
        ids: int64 (N, F).
        stars: (N,), the ratings; a row is liked from four on.
        sizes: ids of each of the F columns, 0 (unknown) included, and whose it is, by its name.
        batch_size: rows of a step.
        seed: of the shuffling.
    """

    def __init__(
        self,
        folder: Path,
        ids: np.ndarray,
        stars: np.ndarray,
        sizes: Mapping[str, tuple[int, Any]],
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.batch_size, self.seed, n = batch_size, seed, len(ids)
        features = tuple(Feature(k, "categorical", side, size=size) for k, (size, side) in sizes.items())
        self.schema = Schema(features, targets=tuple(task.name for task in TASKS))
        self.tasks = TASKS
        targets = np.stack([stars >= 4, stars], axis=1).astype(np.float32)
        arrays: dict[str, np.ndarray] = {
            "categorical": ids,
            "bags": np.empty((n, 0), np.int64),
            "dense": np.empty((n, 0), np.float32),
            "targets": targets,
            "group": ids[:, 0],
            "row": np.arange(n),
        }
        for name, values in arrays.items():
            np.save(folder / f"{name}.npy", values)
        means, stds = targets.mean(0).tolist(), targets.std(0).tolist()
        self.statistics = [TargetStatistics((m,), (s,), n) for m, s in zip(means, stds, strict=True)]
        self.columns = Columns.open(folder)

    @classmethod
    def drawn(cls, folder: Path, n: int, batch_size: int, seed: int) -> "Rows":
        """Random rows with the shape of MovieLens-1M; the seed is theirs too."""
        random = np.random.default_rng(seed)
        # A few ids have most of the rows, as films and users do.
        ids = [1 + (random.random(n) ** 2 * (size - 1)).astype(np.int64) for size, _ in COLUMNS.values()]
        stars = random.choice(5, n, p=[0.06, 0.11, 0.26, 0.35, 0.22]).astype(np.float32) + 1
        return cls(folder, np.stack(ids, axis=1), stars, COLUMNS, batch_size, seed)

    def train_dataloader(self) -> ShuffledLoader:
        return ShuffledLoader(self.columns, [[k] for k in range(len(TASKS))], self.batch_size, seed=self.seed)


class BareLoop:
    """What one writes for this model alone: gather, forward, loss, backward, step.

    The network is the module's own, so that the loop alone is compared; hard sharing and MMoE over an MLP can be
    written out by hand as well, without masks, views and registries. All rows have all labels.

    Args:
        module: whose weights it begins with.
        data: the rows.
        device: to train on.
        settings: ``precision`` and ``gradient_clip_val`` as the platform's trainer has them.
        by_hand: whether the network is written out by hand.

    Raises:
        ConfigError: a network that is not written out here.
    """

    def __init__(
        self, module: MultiTaskModule, data: Rows, device: torch.device, settings: Mapping[str, Any], by_hand: bool
    ) -> None:
        module = copy.deepcopy(module).to(device)
        self.columns, self.batch_size, self.device = data.columns, data.batch_size, device
        self.autocast, self.clip = settings["precision"] == "bf16-mixed", settings["gradient_clip_val"]
        if by_hand and (_trunk(module) is None or module.features.l2 or module.features.dropout.p):
            raise ConfigError(
                "--by-hand: written out are model=hard_sharing and model=mmoe with backbone=mlp, without features.l2 "
                "or dropout of features"
            )
        self.loss = _by_hand(module) if by_hand else _lent(module)
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = module.make_optimizer(self.parameters)

    def run(self, steps: int) -> float:
        """Trains so many steps of a fresh permutation; gives rows a second."""
        _wait_for(self.device)
        began = time.perf_counter()
        order = torch.randperm(len(self.columns))
        for start in range(0, steps * self.batch_size, self.batch_size):
            self.step(order[start : start + self.batch_size])
        _wait_for(self.device)
        return min(steps * self.batch_size, len(order)) / (time.perf_counter() - began)

    def step(self, rows: Tensor) -> Tensor:
        """One step on these rows."""
        ids = self.columns.categorical.index_select(0, rows).to(self.device, non_blocking=True)
        targets = self.columns.targets.index_select(0, rows).to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            loss = self.loss(ids, targets)
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        return loss.detach()


def _trunk(module: MultiTaskModule) -> Callable[[Tensor], list[Tensor]] | None:
    """What lies between embeddings x (B, X) and towers (B, R), as one would write it; None where it is not here."""
    sharing = module.sharing
    if isinstance(sharing, HardSharing) and isinstance(sharing.backbone, MLP):
        bottom = _layers(sharing.backbone)
        return lambda x: [bottom(x)] * len(TASKS)
    if isinstance(sharing, MMoE) and isinstance(sharing.encoder, Flatten):
        experts = [_layers(expert) for expert in sharing.experts.experts]
        gates: list[nn.Module] = [gate.layer for gate in sharing.private]  # type: ignore[misc]

        def mixtures(x: Tensor) -> list[Tensor]:
            outputs = torch.stack([expert(x) for expert in experts], dim=1)
            weights = [gate(x).softmax(1).to(outputs.dtype) for gate in gates]
            return [torch.bmm(weight.unsqueeze(1), outputs).squeeze(1) for weight in weights]

        return mixtures
    return None


def _layers(module: nn.Module) -> nn.Sequential:
    kinds = (nn.Linear, nn.ReLU, nn.Dropout)
    return nn.Sequential(*(m for m in module.modules() if isinstance(m, kinds)))


def _by_hand(module: MultiTaskModule) -> Callable[[Tensor, Tensor], Tensor]:
    """Embeddings, trunk and towers as one would write them, on the module's own parameters."""
    trunk = _trunk(module)
    assert trunk is not None
    table, offsets = module.features.tables[0], module.features.offsets
    like, rating = (nn.Sequential(*head.tower) for head in module.heads)  # type: ignore[misc]
    scale = module.heads[0].scale
    mean, std = module.heads[1].mean.item(), module.heads[1].std.item()  # type: ignore[operator]

    def loss(ids: Tensor, targets: Tensor) -> Tensor:
        first, second = trunk(table(ids + offsets).flatten(1))
        logits = scale * like(first).squeeze(1)
        cross_entropy = functional.binary_cross_entropy_with_logits(logits.float(), targets[:, 0])
        error = functional.mse_loss(rating(second).squeeze(1).float(), (targets[:, 1] - mean) / std)
        return cross_entropy + error

    return loss


def _lent(module: MultiTaskModule) -> Callable[[Tensor, Tensor], Tensor]:
    """The module's own objective."""

    def loss(ids: Tensor, targets: Tensor) -> Tensor:
        nothing = ids.new_empty(len(ids), 0)
        labelled = torch.ones_like(targets, dtype=torch.bool)
        return module.objective(Batch(ids, nothing, nothing.float(), targets, labelled, ids[:, 0], ids[:, 0]))[0]

    return loss


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
