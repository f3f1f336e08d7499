"""What a data config says of features, tasks and the split, checked before any data is touched."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from taskloom.data.expression import expression, roots
from taskloom.data.feature_spec import FeatureSpec, check_keys
from taskloom.data.sections import SplitSpec
from taskloom.errors import ConfigError
from taskloom.tasks import Task

S = TypeVar("S")


@dataclass(frozen=True)
class TargetSpec:
    """A target column of the store.

    Args:
        name: in the store.
        expression: the column or SQL expression that it comes from.
        task: whose target it is.
        observed: SQL that is true where there is a label; empty for wherever the target has a value.
        noise: SQL for the standard deviation of the label's error; empty for none.
    """

    name: str
    expression: str
    task: str
    observed: str = ""
    noise: str = ""


@dataclass(frozen=True)
class TaskSection(Task):
    """A task as the data config describes it: what every layer shares, and what the data alone must know.

    Args:
        observed: SQL that is true where there is a label.
        noise: SQL for the standard deviation of the label's error.
    """

    observed: str | None = None
    noise: str | None = None


def checked(where: str, given: object, allowed: Collection[str], needed: Collection[str] = ()) -> dict[str, Any]:
    """A section's keys, each of them known.

    Raises:
        ConfigError: no section, an unknown key, or a needed one that is missing.
    """
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


def parse_section(where: str, kind: type[S], config: Mapping[str, Any], needed: Collection[str] = ()) -> S:
    """A section as its dataclass.

    Example:
        >>> parse_section("data.split", SplitSpec, {"kind": "random", "seed": 3}).seed
        3
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**checked(where, config, names, needed))


def parse_features(config: Mapping[str, Any]) -> list[FeatureSpec]:
    """The features of ``data.features``, a time as one a part; one that is set to null is left out.

    Example:
        >>> parse_features({"user": {"kind": "categorical", "side": "user"}, "year": None})[0].expression
        'user'
        >>> parse_features({"age": {"kind": "dens", "side": "user"}})
        Traceback (most recent call last):
            ...
        taskloom.errors.ConfigError: data.features.age.kind must be one of categorical, bag, ..., got 'dens'
    """
    allowed = [field.name for field in fields(FeatureSpec) if field.name != "name"]
    specs: list[FeatureSpec] = []
    for name, section in config.items():
        if section is None or only_asked_for(name, section):
            continue
        where = f"data.features.{name}"
        given = checked(where, section, allowed, ("kind",))
        check_keys(where, given)
        specs += FeatureSpec(str(name), **given).expanded()
    if not any(spec.stored for spec in specs):
        raise ConfigError("data.features: no feature is left that a model could read; name at least one, such as user")
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"data.features: two features are called {name}; rename one")
    seen: dict[FeatureSpec, str] = {}
    for spec in specs:
        content = replace(spec, name="", side="context", column=spec.expression, known=False)
        if content in seen:
            raise ConfigError(
                f"data.features.{spec.name}: it is the same as data.features.{seen[content]} ({spec.kind} of "
                f"{spec.expression!r}); leave one of them out"
            )
        seen[content] = spec.name
    for kind in ("group", "history"):
        several = [spec.name for spec in specs if spec.kind == kind]
        if len(several) > 1:
            raise ConfigError(f"data.features: {' and '.join(several)} are both of kind {kind}; there can be one")
    categorical = [spec.name for spec in specs if spec.stored == "categorical"]
    for spec in specs:
        for name in spec.of if spec.kind == "history" else ():
            if name not in categorical:
                raise ConfigError(
                    f"data.features.{spec.name}.of: {name!r} is no categorical feature; there are "
                    f"{', '.join(categorical)}"
                )
    return specs


def only_asked_for(name: str, section: Any) -> bool:
    """Whether a backbone asks for a history, ``history: {length: 20}``, that the data does not describe by this name.

    It may do so by another name, whose own length then counts.
    """
    return name == "history" and isinstance(section, Mapping) and set(section) == {"length"}


def parse_split(config: Mapping[str, Any]) -> SplitSpec:
    """The split of ``data.split``."""
    return parse_section("data.split", SplitSpec, config, ("kind",))


