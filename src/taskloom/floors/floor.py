"""Floor: what a simple predictor must offer, and the registry of them. Ratings: what it is fitted to."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from taskloom.errors import ConfigError, DataError

Say = Callable[[str], None]

FLOORS: dict[str, type["Floor"]] = {}


@dataclass(frozen=True)
class Ratings:
    """Who rated what, and how: N rows, all labelled.

    Args:
        user: int64 (N,), encoded; 0 is unknown.
        item: int64 (N,), encoded; 0 is unknown.
        value: float32 (N,), in the target's own units.
    """

    user: Tensor
    item: Tensor
    value: Tensor

    @classmethod
    def labelled(cls, user: Tensor, item: Tensor, value: Tensor) -> "Ratings":
        """The rows whose value is not NaN.

        Example:
            >>> ids = torch.tensor([1, 2])
            >>> len(Ratings.labelled(ids, ids, torch.tensor([3.0, float("nan")])))
            1
        """
        rows = ~value.isnan()
        return cls(user[rows], item[rows], value[rows])

    def __len__(self) -> int:
        return len(self.value)


class Floor(ABC):
    """A simple predictor with a name: a `RatingFloor`, a `TaskFloor` or a ``TableFloor``.

    A subclass sets ``name`` and so joins ``FLOORS``. It raises ``version`` when its numbers change for the
    same settings, so that kept fits are made anew.

    Attributes:
        name: what configs and tables call it.
        version: of its arithmetic.
        package: the package that it needs beyond those that Taskloom itself needs; it comes with the extra
            ``boosting``.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    package: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            return
        present = FLOORS.get(cls.name)
        if present is not None and present.__module__ != cls.__module__:
            raise ConfigError(
                f"floors: {cls.__module__} defines a floor {cls.name!r}, and so does {present.__module__}; "
                "rename one of them"
            )
        FLOORS[cls.name] = cls

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that shapes a fit beside the rows, as plain values: the key of a kept fit."""


class RatingFloor(Floor):
    """A predictor that knows users and items by their ids alone.

    Attributes:
        parameters: what ``fit`` learned, tensors by name; ``predict`` needs nothing else.
    """

    parameters: dict[str, Tensor]

    @abstractmethod
    def fit(self, train: Ratings, val: Ratings, say: Say = print) -> Self:
        """Learn from training rows.

        Args:
            train: the rows to learn from, at least one.
            val: choose settings and stop early by these, never learn from them; may be empty.
            say: takes a line for people.

        Raises:
            DataError: there is no training row.
        """

    @abstractmethod
    def predict(self, user: Tensor, item: Tensor) -> Tensor:
        """Predictions float32 (N,) for users and items int64 (N,).

        Ids never trained on, 0 (unknown) among them, fall back to the mean.
        """


class TaskFloor(RatingFloor):
    """A floor made from a task's training mean alone, ``cls(mean)``: it needs no ratings.

    Args:
        mean: of the task's labelled training targets (binary: the base rate); or leave it to ``fit``.
    """

    def __init__(self, mean: float = math.nan) -> None:
        self.parameters = {"mean": torch.tensor(mean, dtype=torch.float32)}


def require_rows(name: str, train: Sized, where: str = "data.floors.target") -> None:
    """Refuse to fit a floor to nothing; ``where`` is the config path of what has no label."""
    if len(train) == 0:
        raise DataError(
            f"floor {name}: no training row has a label to fit; check {where}, or leave this floor out of floors"
        )


def select_floors(names: Sequence[str]) -> list[type[Floor]]:
    """The floors of these names, in order.

    Raises:
        ConfigError: a name that is none, a name twice, or a floor whose package is not installed.

    Example:
        >>> select_floors(["bias", "constnat"])
        Traceback (most recent call last):
            ...
        taskloom.errors.ConfigError: floors: no floor 'constnat': did you mean constant? there are bias, ...
    """
    for name in names:
        if name not in FLOORS:
            close = get_close_matches(name, FLOORS, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(f"floors: no floor {name!r}: {hint}there are {', '.join(sorted(FLOORS))}")
    if len(set(names)) != len(names):
        raise ConfigError(f"floors: {', '.join(names)}: a floor is named twice; name each once")
    chosen = [FLOORS[name] for name in names]
    for floor in chosen:
        if floor.package and find_spec(floor.package) is None:
            raise ConfigError(
                f"floors: {floor.name} needs the package {floor.package}, which is not installed; "
                "install it with pip install 'taskloom[boosting]', or leave this floor out of floors"
            )
    return chosen
