"""Labels of a task while the data is built: their statistics, and what is wrong with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.moments import Moments
from taskloom.errors import ConfigError, DataError

MOST_VALUES = 1000
#: kinds whose labels cannot be below 0, and what such a label is
NOT_NEGATIVE = {"count": "a count", "zero_inflated": "an amount", "ranking": "a relevance"}


class Labels:
    """What the rows of each part say of one task's target columns, some rows at a time.

    Args:
        task: the task's name.
        kind: its head's kind.
        n: target columns.
        parts: names of the parts, training first.
    """

    def __init__(self, task: str, kind: str, n: int, parts: Sequence[str]) -> None:
        self.task, self.kind, self.parts = task, kind, list(parts)
        self._moments = [Moments() for _ in range(n)]
        self._logs: list[Moments] | None = [Moments() for _ in range(n)]
        self._least = [np.inf] * n
        self._values: dict[float, int] | None = {}
        self._counts = np.zeros(len(self.parts), dtype=np.int64)
        self._sums = np.zeros((len(self.parts), n))

    def add(self, targets: NDArray[np.float32], part: NDArray[np.int8], first_row: int) -> None:
        """Takes in some rows.

        Args:
            targets: (N, n), NaN where there is no label.
            part: (N,) the part of each row, -1 for a row that is left out.
            first_row: its number in the source.

        Raises:
            DataError: an infinite label.
            ConfigError: a binary label that is neither 0 nor 1.
        """
        where = f"data.tasks.{self.task}.target"
        if np.isinf(targets).any():
            row = first_row + int(np.isinf(targets).any(1).argmax()) + 1
            raise DataError(f"{where}: row {row:,} has an infinite label; mend it, or make it missing")
        labelled = ~np.isnan(targets).any(1) & (part >= 0)
        if self.kind in ("binary", "multilabel"):
            wrong = labelled[:, None] & (targets != 0) & (targets != 1)
            if wrong.any():
                raise ConfigError(
                    f"{where}: a {self.kind} label must be 0 or 1, found {targets[wrong][0]:g} in row "
                    f"{first_row + int(wrong.any(1).argmax()) + 1:,}; compare it with something, as in rating >= 4"
                )
        if self.kind in NOT_NEGATIVE and (wrong := labelled & (targets < 0).any(1)).any():
            row = int(wrong.argmax())
            raise ConfigError(
                f"{where}: {NOT_NEGATIVE[self.kind]} is >= 0, found {targets[row].min():g} in row "
                f"{first_row + row + 1:,}; take kind: regression, or another target"
            )
        np.add.at(self._counts, part[labelled], 1)
        np.add.at(self._sums, part[labelled], np.nan_to_num(targets[labelled].astype(np.float64)))
        train = targets[labelled & (part == 0)].astype(np.float64)
        for column, values in enumerate(train.T):
            self._moments[column].add(values)
            self._least[column] = min(self._least[column], float(values.min(initial=np.inf)))
            if self._logs is not None and self._least[column] > -1:
                self._logs[column].add(np.log1p(values))
            else:
                self._logs = None
        if self._values is not None:
            for value, times in zip(*np.unique(train, return_counts=True), strict=True):
                self._values[float(value)] = self._values.get(float(value), 0) + int(times)
            if len(self._values) > MOST_VALUES:
                self._values = None

    def finish(self, drawn_per_row: int = 0) -> dict[str, Any]:
        """Plain figures of the training labels.

        Args:
            drawn_per_row: negatives that training draws for each labelled row.
        """
        n = int(self._counts[0])
        mean, std = [m.mean for m in self._moments], [m.std for m in self._moments]
        values = sorted((self._values or {}).items())
        if drawn_per_row:
            rate = mean[0] / (1 + drawn_per_row)
            mean, std, n = [rate], [float(np.sqrt(rate * (1 - rate)))], n * (1 + drawn_per_row)
        found: dict[str, Any] = {
            "mean": mean,
            "std": std,
            "n": n,
            "least": [x if x < np.inf else 0.0 for x in self._least],
        }
        found |= {"values": [value for value, _ in values], "counts": [times for _, times in values]}
        if self._logs is not None:
            found["log1p"] = {"mean": [m.mean for m in self._logs], "std": [m.std for m in self._logs]}
        return found

    def warnings(self, drawn: bool = False) -> list[str]:
        """What a person should know of the labels in validation and in test sets.

        Args:
            drawn: whether negatives are drawn against the labelled rows.
        """
        found = []
        if self.kind != "binary" and self._counts[0] and not drawn:  # a binary task is refused when it is trained
            several = len(self._moments) > 1
            for column, known in enumerate(self._moments):
                if known.std == 0:
                    which = f"label {column} of every training row" if several else "every training label"
                    found.append(f"{self.task}: {which} is {known.mean:g}, so there is nothing to learn")
        for place, part in enumerate(self.parts[1:], start=1):
            n = int(self._counts[place])
            if n == 0:
                found.append(f"{self.task}: no {part} row has a label; nothing is measured there")
            elif self.kind == "binary" and self._sums[place, 0] in (0, n) and not drawn:
                only = "positive" if self._sums[place, 0] else "negative"
                found.append(f"{self.task}: all {n:,} labelled {part} rows are {only}; AUC is not defined there")
            elif self.kind == "binary" and part != "val" and self._sums[place, 0] < 100:
                found.append(
                    f"{self.task}: {int(self._sums[place, 0]):,} positive {part} rows, fewer than 100: no verdict on it"
                )
        return found
