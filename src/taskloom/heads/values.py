"""The values that a target can have, for kinds that need to know them: levels and classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from taskloom.errors import ConfigError
from taskloom.tasks import TargetStatistics, Task


def target_values(
    task: Task, statistics: TargetStatistics, given: Sequence[float] | None, option: str
) -> tuple[float, ...]:
    """The values of a target, rising, as float32 holds them: those given, or those of the training rows.

    Args:
        task: whose target it is.
        statistics: of its training rows.
        given: the option's value; None takes the training rows'.
        option: the option's name, for the sentences.

    Raises:
        ConfigError: fewer than two values, one twice, none known, or training rows with others than those given.

    Example:
        >>> seen = TargetStatistics((2.0,), (1.0,), 9, values=(1.0, 2.0, 4.0), counts=(3, 3, 3))
        >>> target_values(Task("stars", "ordinal"), seen, None, "levels")
        (1.0, 2.0, 4.0)
        >>> target_values(Task("stars", "ordinal"), seen, [1, 2, 3], "levels")
        Traceback (most recent call last):
            ...
        taskloom.errors.ConfigError: data.tasks.stars.options.levels: training rows also have 4; add it, or ...
    """
    where = f"data.tasks.{task.name}.options.{option}"
    values = sorted(torch.tensor(statistics.values if given is None else given, dtype=torch.float32).tolist())
    if given is None and not values:
        raise ConfigError(
            f"data.tasks.{task.name}.target: it has more than 1,000 values in training, too many for a {task.kind} "
            f"task; list them in {where}, or take kind: regression"
        )
    if len(set(values)) < len(values):
        raise ConfigError(f"{where}: a value is there twice; list each once")
    if len(values) < 2:
        raise ConfigError(
            f"data.tasks.{task.name}.target: a {task.kind} task needs two values or more, and there is "
            f"{', '.join(f'{value:g}' for value in values) or 'none'}; check the target, or list them in {where}"
        )
    if other := sorted(set(statistics.values) - set(values)):
        shown = ", ".join(f"{value:g}" for value in other[:5])
        raise ConfigError(
            f"{where}: training rows also have {shown}; add {'it' if len(other) == 1 else 'them'}, or null"
        )
    return tuple(values)


def rates(statistics: TargetStatistics, values: Sequence[float]) -> Tensor:
    """The share of the training rows that each value has, float32 (C,); equal ones where nobody has counted.

    Example:
        >>> rates(TargetStatistics((1.5,), (0.5,), 4, values=(1.0, 2.0), counts=(1, 3)), [1.0, 2.0, 3.0])
        tensor([0.2500, 0.7500, 0.0000])
    """
    seen = dict(zip(statistics.values, statistics.counts, strict=True))
    counts = torch.tensor([seen.get(value, 0) for value in values], dtype=torch.float32)
    return counts / counts.sum() if counts.sum() > 0 else torch.full_like(counts, 1 / len(counts))