def parse_tasks(config: Mapping[str, Any]) -> tuple[list[Task], list[TargetSpec]]:
    """The tasks of ``data.tasks`` and the target columns that hold their labels.

    A task's targets are stored under its own name, or as ``name_0``, ``name_1``, ... where it has several.

    Example:
        >>> tasks, targets = parse_tasks({"like": {"kind": "binary", "target": "rating >= 4"}})
        >>> tasks[0].targets, targets[0].expression
        (('like',), 'rating >= 4')
    """
    allowed = [field.name for field in fields(TaskSection) if field.name != "name"]
    tasks, targets = [], []
    for name, section in config.items():
        if section is None:
            continue
        given = checked(f"data.tasks.{name}", section, allowed, ("kind", "target"))
        several = isinstance(given["target"], Sequence) and not isinstance(given["target"], str)
        expressions = list(given["target"]) if several else [given["target"]]
        names = [f"{name}_{index}" for index in range(len(expressions))] if several else [name]
        observed, noise = str(given.pop("observed", "") or ""), str(given.pop("noise", "") or "")
        targets += [
            TargetSpec(column, str(source), name, observed, noise)
            for column, source in zip(names, expressions, strict=True)
        ]
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


def inputs_of(spec: FeatureSpec) -> list[tuple[str, str]]:
    """The expressions that a feature's values come from, each with its config path."""
    where = f"data.features.{spec.name}"
    if spec.kind == "history":
        return [(f"{where}.where", spec.where)] if spec.where else []
    if spec.kind == "asof":
        of = [(f"{where}.of", str(spec.of))] if spec.of else []
        return [(f"{where}.by", spec.by), *of]
    return [(f"{where}.column", spec.expression)]


def inputs_of_target(target: TargetSpec) -> list[tuple[str, str]]:
    """The expressions that a target column comes from, each with its config path."""
    where = f"data.tasks.{target.task}"
    found = [(f"{where}.target", target.expression)]
    found += [(f"{where}.observed", target.observed)] if target.observed else []
    return found + ([(f"{where}.noise", target.noise)] if target.noise else [])


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
        for where, text in inputs_of(feature):
            expression(where, text, columns)
    for target in targets:
        for where, text in inputs_of_target(target):
            expression(where, text, columns)


def check_leaks(
    features: Iterable[FeatureSpec],
    targets: Sequence[TargetSpec],
    excluded: Mapping[str, str],
    columns: Collection[str],
) -> None:
    """Refuses features that tell the outcome: excluded columns, and columns that a target is computed from.

    What an ``asof`` feature takes the mean of may be computed from a target, since it sees strictly earlier rows
    alone; its key may not, since that is the row's own.

    Raises:
        ConfigError: the first such feature.

    Example:
        >>> rating = FeatureSpec("rating", "dense")
        >>> like = TargetSpec("like", "rating >= 4", "like")
        >>> check_leaks([rating], [like], {}, ["rating"])
        Traceback (most recent call last):
            ...
        taskloom.errors.ConfigError: data.features.rating: it is computed from 'rating', and so is the target of
        task like; leave it out, or set known: true where it is known before the outcome
    """
    answers = {
        root: target.task
        for target in targets
        for root in sorted(roots(f"data.tasks.{target.task}.target", target.expression, columns))
    }
    for spec in features:
        for where, text in inputs_of(spec):
            for root in sorted(roots(where, text, columns)):
                if root in excluded:
                    raise ConfigError(
                        f"data.features.{spec.name}: column {root!r} is excluded ({excluded[root]}); leave the feature "
                        f"out, or set data.excluded.{root}=null where you know better"
                    )
                earlier = spec.kind == "asof" and where.endswith(".of")
                if root in answers and not spec.known and spec.stored and not earlier:
                    raise ConfigError(
                        f"data.features.{spec.name}: it is computed from {root!r}, and so is the target of task "
                        f"{answers[root]}; leave it out, or set known: true where it is known before the outcome"
                    )


def check_floors(
    floors: Mapping[str, str] | None, features: Iterable[FeatureSpec], targets: Iterable[TargetSpec]
) -> None:
    """Whether ``data.floors`` names what is there.

    Raises:
        ConfigError: such as a key that is missing, or a feature that is not categorical.

    Example:
        >>> check_floors({"user": "user", "item": "film", "target": "like"}, [FeatureSpec("user", "categorical")], [])
        Traceback (most recent call last):
            ...
        taskloom.errors.ConfigError: data.floors.item: 'film' is no categorical feature; there are user; name one of
        them, or set data.floors=null
    """
    if not floors:
        return
    keys = ("user", "item", "target")
    given = checked("data.floors", floors, keys, keys)
    categorical = [spec.name for spec in features if spec.stored == "categorical"]
    for key, names, what in (
        ("user", categorical, "categorical feature"),
        ("item", categorical, "categorical feature"),
        ("target", [target.name for target in targets], "target"),
    ):
        if given[key] not in names:
            raise ConfigError(
                f"data.floors.{key}: {given[key]!r} is no {what}; there are {', '.join(names)}; name one of them, or "
                "set data.floors=null"
            )
