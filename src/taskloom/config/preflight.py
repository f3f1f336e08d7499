"""Preflight: everything about a job that can be judged before data is touched."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

from taskloom.config.accelerator import check_accelerator
from taskloom.config.embeddings import check_embeddings
from taskloom.config.network import check_network
from taskloom.config.plugins import load_plugins
from taskloom.config.schema import COLLECTIONS, NODES, TrainConfig
from taskloom.config.targets import check_nodes, locate
from taskloom.config.values import Problem, check_fields
from taskloom.errors import ConfigError
from taskloom.tasks import Task, select_tasks


def preflight(config: dict[str, Any], sections: Collection[str] | None = None) -> list[Problem]:
    """What is wrong with a job's config; empty where nothing is. Plugins are imported on the way.

    Args:
        config: the resolved config as plain data.
        sections: the sections whose ``_target_`` nodes are checked, which imports their code; None takes all.
    """
    absent = [section for section in (*NODES, *COLLECTIONS) if config.get(section) is None]
    present = {key: value for key, value in config.items() if key not in absent}
    problems = [p for p in check_fields(TrainConfig, present, "") if p.path not in absent]
    problems += [Problem(s, f"{s} is missing: choose a member with {s}=<name>; --help lists them") for s in absent]
    problems += _check_tasks(config)
    problems += _check_patterns(config)
    try:
        plugins = load_plugins([str(path) for path in config.get("plugins") or []])
    except ConfigError as error:
        return [*problems, Problem("plugins", str(error))]
    for section, value in config.items():
        if sections is None or section in sections:
            problems += _check_section(section, value, plugins)
            if section == "data" and isinstance(value, dict):
                problems += list(_check_description(value)) or _check_kinds(value, config.get("tasks"))
                if not any(problem.path.startswith("data") for problem in problems):
                    problems += _check_columns(value, config.get("tasks"))
    wrong = {problem.path.split(".")[0] for problem in problems}
    if sections is None and not wrong & {"model", "features", "backbone", "data", "tasks"}:
        problems += _check_fit(config)
    if not wrong & {"features", "optimizer", "parameter_groups", "trainer"}:
        problems += check_embeddings(config)
    if sections is None and not wrong & {"callbacks", "data"}:
        problems += _check_callbacks(config)
    if sections is None and "floors" not in wrong:
        problems += _check_floors(config["floors"], config.get("data"))
    if "trainer" not in wrong:
        problems += check_accelerator(config["trainer"])
    return list({problem.text: problem for problem in problems}.values())


def check_data(config: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the data section alone, and with the tasks that are chosen from it."""
    value = config.get("data")
    if not isinstance(value, dict):
        return [Problem("data", "data is missing: choose a member with data=<name>; --help lists them")]
    problems = [*_check_tasks(config), *_check_section("data", value, load_plugins(config.get("plugins") or []))]
    problems += list(_check_description(value)) or _check_kinds(value, config.get("tasks"))
    return problems or list(_check_columns(value, config.get("tasks")))


def _check_tasks(config: Mapping[str, Any]) -> Iterator[Problem]:
    """The task names against those that the data describes."""
    names, data = config.get("tasks"), config.get("data")
    described = data.get("tasks") if isinstance(data, dict) else None
    if isinstance(described, dict) and (names is None or isinstance(names, list)):
        try:
            tasks = [Task(str(name), kind="any") for name, section in described.items() if section is not None]
            select_tasks(tasks, names)
        except ConfigError as error:
            yield Problem("tasks", str(error))


def _check_patterns(config: Mapping[str, Any]) -> Iterator[Problem]:
    """The patterns of the parameter groups."""
    groups = config.get("parameter_groups")
    for name, group in groups.items() if isinstance(groups, dict) else ():
        pattern = group.get("pattern") if isinstance(group, dict) else None
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except re.error as error:
                path = f"parameter_groups.{name}.pattern"
                yield Problem(path, f"{path}: {pattern!r} is no regular expression ({error})")


def _check_floors(names: list[str] | None, data: Any) -> Iterator[Problem]:
    """The floors against those that there are and the data's kind; plugins that bring floors are imported by now."""
    from taskloom.floors.compute import check_rated
    from taskloom.floors.floor import select_floors

    ours = isinstance(data, dict) and str(data.get("_target_")).startswith("taskloom.data.")
    try:
        for floor in select_floors(names or []):
            check_rated(floor, rated=not ours or bool(data.get("floors")))
    except ConfigError as error:
        yield Problem("floors", str(error))


