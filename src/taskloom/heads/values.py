"""What heads must know of a target before they begin: its levels or classes, its logarithm, its quantiles."""

import math
from collections.abc import Sequence
from dataclasses import replace

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


def of_logs(task: Task, statistics: TargetStatistics) -> TargetStatistics:
    """The statistics of log(1 + target), for a task whose options say ``transform: log1p``.

    Raises:
        ConfigError: a target that has negative values, or whose log nobody has looked at.
    """
    if statistics.least and statistics.least[0] < 0:
        raise ConfigError(
            f"data.tasks.{task.name}.options.transform: log1p needs a target >= 0, and training rows go down to "
            f"{statistics.least[0]:g}; take transform: none, or another target"
        )
    if statistics.transformed is None:
        raise ConfigError(f"task {task.name}: transform log1p needs the statistics of log(1 + target); give them")
    # A percentile of the logs is the log of the percentile.
    return replace(statistics.transformed, percentiles=tuple(math.log1p(max(p, 0)) for p in statistics.percentiles))


def quantiles_of(statistics: TargetStatistics, shares: Sequence[float]) -> Tensor:
    """Quantiles of a target on the training rows, float32 (Q,); those of a normal one where nobody has looked.

    Args:
        statistics: of one target column.
        shares: Q of them, between 0 and 1.

    Example:
        >>> seen = TargetStatistics((50.0,), (29.2,), 9, percentiles=tuple(range(101)))
        >>> quantiles_of(seen, [0.1, 0.505])
        tensor([10.0000, 50.5000])
        >>> quantiles_of(TargetStatistics((3.0,), (2.0,), 9), [0.5, 0.975])
        tensor([3.0000, 6.9199])
    """
    share = torch.tensor(shares, dtype=torch.float64)
    if not statistics.percentiles:
        return (statistics.mean[0] + statistics.std[0] * torch.special.ndtri(share)).float()
    known = torch.tensor(statistics.percentiles, dtype=torch.float64)
    place = share * 100
    below = place.long().clamp_max(99)
    return torch.lerp(known[below], known[below + 1], place - below).float()
