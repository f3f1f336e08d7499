"""The processed data set: memory-mapped columns in a folder named after all that shaped them."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taskloom.data.catalogue import Catalogue
from taskloom.data.encode import Encoding
from taskloom.data.events import EventIndex
from taskloom.data.labels import Labels
from taskloom.data.loader import Columns, mapped
from taskloom.data.negatives import Pairs
from taskloom.errors import DataError
from taskloom.schema import Schema
from taskloom.tasks import TargetStatistics, Task


class Store:
    """A processed data set on disk, read-only.

    Args:
        folder: ``<processed_dir>/<fingerprint>``.

    Raises:
        DataError: the folder is not a finished store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} is not a finished data store; delete it and start again") from error

    @property
    def fingerprint(self) -> str:
        """What names this content."""
        return self.folder.name

    @property
    def parts(self) -> list[str]:
        """train, val, test, then further test sets."""
        return list(self.meta["parts"])

    @cached_property
    def encodings(self) -> tuple[Encoding, ...]:
        """How each feature became numbers: what a server needs to encode a request."""
        return tuple(Encoding.from_json(stored) for stored in self.meta["encodings"])

    @cached_property
    def schema(self) -> Schema:
        """The columns."""
        features = tuple(encoding.feature for encoding in self.encodings)
        history = tuple(self.meta.get("history", {}).get("of", ()))
        return Schema(features, tuple(self.meta["targets"]), history, group=self.meta["group"])

    def statistics(self, task: str) -> TargetStatistics:
        """What the labelled training rows say of a task's targets."""
        stored = self.meta["statistics"][task]
        logs = stored.get("log1p")
        return TargetStatistics(
            tuple(stored["mean"]),
            tuple(stored["std"]),
            stored["n"],
            tuple(stored["least"]),
            tuple(stored["values"]),
            tuple(stored["counts"]),
            TargetStatistics(tuple(logs["mean"]), tuple(logs["std"]), stored["n"]) if logs else None,
        )

    def check_kind(self, task: Task) -> None:
        """Looks at a task's labels again where the store was built when the task was of another kind.

        A kind shapes no column, so that tasks of other kinds share the store; it does say what a label may be, and
        what is worth a warning.

        Raises:
            ConfigError: a label that a task of this kind cannot have.
        """
        kinds = self.meta.get("kinds", {})
        if kinds.get(task.name) == task.kind:
            return
        columns = self.schema.columns_of(task)
        parts = [self.split(name) for name in self.parts]
        n = 1 + max(int(part.row.max()) for part in parts)
        targets, place_of = np.full((n, len(columns)), np.nan, dtype=np.float32), np.full(n, -1, dtype=np.int8)
        for place, part in enumerate(parts):
            targets[part.row.numpy()], place_of[part.row.numpy()] = part.targets[:, columns].numpy(), place
        labels = Labels(task.name, task.kind, len(columns), self.parts)
        labels.add(targets, place_of, first_row=0)
        others = [line for line in self.meta["warnings"] if line.partition(":")[0] != task.name]
        self.meta["warnings"] = [*labels.warnings(), *others]  # items are drawn for a binary task, which is never here
        self.meta["kinds"] = {**kinds, task.name: task.kind}

    def split(self, name: str) -> Columns:
        """The rows of ``train``, ``val``, ``test`` or a further test set, memory-mapped."""
        try:
            return Columns.open(self.folder / name)
        except (OSError, ValueError) as error:
            raise self._damaged(error) from error

    def events(self) -> EventIndex | None:
        """The events that histories are windows of; None where the history is switched off."""
        if "history" not in self.meta:
            return None
        return EventIndex(self._mapped("events"), self.meta["history"]["length"])

    def catalogue(self) -> Catalogue:
        """The items of training in order of first appearance."""
        return Catalogue(self.schema, *(self._mapped(f"catalogue/{name}") for name in ("categorical", "bags", "dense")))

    def pairs(self) -> Pairs:
        """Which user had which item in training."""
        return Pairs(self._mapped("pairs"), self.meta["negatives"]["items"])

    def popularity(self) -> torch.Tensor:
        """The item of each training event, in time."""
        return self._mapped("popularity")

    def _mapped(self, name: str) -> torch.Tensor:
        try:
            return mapped(self.folder / f"{name}.npy")
        except (OSError, ValueError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"{self.folder} is damaged ({error}); delete it and start again")
