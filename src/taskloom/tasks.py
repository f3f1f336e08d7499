"""Task: the one word that every layer shares."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskloom.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Task:
    """What is to be predicted, and which head predicts it.

    Args:
        name: the task's name in tables and metrics (``like/auc``): letters, digits and underscores.
        kind: picks the head from the registry, such as ``binary`` or ``regression``.
        target: the column, or columns, of the targets that hold its labels.
        parent: the task whose positive outcome this one needs (a purchase needs a click).
        weight: w_k >= 0 of the joint loss Σ_k w_k L_k.
        options: arguments of the head of this kind; the head checks them.
        about: a sentence for people, shown in the data summary.

    Example:
        >>> Task("like", kind="binary", target=("like",)).targets
        ('like',)
        >>> Task("like", kind="binary", weight=-1)
        Traceback (most recent call last):
            ...
        taskloom.errors.ConfigError: task like: weight must be >= 0, got -1; use 0 to leave its loss out
    """

    name: str
    kind: str
    target: str | Sequence[str] = ()
    parent: str | None = None
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"task {self.name!r}: a name has letters, digits and underscores and begins with a letter; rename it"
            )
        if not self.weight >= 0:
            raise ConfigError(f"task {self.name}: weight must be >= 0, got {self.weight}; use 0 to leave its loss out")
        if self.parent == self.name:
            raise ConfigError(f"task {self.name}: it is its own parent; name another task or leave parent out")

    @property
    def targets(self) -> tuple[str, ...]:
        """The target columns, the task's own name where none is given."""
        if not self.target:
            return (self.name,)
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)


def select_tasks(available: Sequence[Task], names: Sequence[str] | None) -> list[Task]:
    """The tasks of these names, in the order of the names: the order of K everywhere.

    Args:
        available: the tasks that the data describes.
        names: the wanted ones; None takes all.

    Raises:
        ConfigError: a name that the data lacks, a name twice, or no name at all.

    Example:
        >>> like, rating = Task("like", kind="binary"), Task("rating", kind="regression")
        >>> [task.name for task in select_tasks([like, rating], ["rating"])]
        ['rating']
    """
    if names is None:
        return list(available)
    by_name = {task.name: task for task in available}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"tasks: the data has no task {name!r}; it has {', '.join(by_name)}")
    if len(set(names)) != len(names):
        raise ConfigError(f"tasks: {', '.join(names)}: a task is named twice; name each once")
    if not names:
        raise ConfigError(f"tasks: the list is empty; name at least one of {', '.join(by_name)}")
    return [by_name[name] for name in names]


@dataclass(frozen=True)
class TargetStatistics:
    """What the training rows say of one task's targets; heads scale and start from it.

    Args:
        mean: per target column; the base rate of a binary one.
        std: per target column, population form; 0 for a constant column.
        n: labelled training rows.
        least: per target column, the smallest value; empty where nobody looked.
        values: the distinct values over all target columns, rising; empty where there are more than 1,000.
        counts: how often each of ``values`` occurs.
        transformed: the same of log1p(target), for a task whose options say ``transform: log1p``.
        percentiles: of a single target column, from the 0th (the least) to the 100th (the largest); empty where
            nobody looked.
        positive: of log(target) over the rows where it is > 0, of which it has ``n``; None where nobody looked, or
            there is no such row.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    n: int
    least: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    transformed: "TargetStatistics | None" = None
    percentiles: tuple[float, ...] = ()
    positive: "TargetStatistics | None" = None
