"""Outcome: predictions and targets of all rows of a split, and what they are worth."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from taskloom.distributed import rank, rows_at_first
from taskloom.errors import DataError
from taskloom.metrics.scoring import relative_gain, score
from taskloom.metrics.spec import MetricSpec
from taskloom.schema import Batch
from taskloom.tasks import Task


@dataclass(frozen=True)
class Outcome:
    """Predictions and targets of N rows, in the order of their row numbers; on the CPU.

    Args:
        predictions: of each task, (N,) or (N, t), in the target's own units; (N, C) where they are probabilities of
            C classes.
        targets: of each task, (N,), or (N, t) where it has t target columns.
        labelled: bool (N, K).
        group: int64 (N,).
        row: int64 (N,).
    """

    predictions: list[Tensor]
    targets: list[Tensor]
    labelled: Tensor
    group: Tensor
    row: Tensor

    def __len__(self) -> int:
        return len(self.row)

    def predicted(self, predictions: Sequence[Tensor]) -> "Outcome":
        """The same rows with other predictions."""
        return replace(self, predictions=[prediction.cpu() for prediction in predictions])

    def score(self, tasks: Sequence[Task], specs: Sequence[Mapping[str, MetricSpec]]) -> dict[str, float]:
        """Every metric of every task, keyed ``task/metric``; grouped ones where there are groups."""
        values: dict[str, float] = {}
        for k, (task, spec) in enumerate(zip(tasks, specs, strict=True)):
            mask = self.labelled[:, k]
            values |= score(task.name, spec, self.predictions[k], self.targets[k], mask, self.group)
        return values


class OutcomeCollector:
    """Gathers an Outcome batch by batch and, in the end, from all ranks; no row twice and none lost."""

    def __init__(self) -> None:
        self._parts: list[Outcome] = []

    def add(self, batch: Batch, predictions: Sequence[Tensor], columns: Sequence[Sequence[int]]) -> None:
        """Adds one batch.

        Args:
            batch: B rows.
            predictions: of each task, (B,), (B, t) or (B, C).
            columns: of each task, where its targets stand in ``batch.targets``.
        """
        self._parts.append(
            Outcome(
                [prediction.detach().float().cpu() for prediction in predictions],
                [batch.targets[:, c if len(c) > 1 else c[0]].cpu() for c in columns],
                batch.labelled.cpu(),
                batch.group.cpu(),
                batch.row.cpu(),
            )
        )

    def finish(self) -> Outcome | None:
        """All rows so far, of all ranks, and an empty collector; None on ranks other than the first."""
        parts, self._parts = self._parts, []
        order: Tensor | None = None

        def whole(columns: Iterable[Tensor]) -> Tensor:
            rows = rows_at_first(torch.cat(list(columns)))
            # The others have no use for rows: one scores them.
            return torch.empty(0) if rows is None else rows if order is None else rows[order]

        row = whole(part.row for part in parts)
        order = row.argsort(stable=True)
        # In the same order on all ranks, because they wait for each other.
        predictions = [whole(part.predictions[k] for part in parts) for k in range(len(parts[0].predictions))]
        targets = [whole(part.targets[k] for part in parts) for k in range(len(parts[0].targets))]
        labelled, group = whole(part.labelled for part in parts), whole(part.group for part in parts)
        return Outcome(predictions, targets, labelled, group, row[order]) if rank() == 0 else None


def main_metric(spec: Mapping[str, MetricSpec]) -> str:
    """The name of the metric that judges a task."""
    return next(name for name, metric in spec.items() if metric.main)


def combined_score(
    tasks: Sequence[Task],
    specs: Sequence[Mapping[str, MetricSpec]],
    values: Mapping[str, float],
    constant: Mapping[str, float],
) -> dict[str, float]:
    """The score that picks the best epoch, for all tasks together and for each.

    It is the mean over tasks of the relative gain over the constant predictor on the task's main metric: higher is
    better, whatever the metric's direction. A task whose metric is not defined on these rows is left out.

    Args:
        tasks: the K tasks.
        specs: the metrics of each.
        values: of the model, keyed ``task/metric``.
        constant: of the constant predictor, the same keys.

    Returns:
        ``score``, and ``task/score`` for each task.

    Raises:
        DataError: no task's main metric is defined.
    """
    gains: dict[str, float] = {}
    for task, spec in zip(tasks, specs, strict=True):
        key = f"{task.name}/{main_metric(spec)}"
        higher = bool(spec[main_metric(spec)].higher_is_better)
        gains[f"{task.name}/score"] = relative_gain(values[key], constant[key], higher)
    known = [gain for gain in gains.values() if math.isfinite(gain)]
    if not known:
        raise DataError(
            f"no main metric of {', '.join(task.name for task in tasks)} is defined on the validation rows "
            "(no labels or one class alone: choose another data.split; or predictions that are not finite: lower "
            "optimizer.lr)"
        )
    return {"score": sum(known) / len(known), **gains}
