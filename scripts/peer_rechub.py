"""torch-rechub's MMoE, an epoch at a time, on rows from files; ``peers.py`` runs this in the peer's own environment.

It reads a line from its input for each thing to do (``train <steps>`` or ``predict``) and answers with a line of JSON.
Nothing of Taskloom is imported here.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models.multi_task import MMOE
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator

TASKS = ["classification", "regression"]


class Gathered:
    """Batches that are gathered whole, as Taskloom gathers its own; the library's loader does so row by row.

    Args:
        columns: ids (N,) of each feature, by name.
        targets: (N, 2).
        batch_size: rows of a step.
    """

    def __init__(self, columns: dict[str, torch.Tensor], targets: torch.Tensor, batch_size: int) -> None:
        self.columns, self.targets, self.batch_size = columns, targets, batch_size

    def __iter__(self) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
        for rows in torch.randperm(len(self.targets)).split(self.batch_size):
            yield {name: ids[rows] for name, ids in self.columns.items()}, self.targets[rows]


class First:
    """The first batches of a loader, counted.

    Args:
        batches: all of them.
        n: how many to give.
    """

    def __init__(self, batches: Any, n: int) -> None:
        self.batches, self.n, self.rows = batches, n, 0

    def __iter__(self) -> Iterator[Any]:
        for _, batch in zip(range(self.n), self.batches, strict=False):
            self.rows += len(batch[1])
            yield batch


def read(folder: Path, part: str, names: list[str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Ids of each feature, and the targets, of the training or the test rows."""
    ids = np.load(folder / part / "categorical.npy")
    return {name: ids[:, i].copy() for i, name in enumerate(names)}, np.load(folder / part / "targets.npy")


def main(folder: Path) -> None:
    answer = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # where the library's own prints go
        serve(folder, answer)


def serve(folder: Path, answer: TextIO) -> None:
    """Does what each line of the input says."""
    settings = json.loads((folder / "peer.json").read_text())
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(settings["seed"])
    sizes = settings["sizes"]
    columns, targets = read(folder, "train", list(sizes))
    model = MMOE(
        [SparseFeature(name, vocab_size=size, embed_dim=settings["dim"]) for name, size in sizes.items()],
        TASKS,
        settings["experts"],
        {"dims": settings["hidden"], "activation": "relu"},
        [{"dims": settings["tower"], "activation": "relu"} for _ in TASKS],
    )
    trainer = MTLTrainer(model, TASKS, optimizer_params={"lr": settings["lr"], "weight_decay": 0})
    batches: Any
    if settings["loader"] == "own":
        nothing = {name: ids[:1] for name, ids in columns.items()}
        generator = DataGenerator(columns, targets)
        batches, *_ = generator.generate_dataloader(
            x_val=nothing, y_val=targets[:1], x_test=nothing, y_test=targets[:1], batch_size=settings["batch_size"]
        )
    else:
        tensors = {name: torch.from_numpy(ids) for name, ids in columns.items()}
        batches = Gathered(tensors, torch.from_numpy(targets), settings["batch_size"])
    print(json.dumps({"version": version("torch-rechub")}), file=answer, flush=True)
    for line in sys.stdin:
        what, *arguments = line.split()
        if what == "train":
            began, part = time.perf_counter(), First(batches, int(arguments[0]))
            trainer.train_one_epoch(part)
            result = {"rows_per_s": part.rows / (time.perf_counter() - began)}
        else:
            held_out, _ = read(folder, "test", list(sizes))
            ids = {name: torch.from_numpy(values) for name, values in held_out.items()}
            model.eval()
            with torch.no_grad():
                np.save(folder / "peer_predictions.npy", model(ids)[:, 0].numpy())
            result = {}
        print(json.dumps(result), file=answer, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
