"""What a data config says of features, tasks and the split, checked before any data is touched."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

import polars as pl

from taskloom.data.splits import SPLITS
from taskloom.errors import ConfigError
from taskloom.schema import Kind, Side
from taskloom.tasks import Task


@dataclass(frozen=True)
class FeatureSpec:
    """One feature as the data config describes it.

    Args:
        name: its key in ``data.features``.
        kind: ``categorical``, ``bag`` (a column of lists) or ``dense``.
        side: ``user``, ``item`` or ``context``.
        column: a column, or an SQL expression over the columns; the feature's own name where left out.
        min_count: a value with fewer training rows than this is unknown.
    """

    name: str
    kind: Kind
    side: Side
    column: str = ""
    min_count: int = 1

    def __post_init__(self) -> None:
        where = f"data.features.{self.name}"
        for key, value, allowed in (("kind", self.kind, get_args(Kind)), ("side", self.side, get_args(Side))):
            if value not in allowed:
                raise ConfigError(f"{where}.{key} must be one of {', '.join(allowed)}, got {value!r}")
        if not isinstance(self.min_count, int) or self.min_count < 1:
            raise ConfigError(f"{where}.min_count must be a whole number >= 1, got {self.min_count!r}")

    @property
    def expression(self) -> str:
        """The column or SQL expression that its values come from."""
        return self.column or self.name


@dataclass(frozen=True)
class SplitSpec:
    """How rows are told apart for training, validation and test.

    Args:
        kind: a name in ``splits.SPLITS``.
        ratios: shares of training, validation and test rows.
        seed: of the split alone; the seed of training is another.
    """

    kind: str = "random"
    ratios: tuple[float, float, float] = (8, 1, 1)
    seed: int = 1

    def __post_init__(self) -> None:
        if self.kind not in SPLITS:
            raise ConfigError(f"data.split.kind must be one of {', '.join(SPLITS)}, got {self.kind!r}")
        ratios = tuple(self.ratios)
        if len(ratios) != 3 or not all(isinstance(ratio, int | float) and ratio > 0 for ratio in ratios):
            raise ConfigError(
                f"data.split.ratios must be three numbers above 0 (training, validation, test), got {list(ratios)}"
            )
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError(f"data.split.seed must be a whole number >= 0, got {self.seed!r}")
        object.__setattr__(self, "ratios", ratios)


@dataclass(frozen=True)
class TargetSpec:
    """A target column: its name in the store, and the column or SQL expression that it comes from."""

    name: str
    expression: str
    task: str


def _checked(where: str, given: object, allowed: Collection[str], needed: Collection[str] = ()) -> dict[str, Any]:
    """A section's keys, each of them known."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} must be a section with keys such as {', '.join(allowed)}, got {given!r}")
    for key in given:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(allowed)}"
            raise ConfigError(f"Unknown key {where}.{key}: {hint}")
    for key in needed:
        if key not in given:
            raise ConfigError(f"{where}: {key} is missing; set {where}.{key}")
    return {str(key): value for key, value in given.items()}


def parse_features(config: Mapping[str, Any]) -> list[FeatureSpec]:
    """The features of ``data.features``; one that is set to null is left out.

    Example:
        >>> parse_features({"user": {"kind": "categorical", "side": "user"}, "year": None})[0].expression
        'user'
        >>> parse_features({"age": {"kind": "dens", "side": "user"}})
        Traceback (most recent call last):
            ...
        taskloom.errors.ConfigError: data.features.age.kind must be one of categorical, bag, dense, got 'dens'
    """
    allowed = [field.name for field in fields(FeatureSpec) if field.name != "name"]
    specs = [
        FeatureSpec(name, **_checked(f"data.features.{name}", section, allowed, ("kind", "side")))
        for name, section in config.items()
        if section is not None
    ]
    if not any(spec.kind == "categorical" for spec in specs):
        raise ConfigError("data.features: no categorical feature is left; name at least one, such as user")
    return specs


def parse_split(config: Mapping[str, Any]) -> SplitSpec:
    """The split of ``data.split``."""
    return SplitSpec(**_checked("data.split", config, [field.name for field in fields(SplitSpec)], ("kind",)))


def parse_tasks(config: Mapping[str, Any]) -> tuple[list[Task], list[TargetSpec]]:
    """The tasks of ``data.tasks`` and the target columns that hold their labels.

    A task's targets are stored under its own name, or as ``name_0``, ``name_1``, ... where it has several.

    Example:
        >>> tasks, targets = parse_tasks({"like": {"kind": "binary", "target": "rating >= 4"}})
        >>> tasks[0].targets, targets[0].expression
        (('like',), 'rating >= 4')
    """
    allowed = [field.name for field in fields(Task) if field.name != "name"]
    tasks, targets = [], []
    for name, section in config.items():
        if section is None:
            continue
        given = _checked(f"data.tasks.{name}", section, allowed, ("kind", "target"))
        several = isinstance(given["target"], Sequence) and not isinstance(given["target"], str)
        expressions = list(given["target"]) if several else [given["target"]]
        names = [f"{name}_{index}" for index in range(len(expressions))] if several else [name]
        targets += [TargetSpec(column, str(source), name) for column, source in zip(names, expressions, strict=True)]
        given["options"] = dict(given.get("options") or {})
        tasks.append(Task(name, **{**given, "target": tuple(names)}))
    if not tasks:
        raise ConfigError("data.tasks: there is no task; describe at least one")
    stored = [target.name for target in targets]
    if len(set(stored)) != len(stored):
        raise ConfigError(f"data.tasks: two tasks store the same target column ({', '.join(stored)}); rename one")
    for task in tasks:
        if task.parent is not None and task.parent not in config:
            raise ConfigError(f"data.tasks.{task.name}.parent: there is no task {task.parent!r}")
    return tasks, targets


def expression(where: str, text: str, columns: Iterable[str]) -> pl.Expr:
    """A column, or an SQL expression over the columns.

    Args:
        where: the config path, for the message.
        text: such as ``rating`` or ``rating >= 4``.
        columns: those that the data set has.

    Example:
        >>> like = expression("data.tasks.like.target", "rating >= 4", ["rating"])
        >>> pl.DataFrame({"rating": [3, 5]}).select(like).to_series().to_list()
        [False, True]
    """
    columns = list(columns)
    if text in columns:  # before SQL sees it: ``user`` is a word of SQL
        return pl.col(text)
    try:
        parsed = pl.sql_expr(text)
        roots = parsed.meta.root_names()
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"{where}: {text!r} is neither a column nor an SQL expression ({error})") from error
    for name in roots:
        if name not in columns:
            raise ConfigError(f"{where}: the data has no column {name!r}; it has {', '.join(columns)}")
    return parsed


def check_columns(features: Iterable[FeatureSpec], targets: Iterable[TargetSpec], columns: Collection[str]) -> None:
    """Whether all that features and targets are computed from is there.

    Args:
        features: what ``parse_features`` gives.
        targets: what ``parse_tasks`` gives.
        columns: those that the reader gives.

    Raises:
        ConfigError: an expression that cannot be read, or one over a column that the data lacks.
    """
    for feature in features:
        expression(f"data.features.{feature.name}.column", feature.expression, columns)
    for target in targets:
        expression(f"data.tasks.{target.task}.target", target.expression, columns)
