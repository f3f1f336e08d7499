"""The floors of a run: simple predictors, scored on the very rows that the model is scored on."""

from collections.abc import Sequence

import torch

from taskloom.data.datamodule import DataModule
from taskloom.data.loader import Columns
from taskloom.floors.compute import FloorData, FloorTask, floor_scores
from taskloom.floors.floor import Ratings
from taskloom.module import MultiTaskModule
from taskloom.outcome import Outcome


def score_floors(
    names: Sequence[str], data: DataModule, module: MultiTaskModule, outcome: Outcome
) -> dict[str, dict[str, float]]:
    """Every floor's metrics on the rows of an outcome, by floor and ``task/metric``.

    Fits are kept beside the processed data, so each is made once for a data fingerprint.

    Args:
        names: of the floors.
        data: set up; its ``floors`` name user, item and target.
        module: its tasks and their metrics.
        outcome: the model's test predictions.
    """
    if not names:
        return {}
    rated = data.schema.targets.index(data.floors["target"]) if data.floors else None
    tasks = [
        FloorTask(
            task.name,
            specs,
            outcome.targets[k],
            outcome.labelled[:, k],
            outcome.group,
            data.statistics[k].mean,
            # Of a binary task on the same column the floors' scores only rank.
            fitted=task.kind != "binary" and data.schema.columns_of(task) == [rated],
        )
        for k, (task, specs) in enumerate(zip(module.tasks, module.metrics(), strict=True))
    ]
    ratings = None
    if rated is not None:
        columns = data.store.split("train" if data.first_batch else "test")
        # The outcome may hold some of the test rows only, and in another order.
        order = columns.row.argsort()
        place = order[torch.searchsorted(columns.row[order], outcome.row)]
        user, item = _ids(data, columns)
        ratings = FloorData(_ratings(data, "train", rated), _ratings(data, "val", rated), user[place], item[place])
    return floor_scores(names, tasks, ratings, data.store.folder / "floors")


def _ids(data: DataModule, columns: Columns) -> tuple[torch.Tensor, torch.Tensor]:
    names = [feature.name for feature in data.schema.of_kind("categorical")]
    user, item = (columns.categorical[:, names.index(data.floors[side])] for side in ("user", "item"))
    return user, item


def _ratings(data: DataModule, part: str, rated: int) -> Ratings:
    columns = data.store.split(part)
    value = columns.targets[:, rated]
    known = ~value.isnan()
    user, item = _ids(data, columns)
    return Ratings(user[known], item[known], value[known])
