"""The floors of a run: simple predictors, scored on the very rows that the model is scored on."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256

import torch

from taskloom.data.datamodule import DataModule
from taskloom.data.loader import ColumnLoader
from taskloom.floors.cache import TableFits
from taskloom.floors.compute import FloorData, FloorTask, TableData, check_rated, default_floors, floor_scores
from taskloom.floors.floor import Ratings, select_floors
from taskloom.floors.inputs import Inputs
from taskloom.floors.table_floor import LOSSES, Part, Problem
from taskloom.metrics.scoring import score
from taskloom.module import MultiTaskModule
from taskloom.outcome import Outcome

#: labelled rows of a part that table floors look at; of more, a sample by a fixed seed
TABLE_ROWS = 1_000_000


class Floors:
    """The floors of a run. Fits are kept beside the processed data, so each is made once for a data fingerprint.

    Args:
        names: of the floors; None takes those of the data's kind.
        data: set up; where its ``floors`` name user, item and target, its kind is ratings, otherwise a table.
        module: its tasks and their metrics.

    Raises:
        ConfigError: a floor that there is not, or that the data is not for; a column in ``data.floors`` that is none.
    """

    def __init__(self, names: Sequence[str] | None, data: DataModule, module: MultiTaskModule) -> None:
        self.names = default_floors(bool(data.floors)) if names is None else list(names)
        for floor in select_floors(self.names):
            check_rated(floor, bool(data.floors))
        self.data, self.module = data, module
        self.folder = data.store.folder / "floors"
        self.categorical = [feature.name for feature in data.schema.of_kind("categorical")]
        self.rated = data.schema.targets.index(data.floors["target"]) if data.floors else None
        self.ids = [self.categorical.index(data.floors[side]) for side in ("user", "item") if data.floors]
        self.table = TableFits(cache(self._problem), self.folder)
        self._inputs: dict[tuple[str, bytes], Inputs] = {}

    def score(self, outcome: Outcome, part: str = "test") -> dict[str, dict[str, float]]:
        """Every floor's metrics on the rows of an outcome, by floor and ``task/metric``.

        Beside those that were named stands ``popularity`` where a task's other half is drawn.

        Args:
            outcome: the model's predictions of a part.
            part: which part of the data it is of.
        """
        if not self.names:
            return {}
        asked, ratings = self._asked(outcome, part), None
        if self.rated is not None:
            user, item = (asked.categorical[:, place].long() for place in self.ids)
            ratings = FloorData(self._ratings("train"), self._ratings("val"), user, item)
        tasks = self._tasks(outcome)
        scores = floor_scores(self.names, tasks, ratings, self.folder, table=TableData(self.table, asked))
        if (drawn := self.data.recipe.negatives) is not None:
            scores["popularity"] = self._by_popularity(next(task for task in tasks if task.name == drawn.task), asked)
        return scores

    def _by_popularity(self, task: FloorTask, asked: Inputs) -> dict[str, float]:
        """A task's metrics, where items rank by how many training rows have them; without those of probabilities."""
        ranks = {name: spec for name, spec in task.specs.items() if spec.ranks}
        column = self.categorical.index(self.data.store.meta["negatives"]["item"])
        catalogue = self.data.store.catalogue().categorical[:, column].long()
        rows = self.data.store.popularity().long().bincount(minlength=len(catalogue))
        known = self.data.schema.of_kind("categorical")[column].size
        popularity = torch.zeros(known, dtype=torch.int64).index_add_(0, catalogue, rows)
        prediction = popularity[asked.categorical[:, column].long()].float()
        return score(task.name, ranks, prediction, task.target, task.labelled, task.group)

    def _asked(self, outcome: Outcome, part: str) -> Inputs:
        """The inputs of an outcome's rows, which may be some of the part's only, and in another order."""
        loader = self.data.part_dataloader(part)
        columns, found = loader.columns, None
        row = columns.row.cpu()
        if bool((outcome.row < 0).any()):  # rows with a drawn item, which the columns do not have
            extras = replace(loader.extras, events=None)
            found = [*ColumnLoader(columns, self.data.task_columns, loader.batch_size, extras=extras)]
            row = torch.cat([batch.row for batch in found]).cpu()
        order = row.argsort()
        place = order[torch.searchsorted(row[order], outcome.row)]
        names = ("categorical", "bags", "dense")
        if found is None:
            return Inputs(*(getattr(columns, name).cpu()[place] for name in names))
        return Inputs(*(torch.cat([getattr(batch, name).cpu() for batch in found])[place] for name in names))

    def _tasks(self, outcome: Outcome) -> list[FloorTask]:
        return [
            FloorTask(
                task.name,
                specs,
                outcome.targets[k],
                outcome.labelled[:, k],
                outcome.group,
                head.constant_prediction(1).flatten().tolist(),  # type: ignore[operator]
                # Of a binary task on the same column the floors' scores only rank.
                fitted=task.kind != "binary" and self.data.schema.columns_of(task) == [self.rated],
            )
            for k, (task, specs, head) in enumerate(
                zip(self.module.tasks, self.module.metrics(), self.module.heads, strict=True)
            )
        ]

    def _ratings(self, part: str) -> Ratings:
        columns = self.data.store.split(part)
        user, item = (columns.categorical[:, place].long() for place in self.ids)
        return Ratings.labelled(user, item, columns.targets[:, self.rated])

    def _problem(self, name: str) -> Problem | None:
        """What table floors are fitted to for a task; None where there is no such thing."""
        place = [task.name for task in self.module.tasks].index(name)
        task, specs = self.module.tasks[place], self.module.metrics()[place]
        drawn = self.data.recipe.negatives
        if task.kind not in LOSSES or (drawn is not None and drawn.task == name):
            return None  # drawn rows are the model's own: no table has them
        train, labelled = self._part("train", task.targets)
        val, _ = self._part("val", task.targets)
        classes = next((spec.classes for spec in specs.values() if spec.classes), ())
        return Problem(task, self.data.schema, train, val, classes, labelled)

    def _part(self, part: str, targets: Sequence[str]) -> tuple[Part, int]:
        """A part's rows with a label, at most ``TABLE_ROWS`` of them; and how many there are."""
        columns = self.data.store.split(part)
        target = columns.targets[:, [self.data.schema.targets.index(name) for name in targets]]
        rows = (~target.isnan()).all(1).nonzero().squeeze(1)
        labelled = len(rows)
        if labelled > TABLE_ROWS:
            chosen = torch.randperm(labelled, generator=torch.Generator().manual_seed(0))[:TABLE_ROWS]
            rows = rows[chosen.sort().values]
        # Tasks that have their labels on the same rows share them: in memory, and their digest.
        key = (part, sha256(rows.numpy().data).digest())
        if key not in self._inputs:
            every = Inputs(columns.categorical, columns.bags, columns.dense)
            self._inputs[key] = every.select(rows) if len(rows) < len(columns) else every
        return Part(self._inputs[key], target[rows]), labelled
