"""Scores of the floors, on the rows on which models are scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from taskloom.errors import ConfigError
from taskloom.floors.cache import TableFits, fit_cached
from taskloom.floors.floor import Floor, RatingFloor, Ratings, Say, TaskFloor, select_floors
from taskloom.floors.inputs import Inputs
from taskloom.floors.table_floor import TableFloor
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
        mean: of its labelled training targets (binary: the base rate); t of them for t columns, and of a multiclass
            task the share of each class, of quantiles each of them.
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


@dataclass(frozen=True)
class TableData:
    """What table floors are fitted to, and the N rows that they predict.

    Args:
        fits: of the tasks.
        inputs: of the rows to be scored on.
    """

    fits: TableFits
    inputs: Inputs


def default_floors(rated: bool) -> list[str]:
    """The floors of a kind of data.

    Args:
        rated: whether the data names a user, an item and a target that floors can be fitted to.

    Example:
        >>> default_floors(rated=False)
        ['constant', 'linear', 'boosting']
    """
    return ["constant", "bias", "factorisation"] if rated else ["constant", "linear", "boosting"]


def check_rated(floor_type: type[Floor], rated: bool) -> None:
    """Refuse a floor that is fitted to ratings where there are none.

    Raises:
        ConfigError: with what to do.
    """
    if issubclass(floor_type, RatingFloor) and not issubclass(floor_type, TaskFloor) and not rated:
        raise ConfigError(
            f"floors: {floor_type.name} is fitted to ratings, and the data names no user, item and "
            f"target for it; name them in data.floors or take floors=[{','.join(default_floors(False))}]"
        )


def floor_scores(
    names: Sequence[str],
    tasks: Sequence[FloorTask],
    data: FloorData | None = None,
    folder: Path | None = None,
    say: Say = print,
    table: TableData | None = None,
) -> dict[str, dict[str, float]]:
    """Every floor's metrics of every task.

    Args:
        names: which floors, by their names in ``FLOORS``.
        tasks: the tasks, all on the same rows.
        data: ratings; None where the data has no user, item and rating, which leaves per-task floors only.
        folder: where fits are kept (``<processed>/<fingerprint>/floors``); None keeps none.
        say: takes a line for people.
        table: the columns; None leaves table floors without a number.

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
        check_rated(floor_type, data is not None)
        found = scores[floor_type.name] = {}
        if issubclass(floor_type, TaskFloor):
            for task in tasks:
                found |= _score(task, task.specs, _by_mean(floor_type, task))
        elif issubclass(floor_type, RatingFloor) and data is not None:
            prediction = fit_cached(floor_type(), data.train, data.val, folder, say).predict(data.user, data.item)
            for task in tasks:
                found |= _by_rating(task, prediction)
        elif issubclass(floor_type, TableFloor) and table is not None:
            for task in tasks:
                predicted = table.fits.predict(floor_type(), task.name, table.inputs)
                if predicted is not None:
                    found |= _score(task, task.specs, predicted.squeeze(1) if predicted.shape[1] == 1 else predicted)
    return scores


def _by_mean(floor_type: type[TaskFloor], task: FloorTask) -> Tensor:
    rows = torch.zeros(len(task.target), dtype=torch.int64)
    means = [task.mean] if isinstance(task.mean, float | int) else task.mean
    columns = [floor_type(mean).predict(rows, rows) for mean in means]
    several = len(columns) > 1 or any(spec.width for spec in task.specs.values())
    return torch.stack(columns, dim=1) if several else columns[0]


def _by_rating(task: FloorTask, prediction: Tensor) -> dict[str, float]:
    if task.target.dim() > 1 or any(spec.width for spec in task.specs.values()):
        return {}  # one score a row says nothing of several columns, classes or quantiles
    return _score(task, {name: spec for name, spec in task.specs.items() if task.fitted or spec.ranks}, prediction)


def _score(task: FloorTask, specs: Mapping[str, MetricSpec], prediction: Tensor) -> dict[str, float]:
    return score(task.name, specs, prediction, task.target, task.labelled, task.group)
