"""DataModule: from a data config to batches."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.pytorch import LightningDataModule

from taskloom.data.acquire import Raw, Say
from taskloom.data.build import build
from taskloom.data.expression import roots
from taskloom.data.loader import ColumnLoader, Columns, Extras, ShuffledLoader
from taskloom.data.negatives import Negatives
from taskloom.data.order import Sampling, permutation
from taskloom.data.recipe import Known, Recipe, fingerprint
from taskloom.data.sections import NegativesSpec, RankingSpec
from taskloom.data.shape import reads_shape, shape
from taskloom.data.spec import (
    check_columns,
    check_floors,
    check_leaks,
    checked,
    parse_features,
    parse_section,
    parse_split,
    parse_tasks,
)
from taskloom.data.store import Store
from taskloom.data.summary import summary_lines
from taskloom.data.table import Table
from taskloom.errors import ConfigError, DataError
from taskloom.ranges import NonNegativeInt, PositiveInt
from taskloom.schema import Schema
from taskloom.tasks import TargetStatistics, Task, select_tasks


class Reader(Protocol):
    """Reads one data set.

    ``user``, ``item`` and ``time`` name the columns that say whose event a row is, with what, and when; None where
    there is none. ``columns`` are all that ``read`` gives; None where only the files say.

    Optional: ``files(raw)``, the files that ``read`` looks at, where it is not all of them; ``digest(raw)``, a
    checksum of the content, where several file layouts hold the same; ``settings``, the options that shape the rows,
    where it is not all attributes; ``version``, raised when the same files give other rows.
    """

    name: str
    user: str | None
    item: str | None
    time: str | None
    columns: tuple[str, ...] | None

    def acquire(self, source: str | Path | None, raw_dir: str | Path, say: Say = print) -> Raw:
        """The raw files, fetched where they are not there yet."""
        ...

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All events, one a row; ``scratch`` is an empty folder for what is needed on the way."""
        ...


