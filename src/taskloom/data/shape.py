"""Shape: what kinds that are not after a mean must know of a target's distribution."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.tasks import TargetStatistics, Task

#: kinds of tasks, and losses in their options, that begin at more than mean and deviation
KINDS, LOSSES = ("quantile", "zero_inflated"), ("mae",)


def reads_shape(task: Task) -> bool:
    """Whether a task's head wants it. It is a pass over all training labels, which other tasks do without.

    Example:
        >>> reads_shape(Task("spend", "zero_inflated")), reads_shape(Task("spend", "regression"))
        (True, False)
    """
    return task.kind in KINDS or task.options.get("loss") in LOSSES


def shape(values: NDArray[np.float32]) -> dict[str, Any]:
    """Percentiles of labels (N,), and the moments of the logarithms of the positive ones, for TargetStatistics.

    Args:
        values: one target column of the training rows; NaN where there is no label.

    Example:
        >>> found = shape(np.array([0.0, 1.0, np.nan, 100.0], dtype=np.float32))
        >>> found["percentiles"][::50], found["positive"].n
        ((0.0, 1.0, 100.0), 2)
    """
    known = values[np.isfinite(values)].astype(np.float64)
    if len(known) == 0:
        return {}
    logs = np.log(known[known > 0])
    found: dict[str, Any] = {"percentiles": tuple(np.percentile(known, range(101)).tolist())}
    if len(logs):
        found["positive"] = TargetStatistics((float(logs.mean()),), (float(logs.std()),), len(logs))
    return found
