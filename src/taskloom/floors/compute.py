"""Scores of the floors, on the rows on which models are scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from taskloom.errors import ConfigError
from taskloom.floors.cache import fit_cached
from taskloom.floors.floor import Ratings, Say, TaskFloor, select_floors
from taskloom.metrics.scoring import score
from taskloom.metrics.spec import MetricSpec


@dataclass(frozen=True)
class FloorTask:
    """What a floor must know of a task: N rows to be scored on.

    Args:
        name: the task's name.
        specs: its metrics.
        target: float (N,), or (N, t) for a task of t target columns, in its own units;
            anything at all on unlabelled rows.
        labelled: bool (N,).
        group: int64 (N,).
        mean: of its labelled training targets (binary: the base rate); t of them for t columns.
        fitted: whether floors fitted to ratings predict this task's target in its own units. Where they do
            not, their predictions are scores that only rank, and metrics without ``ranks`` are left out.
    """

    name: str
    specs: Mapping[str, MetricSpec]
    target: Tensor
    labelled: Tensor
    group: Tensor
    mean: float | Sequence[float]
    fitted: bool = False


@dataclass(frozen=True)
class FloorData:
    """What floors are fitted to, and the N rows that they predict.

    Args:
        train: training rows with a rating.
        val: validation rows with a rating, for early stopping alone.
        user: int64 (N,), of the rows to be scored on.
        item: int64 (N,).
    """

    train: Ratings
    val: Ratings
    user: Tensor
    item: Tensor


def floor_scores(
    names: Sequence[str],
    tasks: Sequence[FloorTask],
    data: FloorData | None = None,
    folder: Path | None = None,
    say: Say = print,
) -> dict[str, dict[str, float]]:
    """Every floor's metrics of every task.

    Args:
        names: which floors, by their names in ``FLOORS``.
        tasks: the tasks, all on the same rows.
        data: ratings; None where the data has no user, item and rating, which leaves per-task floors only.
        folder: where fits are kept (``<processed>/<fingerprint>/floors``); None keeps none.
        say: takes a line for people.

    Returns:
        By floor, values keyed ``task/metric``.

    Raises:
        ConfigError: an unknown floor, or one that needs ratings where there are none.

    Example:
        >>> from taskloom.metrics.regression import regression_metrics
        >>> rating = FloorTask("rating", regression_metrics(), target=torch.tensor([3.0, 5.0]),
        ...                    labelled=torch.tensor([True, True]), group=torch.tensor([1, 1]), mean=4.0)
        >>> floor_scores(["constant"], [rating])
        {'constant': {'rating/rmse': 1.0, 'rating/mae': 1.0, 'rating/r2': 0.0}}
    """
    scores: dict[str, dict[str, float]] = {}
    for floor_type in select_floors(names):
        found = scores[floor_type.name] = {}
        if issubclass(floor_type, TaskFloor):
            for task in tasks:
                found |= _score(task, task.specs, _by_mean(floor_type, task))
            continue
        if data is None:
            raise ConfigError(
                f"floors: {floor_type.name} is fitted to ratings, and the data names no user, item and "
                "target for it; name them in data.floors or take floors=[constant]"
            )
        floor = fit_cached(floor_type(), data.train, data.val, folder, say)
        prediction = floor.predict(data.user, data.item)
        for task in tasks:
            if task.target.dim() > 1:
                continue  # one score a row says nothing of several columns
            specs = {name: spec for name, spec in task.specs.items() if task.fitted or spec.ranks}
            found |= _score(task, specs, prediction)
    return scores


def _by_mean(floor_type: type[TaskFloor], task: FloorTask) -> Tensor:
    rows = torch.zeros(len(task.target), dtype=torch.int64)
    if task.target.dim() == 1:
        mean = task.mean if isinstance(task.mean, float | int) else task.mean[0]
        return floor_type(mean).predict(rows, rows)
    means = [task.mean] * task.target.shape[1] if isinstance(task.mean, float | int) else task.mean
    return torch.stack([floor_type(mean).predict(rows, rows) for mean in means], dim=1)


def _score(task: FloorTask, specs: Mapping[str, MetricSpec], prediction: Tensor) -> dict[str, float]:
    return score(task.name, specs, prediction, task.target, task.labelled, task.group)
