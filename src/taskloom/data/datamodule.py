"""DataModule: from a data config to batches."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import torch
from lightning.pytorch import LightningDataModule

from taskloom.data.acquire import Raw, Say
from taskloom.data.loader import ColumnLoader, Columns, ShuffledLoader, permutation
from taskloom.data.spec import check_columns, parse_features, parse_split, parse_tasks
from taskloom.data.store import Recipe, Store, build
from taskloom.errors import ConfigError, DataError
from taskloom.ranges import NonNegativeInt, PositiveInt
from taskloom.schema import Schema
from taskloom.tasks import TargetStatistics, select_tasks


class Reader(Protocol):
    """Reads one data set.

    ``user``, ``item`` and ``time`` name the columns that say whose event a row is, with what, and when;
    ``columns`` are all that ``read`` gives.
    """

    name: str
    user: str
    item: str
    time: str
    columns: tuple[str, ...]

    def acquire(self, source: str | Path | None, raw_dir: str | Path, say: Say = print) -> Raw:
        """The raw files, fetched where they are not there yet."""
        ...

    def read(self, raw: Raw, say: Say = print) -> pl.DataFrame:
        """All events, one a row."""
        ...


class DataModule(LightningDataModule):
    """A data set as tasks and features describe it.

    ``tasks`` is known from the config alone. ``prepare_data`` fetches and builds what is not there yet;
    ``setup`` opens the store, which all else needs.

    Args:
        reader: reads the raw files.
        name: the data set's name, for people.
        features: {name: {kind, side, column, min_count}}; see ``spec.FeatureSpec``.
        tasks: {name: {kind, target, about, weight, parent, options}}; a target is a column, an SQL expression
            over the columns, or a list of them.
        split: {kind, ratios, seed}; see ``spec.SplitSpec``.
        batch_size: rows of a training batch, over all ranks.
        eval_batch_size: rows of a validation or test batch, over all ranks.
        source: the user's own zip, folder or file; None fetches the data.
        floors: the features and the target column that the floors are fitted to: {user, item, target}.
        first_batch: training, validation and test all give the first training batch and nothing else.
        raw_dir: where raw files are kept.
        processed_dir: where stores are kept.
        selected: names of the tasks to train, in order; None takes all.
        seed: of the shuffling.
        say: takes lines for people.
    """

    def __init__(
        self,
        reader: Reader,
        name: str,
        features: Mapping[str, Any],
        tasks: Mapping[str, Any],
        split: Mapping[str, Any],
        batch_size: PositiveInt,
        eval_batch_size: PositiveInt,
        source: str | None = None,
        floors: Mapping[str, str] | None = None,
        first_batch: bool = False,
        *,
        raw_dir: str | Path,
        processed_dir: str | Path,
        selected: Sequence[str] | None = None,
        seed: NonNegativeInt = 42,
        say: Say = print,
    ) -> None:
        super().__init__()
        self.reader = reader
        self.name = name
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.source = source
        self.floors = dict(floors or {})
        self.first_batch = first_batch
        self.raw_dir, self.processed_dir = Path(raw_dir), Path(processed_dir)
        self.seed = seed
        self.say = say
        available, targets = parse_tasks(tasks)
        self.tasks = select_tasks(available, selected)
        self.recipe = Recipe(
            tuple(parse_features(features)),
            tuple(targets),
            parse_split(split),
            user=reader.user,
            item=reader.item,
            time=reader.time,
        )
        check_columns(self.recipe.features, self.recipe.targets, reader.columns)
        self._store: Store | None = None
        self._raw: Raw | None = None

    def prepare_data(self) -> None:
        """Fetches the raw files and builds the store, each where it is not there yet. Runs once a machine."""
        self._open(build_missing=True, say=self.say)

    def setup(self, stage: str | None = None) -> None:
        """Opens the store. Runs in each process."""
        self._open(build_missing=False, say=_silent)

    def _open(self, build_missing: bool, say: Say) -> None:
        if self._store is not None:
            return
        raw = self.reader.acquire(self.source, self.raw_dir, say)
        frame = self.reader.read(raw, say)
        folder = self.processed_dir / self.recipe.fingerprint(frame)
        if not folder.exists():
            if not build_missing:
                raise DataError(f"{folder} is not there; call prepare_data() before setup()")
            build(frame, self.recipe, folder)
            say(f"{self.name}: built {folder}")
        self._raw, self._store = raw, Store(folder)
        self._check_binary()

    def _check_binary(self) -> None:
        """A binary task's labels are 0 and 1: any other number would be learned from in silence."""
        targets = self.store.split("train").targets
        for task in self.tasks:
            values = targets[:, self.schema.columns_of(task)]
            wrong = values[~(torch.isnan(values) | (values == 0) | (values == 1))]
            if task.kind == "binary" and len(wrong):
                raise ConfigError(
                    f"data.tasks.{task.name}.target: a binary label must be 0 or 1, found {wrong[0]:g}; "
                    "compare it with something, as in rating >= 4"
                )

    @property
    def store(self) -> Store:
        """The processed data."""
        if self._store is None:
            raise DataError("the data is not open yet; call prepare_data() and setup() first")
        return self._store

    @property
    def schema(self) -> Schema:
        """The columns behind a batch."""
        return self.store.schema

    @property
    def fingerprint(self) -> str:
        """What names this content: raw data and every option that shapes it."""
        return self.store.fingerprint

    @property
    def statistics(self) -> list[TargetStatistics]:
        """Of each selected task's targets, over its labelled training rows."""
        return [self.store.statistics(task.name) for task in self.tasks]

    @property
    def task_columns(self) -> list[list[int]]:
        """Where each selected task's targets stand among the T target columns."""
        return [self.schema.columns_of(task) for task in self.tasks]

    def train_dataloader(self) -> ColumnLoader:
        """Training rows, shuffled anew in each epoch."""
        columns = self.store.split("train")
        if self.first_batch:
            return self._sequential(self._first(columns))
        return ShuffledLoader(columns, self.task_columns, self.batch_size, *self._place(), seed=self.seed)

    def val_dataloader(self) -> ColumnLoader:
        """Validation rows, in order."""
        return self._sequential(self._first(self.store.split("train")) if self.first_batch else self.store.split("val"))

    def test_dataloader(self) -> ColumnLoader:
        """Test rows, in order."""
        return self._sequential(
            self._first(self.store.split("train")) if self.first_batch else self.store.split("test")
        )

    def _first(self, columns: Columns) -> Columns:
        return columns.select(permutation(len(columns), self.seed, epoch=0)[: self.batch_size])

    def _sequential(self, columns: Columns) -> ColumnLoader:
        size = self.batch_size if self.first_batch else self.eval_batch_size
        return ColumnLoader(columns, self.task_columns, size, *self._place())

    def _place(self) -> tuple[int, int]:
        """This process's rank and how many there are."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1

    def summary(self) -> list[str]:
        """Lines for people: rows, features, tasks, and what each split asks of a model."""
        meta = self.store.meta
        came_from = self._raw.came_from if self._raw else "?"
        rows = " · ".join(f"{part} {count:,}" for part, count in meta["rows"].items())
        lines = [
            f"data {self.name}, fingerprint {self.fingerprint}, from {came_from}",
            f"  split {self.recipe.split.kind}: {rows} rows; {meta['users']:,} users, {meta['items']:,} items",
        ]
        shapes = []
        for feature in self.schema.features:
            size = "dense" if feature.kind == "dense" else f"{feature.size:,}"
            shapes.append(f"{feature.name} {size}" + (f" (bag of {feature.width})" if feature.kind == "bag" else ""))
        lines.append("  features: " + ", ".join(shapes))
        for task, statistics in zip(self.tasks, self.statistics, strict=True):
            pairs = zip(statistics.mean, statistics.std, strict=True)
            centre = ", ".join(
                f"base rate {mean:.3f}" if task.kind == "binary" else f"mean {mean:.3f} sd {std:.3f}"
                for mean, std in pairs
            )
            about = f": {task.about}" if task.about else ""
            lines.append(f"  task {task.name} ({task.kind}, {statistics.n:,} labels, {centre}){about}")
        for name, counts in meta["unseen"].items():
            n, users, items = (counts[key]["test"] for key in ("rows", "users", "items"))
            used = " (used)" if name == self.recipe.split.kind else ""
            lines.append(
                f"  test rows unseen in training, split {name}{used}: "
                f"users {users:,} of {n:,} ({_percent(users, n)}), items {items:,} ({_percent(items, n)})"
            )
        return lines


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "no rows"


def _silent(line: str) -> None:
    """Says nothing."""