class DataModule(LightningDataModule):
    """A data set as tasks and features describe it.

    ``tasks`` is known from the config alone. ``prepare_data`` fetches and builds what is not there yet;
    ``setup`` opens the store, which all else needs.

    Args:
        reader: reads the raw files.
        name: the data set's name, for people.
        features: {name: {kind, side, column, ...}}; see ``feature_spec.FeatureSpec``.
        tasks: {name: {kind, target, observed, noise, about, weight, parent, options}}; a target is a column, an SQL
            expression over the columns, or a list of them.
        split: {kind, ratios, seed, ...}; see ``sections.SplitSpec``.
        batch_size: rows of a training batch, over all ranks; drawn negatives come on top.
        eval_batch_size: rows of a validation or test batch, over all ranks.
        source: the user's own zip, folder or file; None fetches the data.
        floors: the features and the target column that the floors are fitted to: {user, item, target}; None on tables.
        first_batch: training, validation and test all give the first training batch and nothing else.
        default_tasks: the tasks that are trained where none are selected; None takes all.
        excluded: {column: reason}: columns that no feature may use; null takes one out of the list.
        core: {user, item}: training rows that each must have; rows of others are left out.
        prior: categorical features that are also given as ``Batch.prior``.
        negatives: {task, per_row, rule, eval_per_row}; see ``sections.NegativesSpec``. Drawn where its task is trained.
        sampling: {rule, temperature} across stacked tables; see ``order.Sampling``.
        ranking: {task, at, users, seed}; see ``sections.RankingSpec``. Measured where its task is trained.
        block: rows that are shuffled as one, for stores larger than memory; None shuffles every row.
        device_resident: keep the columns on the accelerator.
        raw_dir: where raw files are kept.
        processed_dir: where stores are kept.
        selected: names of the tasks to train, in order; None takes ``default_tasks``.
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
        default_tasks: Sequence[str] | None = None,
        excluded: Mapping[str, str | None] | None = None,
        core: Mapping[str, PositiveInt] | None = None,
        prior: Sequence[str] = (),
        negatives: Mapping[str, Any] | None = None,
        sampling: Mapping[str, Any] | None = None,
        ranking: Mapping[str, Any] | None = None,
        block: PositiveInt | None = None,
        device_resident: bool = False,
        *,
        raw_dir: str | Path,
        processed_dir: str | Path,
        selected: Sequence[str] | None = None,
        seed: NonNegativeInt = 42,
        say: Say = print,
    ) -> None:
        super().__init__()
        self.reader = reader
        self.title = name
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.source = source
        self.floors = dict(floors or {})
        self.first_batch = first_batch
        self.excluded = {name: why for name, why in (excluded or {}).items() if why is not None}
        self.block, self.device_resident = block, device_resident
        self.raw_dir, self.processed_dir = Path(raw_dir), Path(processed_dir)
        self.seed = seed
        self.say = say
        available, targets = parse_tasks(tasks)
        self.tasks = select_tasks(available, default_tasks if selected is None else selected)
        self._kinds = {task.name: task.kind for task in available}
        drawn = _of_task("negatives", NegativesSpec, negatives, self._kinds)
        ranking_spec = _of_task("ranking", RankingSpec, ranking, self._kinds)
        names = [task.name for task in self.tasks]
        self.ranking = ranking_spec if ranking_spec and ranking_spec.task in names else None
        self.sampling = parse_section("data.sampling", Sampling, sampling) if sampling else None
        self.recipe = Recipe(
            tuple(parse_features(features)),
            tuple(targets),
            parse_split(split),
            user=reader.user,
            item=reader.item,
            time=reader.time,
            core=checked("data.core", core or {}, ("user", "item")),
            # What is drawn shapes the store only where it is used, so that other tasks keep theirs.
            negatives=drawn if drawn and drawn.task in names else None,
        )
        if self.ranking is not None and self.recipe.negatives is None:
            raise ConfigError(
                f"data.ranking.task: ranking by {self.ranking.task} needs the catalogue that data.negatives makes; "
                "train the task of data.negatives too, or set data.ranking=null"
            )
        self.prior, self.prior_names = self._places(prior), tuple(prior)
        check_floors(self.floors, self.recipe.features, self.recipe.targets)
        if reader.columns is not None:
            check_columns(self.recipe.features, self.recipe.targets, reader.columns)
            self._check_leaks(reader.columns)
        self._store: Store | None = None
        self._raw: Raw | None = None
        self._resident: Extras | None = None

    def _places(self, prior: Sequence[str]) -> tuple[int, ...]:
        """Where the features of ``prior`` stand among the categorical ones."""
        names = [spec.name for spec in self.recipe.features if spec.stored == "categorical"]
        for name in prior:
            if name not in names:
                raise ConfigError(f"data.prior: {name!r} is no categorical feature; there are {', '.join(names)}")
        return tuple(names.index(name) for name in prior)

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
        known = Known(self.processed_dir, self.reader, raw, self.recipe)
        name = known.recall()
        if name is None or not (self.processed_dir / name).exists():
            name = fingerprint(self.reader, raw, self.recipe)
            folder = self.processed_dir / name
            if not folder.exists():
                if not build_missing:
                    raise DataError(f"{folder} is not there; call prepare_data() before setup()")
                self._build(raw, folder, say)
            known.remember(name)
        self._raw, self._store = raw, Store(self.processed_dir / name)
        self._check_leaks(self._store.meta["columns"])
        for task in self.tasks:
            self._store.check_kind(task)
            self._check_labels(task)

    def _check_leaks(self, columns: Sequence[str]) -> None:
        """Whether a feature tells the outcome of a task that is trained."""
        names = [task.name for task in self.tasks]
        targets = [target for target in self.recipe.targets if target.task in names]
        check_leaks(self.recipe.features, targets, self.excluded, columns)
        user = self.recipe.user if self.recipe.history else None
        for target in targets:
            if user in roots(f"data.tasks.{target.task}.target", target.expression, columns):
                raise ConfigError(
                    f"data.reader.user: the target of task {target.task} is computed from {user!r}, so that whose "
                    "history a row has would tell its outcome; name another column, or set the history's length to 0"
                )

    def _check_labels(self, task: Task) -> None:
        """Whether there is something to learn: labels, of both classes, and no other numbers in a binary task."""
        where, known = f"data.tasks.{task.name}", self.store.statistics(task.name)
        if known.n == 0:
            raise DataError(f"{where}: no training row has a label; check its target, or leave the task out")
        if task.kind != "binary":
            return
        if not (known.values and set(known.values) <= {0.0, 1.0}):
            raise ConfigError(
                f"{where}.target: a binary label must be 0 or 1; compare it with something, as in rating >= 4"
            )
        if known.std[0] == 0:
            raise DataError(
                f"{where}: every training label is {known.mean[0]:g}, so there is nothing to learn; check its target, "
                "draw negatives against it (data.negatives), or leave the task out"
            )

    def _build(self, raw: Raw, folder: Path, say: Say) -> None:
        self.processed_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.raw.", dir=self.processed_dir) as scratch:
            table = self.reader.read(raw, Path(scratch), say)
            self._check_leaks(table.frame.collect_schema().names())
            build(table, self.recipe, folder, self._kinds)
        say(f"{self.title}: built {folder}")

    @property
    def store(self) -> Store:
        """The processed data."""
        if self._store is None:
            raise DataError("the data is not open yet; call prepare_data() and setup() first")
        return self._store

    @property
    def schema(self) -> Schema:
        """The columns behind a batch."""
        return replace(self.store.schema, prior=self.prior_names)

    @property
    def fingerprint(self) -> str:
        """What names this content: raw data and every option that shapes it."""
        return self.store.fingerprint

    @property
    def statistics(self) -> list[TargetStatistics]:
        """Of each selected task's targets, over its labelled training rows."""
        return [self._statistics(task) for task in self.tasks]

    def _statistics(self, task: Task) -> TargetStatistics:
        found, columns = self.store.statistics(task.name), self.store.schema.columns_of(task)
        if len(columns) > 1 or not reads_shape(task):
            return found
        return replace(found, **shape(self.store.split("train").targets[:, columns[0]].numpy()))

    @property
    def task_columns(self) -> list[list[int]]:
        """Where each selected task's targets stand among the T target columns."""
        return [self.schema.columns_of(task) for task in self.tasks]

    def train_dataloader(self) -> ColumnLoader:
        """Training rows, shuffled anew in each epoch."""
        columns = self.store.split("train")
        if self.first_batch:
            return self._sequential(self._first(columns))
        columns, extras = self._placed(columns)
        return ShuffledLoader(
            columns,
            self.task_columns,
            self.batch_size,
            *self._place(),
            seed=self.seed,
            extras=extras,
            sampling=self.sampling,
            block=self.block,
        )

    def val_dataloader(self) -> ColumnLoader:
        """Validation rows, in order."""
        return self.part_dataloader("val")

    def test_dataloader(self) -> ColumnLoader:
        """Test rows, in order."""
        return self.part_dataloader("test")

    def part_dataloader(self, part: str) -> ColumnLoader:
        """The rows of a part, in order: train, val, test, or one of ``further_tests``."""
        return self._sequential(self._first(self.store.split("train")) if self.first_batch else self.store.split(part))

    @property
    def further_tests(self) -> list[str]:
        """Names of test sets beside ``test``."""
        return self.store.parts[3:]

    def _first(self, columns: Columns) -> Columns:
        return columns.select(permutation(len(columns), self.seed, epoch=0)[: self.batch_size])

    def _sequential(self, columns: Columns) -> ColumnLoader:
        size = self.batch_size if self.first_batch else self.eval_batch_size
        columns, extras = self._placed(columns)
        return ColumnLoader(columns, self.task_columns, size, *self._place(), extras=extras)

    def _placed(self, columns: Columns) -> tuple[Columns, Extras]:
        """The columns, and what goes with them, on the device where they stay."""
        extras = self.extras
        if not self.device_resident or self.trainer is None:
            return columns, extras
        device = self.trainer.strategy.root_device
        if self._resident is None:
            self._resident = extras.to(device)  # once, whichever part asks first
        return columns.to(device), self._resident

    @property
    def extras(self) -> Extras:
        """Histories, negatives and prior: what a batch has beside its columns."""
        spec, negatives = self.recipe.negatives, None
        if spec is not None:
            names = [task.name for task in self.tasks]
            popularity = self.store.popularity() if spec.rule == "popularity" else None
            negatives = Negatives(
                self.store.catalogue(),
                self.store.pairs(),
                names.index(spec.task),
                spec.per_row,
                spec.rule,
                self.seed,
                popularity,
            )
        return Extras(self.store.events(), negatives, self.prior)

    def _place(self) -> tuple[int, int]:
        """This process's rank and how many there are."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1

    def summary(self) -> list[str]:
        """Lines for people: rows, features, tasks, and what each split asks of a model."""
        return summary_lines(self.title, self.store, self.tasks, self.came_from, self.excluded)

    @property
    def came_from(self) -> str:
        """Where the raw files were got, in words."""
        return self._raw.came_from if self._raw else "?"


def _of_task(section: str, kind: type[Any], config: Mapping[str, Any] | None, tasks: Mapping[str, str]) -> Any:
    """A section that names a task, or None where there is no such section."""
    if not config:
        return None
    spec = parse_section(f"data.{section}", kind, config, ("task",))
    if spec.task not in tasks:
        raise ConfigError(f"data.{section}.task: there is no task {spec.task!r}; there are {', '.join(tasks)}")
    if tasks[spec.task] not in ("binary", "ranking"):
        raise ConfigError(
            f"data.{section}.task: {spec.task} is {tasks[spec.task]}; it must be a binary task, or one of ranking"
        )
    return spec


def _silent(line: str) -> None:
    """Says nothing."""
