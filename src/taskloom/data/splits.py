"""Which rows are for training, which for validation, which for test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Events:
    """What a split may look at.

    Args:
        user: (N,) whose event it is, any sortable values.
        time: (N,) when it was.
    """

    user: NDArray
    time: NDArray


Split = Callable[[Events, Sequence[float], int], dict[str, Rows]]


def _cut(order: Rows, ratios: Sequence[float]) -> dict[str, Rows]:
    """The parts of an ordering, in exact sizes, each in the order of the source."""
    ends = np.floor(np.cumsum(ratios) / np.sum(ratios) * len(order) + 1e-9).astype(int)
    ends[-1] = len(order)
    pieces = np.split(order, ends[:-1])
    return {part: np.sort(piece) for part, piece in zip(PARTS, pieces, strict=True)}


def random(events: Events, ratios: Sequence[float], seed: int) -> dict[str, Rows]:
    """Rows dealt out by chance: comparable with published numbers, and blind to time.

    Example:
        >>> events = Events(user=np.zeros(10), time=np.arange(10))
        >>> [len(rows) for rows in random(events, (8, 1, 1), seed=1).values()]
        [8, 1, 1]
    """
    return _cut(np.random.default_rng(seed).permutation(len(events.user)), ratios)


def per_user(events: Events, ratios: Sequence[float], seed: int) -> dict[str, Rows]:
    """Each user's last two rows: the last for test, the one before it for validation.

    Rows of one user at the same time are taken in the order of the source. A user with fewer than three rows
    stays in training. Ratios and seed play no part.

    Example:
        >>> events = Events(user=np.array([7, 7, 7, 8]), time=np.array([3, 1, 3, 0]))
        >>> {part: rows.tolist() for part, rows in per_user(events, (8, 1, 1), seed=1).items()}
        {'train': [1, 3], 'val': [0], 'test': [2]}
    """
    order = np.lexsort((np.arange(len(events.user)), events.time, events.user))
    _, counts = np.unique(events.user, return_counts=True)
    ends = np.cumsum(counts)[counts >= 3]  # in ``order``, one behind each such user's last row
    val, test = order[ends - 2], order[ends - 1]
    train = np.setdiff1d(order, np.concatenate([val, test]))
    return {"train": train, "val": np.sort(val), "test": np.sort(test)}


def global_time(events: Events, ratios: Sequence[float], seed: int) -> dict[str, Rows]:
    """Earliest rows for training, latest for test: what a service meets, new users included.

    Rows at the same time are taken in the order of the source. The seed plays no part.

    Example:
        >>> events = Events(user=np.zeros(10), time=np.arange(10)[::-1])
        >>> global_time(events, (8, 1, 1), seed=1)["test"].tolist()
        [0]
    """
    return _cut(np.lexsort((np.arange(len(events.time)), events.time)), ratios)


SPLITS: dict[str, Split] = {"random": random, "per_user": per_user, "global_time": global_time}


def unseen(values: NDArray, parts: dict[str, Rows]) -> dict[str, int]:
    """How many rows of each part have a value that no training row has.

    Example:
        >>> parts = {"train": np.array([0, 1]), "val": np.array([2]), "test": np.array([3])}
        >>> unseen(np.array(["a", "b", "a", "c"]), parts)
        {'train': 0, 'val': 0, 'test': 1}
    """
    known = np.unique(values[parts["train"]])
    return {part: int((~np.isin(values[rows], known)).sum()) for part, rows in parts.items()}