def _check_description(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What the data config says of features, tasks and the split, where it is for our own DataModule."""
    if not str(data.get("_target_")).startswith("taskloom.data."):
        return
    from taskloom.data.feature_spec import FeatureSpec
    from taskloom.data.order import Sampling
    from taskloom.data.sections import NegativesSpec, RankingSpec, SplitSpec
    from taskloom.data.spec import (
        TaskSection,
        check_floors,
        only_asked_for,
        parse_features,
        parse_section,
        parse_split,
        parse_tasks,
    )

    checks: list[tuple[str, Callable[[Any], Any], type, bool]] = [
        ("features", parse_features, FeatureSpec, True),
        ("tasks", parse_tasks, TaskSection, True),
        ("split", parse_split, SplitSpec, False),
        ("negatives", partial(parse_section, "data.negatives", NegativesSpec), NegativesSpec, False),
        ("ranking", partial(parse_section, "data.ranking", RankingSpec), RankingSpec, False),
        ("sampling", partial(parse_section, "data.sampling", Sampling), Sampling, False),
    ]
    for section, parse, kind, named in checks:
        value = data.get(section)
        if not isinstance(value, dict):
            continue  # left out, or of the wrong kind: the signature says so
        parts = {f"data.{section}": value}
        if named:
            described = {k: v for k, v in value.items() if isinstance(v, dict) and not only_asked_for(k, v)}
            parts = {f"data.{section}.{k}": {"name": k, **v} for k, v in described.items()}
        problems = [problem for path, part in parts.items() for problem in check_fields(kind, part, path)]
        yield from problems
        try:
            if not problems:
                parse(value)
        except ConfigError as error:
            path = re.search(rf"data\.{section}(\.\w+)*", str(error))
            yield Problem(path[0] if path else f"data.{section}", str(error))
    try:
        if all(isinstance(data.get(section), dict) for section in ("features", "tasks", "floors")):
            check_floors(data["floors"], parse_features(data["features"]), parse_tasks(data["tasks"])[1])
    except (ConfigError, TypeError) as error:  # of features and tasks all is said above
        if str(error).startswith(("data.floors", "Unknown key data.floors")):
            yield Problem("data.floors", str(error))
    names = [str(name) for name, task in (data.get("tasks") or {}).items() if task is not None]
    for section in ("negatives", "ranking"):
        wanted = data.get(section)
        if isinstance(wanted, dict) and wanted.get("task") not in names:
            where = f"data.{section}.task"
            yield Problem(where, f"{where}: there is no task {wanted.get('task')!r}; there are {', '.join(names)}")


def _check_kinds(data: Mapping[str, Any], names: Any) -> Iterator[Problem]:
    """The heads of the tasks that are to be trained, where the data config is for our own DataModule."""
    if str(data.get("_target_")).startswith("taskloom.data.") and isinstance(data.get("tasks"), dict):
        from taskloom.config.heads import check_heads
        from taskloom.data.spec import parse_tasks

        tasks, _ = parse_tasks(data["tasks"])
        names = names or data.get("default_tasks")
        yield from check_heads([task for task in tasks if names is None or task.name in names])


def _check_columns(data: Mapping[str, Any], names: Any) -> Iterator[Problem]:
    """Features and targets against the columns that the reader gives; the data's own node is right."""
    reader = data.get("reader")
    if not (str(data["_target_"]).startswith("taskloom.data.") and isinstance(reader, dict)):
        return
    from taskloom.data.spec import check_columns, check_leaks, parse_features, parse_tasks

    columns = getattr(locate(reader["_target_"]), "columns", None)
    if not isinstance(columns, tuple):  # known when the reader is made, or when the files are read
        return
    try:
        features, (_, targets) = parse_features(data["features"]), parse_tasks(data["tasks"])
        check_columns(features, targets, columns)
        wanted = names or data.get("default_tasks") or data["tasks"]
        trained = [target for target in targets if target.task in wanted]
        excluded = {name: why for name, why in (data.get("excluded") or {}).items() if why is not None}
        check_leaks(features, trained, excluded, columns)
    except ConfigError as error:
        yield Problem(str(error).partition(":")[0], str(error))


def _check_callbacks(config: Mapping[str, Any]) -> Iterator[Problem]:
    """Whether the callbacks are there that no training of ours does without."""
    if str(config["data"]["_target_"]).startswith("taskloom.data."):
        for name, what in (("checkpoint", "goes on from"), ("best", "takes its best epoch from")):
            if config["callbacks"].get(name) is None:
                path = f"callbacks.{name}"
                yield Problem(path, f"{path} is missing: a run {what} what it keeps; leave it in, others may be null")


def _check_fit(config: Mapping[str, Any]) -> Iterator[Problem]:
    """Whether sharing scheme and backbone, whose own nodes are right, suit the features, the tasks and the data."""
    problems = list(_check_parts(config))
    yield from problems
    data = config["data"]
    if not problems and str(data["_target_"]).startswith("taskloom.data."):
        yield from check_network(config, _tasks_of(config))


def _tasks_of(config: Mapping[str, Any]) -> list[Task]:
    """The tasks that are to be trained, where the data config is for our own DataModule."""
    from taskloom.data.spec import parse_tasks

    data = config["data"]
    return select_tasks(parse_tasks(data["tasks"])[0], config["tasks"] or data.get("default_tasks"))


def _check_parts(config: Mapping[str, Any]) -> Iterator[Problem]:
    """What the classes of scheme and backbone alone say of the features, the tasks and the data."""
    scheme, backbone = locate(config["model"]["_target_"]), locate(config["backbone"]["_target_"])
    if hasattr(scheme, "check_views"):
        try:
            scheme.check_views(config["features"]["views"])
        except ConfigError as error:
            yield Problem("features.views", str(error))
    data = config["data"]
    if not str(data["_target_"]).startswith("taskloom.data."):
        return
    if hasattr(scheme, "check_tasks"):
        arguments = {key: value for key, value in config["model"].items() if key != "_target_"}
        try:
            scheme.check_tasks(_tasks_of(config), arguments)
        except ConfigError as error:
            yield Problem("model", str(error))
    if getattr(scheme, "reads_prior", False) and not data.get("prior"):
        yield Problem(
            "model",
            f"model: {scheme.__name__} reads a scenario, and the data names none: name the categorical features that "
            "tell it, as in '++data.prior=[device]', or choose another model",
        )
    yield from _check_history(backbone, data["features"])


def _check_history(backbone: Any, features: Mapping[str, Any]) -> Iterator[Problem]:
    """Whether a backbone that reads earlier events finds any, and whether a history's length is that of a history."""
    from taskloom.data.spec import only_asked_for, parse_features

    histories = [feature for feature in parse_features(features) if feature.kind == "history"]
    example = "'+data.features.history={kind: history, of: [item], length: 20}'"
    if getattr(backbone, "reads_history", False):
        if histories and not histories[0].length:
            path = f"data.features.{histories[0].name}.length"
            yield Problem(path, f"backbone: {backbone.__name__} reads earlier events, and {path} is 0: set {path}=20")
        elif not histories:
            yield Problem(
                "backbone",
                f"backbone: {backbone.__name__} reads earlier events, and the data has none: describe them, as in "
                f"{example}, or choose another backbone",
            )
    elif only_asked_for("history", features.get("history")):
        yield Problem(
            "data.features.history",
            f"data.features.history has a length, and the data describes no such history: describe it, as in {example}",
        )


def _check_section(section: str, value: Any, plugins: list[str]) -> Iterator[Problem]:
    if section in COLLECTIONS and isinstance(value, dict):
        members = [name for name, node in value.items() if isinstance(node, dict)]
        for name, node in value.items():
            if node is None or isinstance(node, dict):
                yield from _check_one(node, f"{section}.{name}", plugins, COLLECTIONS[section])
                continue
            meant = f"; a setting of {members[0]} is {section}.{members[0]}.{name}={node}" if members else ""
            text = f"{section}.{name}={node}: {section} has members, each {{_target_: ..., its arguments}}{meant}"
            yield Problem(f"{section}.{name}", text)
    elif section in NODES:
        yield from _check_one(value, section, plugins, NODES[section])
    else:
        yield from check_nodes(value, section, plugins)


def _check_one(node: Any, path: str, plugins: list[str], runtime: tuple[str, ...]) -> Iterator[Problem]:
    problems = list(check_nodes(node, path, plugins, runtime))
    if isinstance(node, dict) and "_target_" not in node and not problems:
        problems = [Problem(f"{path}._target_", f"{path}._target_ is missing: name the class or function to use")]
    yield from problems
