"""Objectives of a search: which way is better, and what a finished run is worth."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.errors import ConfigError, RunError
from taskloom.tasks import TargetStatistics, Task
from taskloom.tracking.metrics_file import read_metrics
from taskloom.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from taskloom.metrics.spec import MetricSpec

SCORE = "val/score"
_WHERE = "hydra.sweeper.objectives"


def higher_is_better(config: Mapping[str, Any], objectives: Sequence[str]) -> list[bool]:
    """Of each objective, whether more is better; said by the metrics of the tasks' heads.

    Args:
        config: of a trial, resolved; its plugins are imported.
        objectives: ``val/score``, ``val/<task>/score`` or ``val/<task>/<metric>``.

    Raises:
        ConfigError: no trained task has the metric, or the metric has no direction.
    """
    return [name == SCORE or _direction(config, name) for name in objectives]


def objective_values(folder: Path, objectives: Sequence[str]) -> list[float]:
    """What a finished run is worth: its validation values at its best epoch.

    Tasks that share nothing have a best epoch each: a task's value is that of its own, and ``val/score`` the mean of
    the tasks' best.

    Args:
        folder: of the run.
        objectives: names of validation values.

    Raises:
        RunError: the run has no such value, or it is not defined.
    """
    best = RunFolder.open(folder).read().get("best") or {}
    return [_value(folder, name, best) for name in objectives]


def _direction(config: Mapping[str, Any], name: str) -> bool:
    _, _, rest = name.partition("/")
    task, _, metric = rest.partition("/")
    data = config.get("data")
    described = (data.get("tasks") if isinstance(data, Mapping) else None) or {}
    chosen = config.get("tasks") or (data or {}).get("default_tasks") or list(described)
    known = [str(each) for each in chosen if described.get(each)]
    if task not in known:
        raise ConfigError(
            f"{_WHERE}: {name}: the tasks that are trained are {', '.join(known) or 'unknown'}; "
            f"take {SCORE} or val/<task>/<metric>"
        )
    if metric == "score":
        return True
    specs = _metrics(task, described[task])
    if metric not in specs:
        raise ConfigError(f"{_WHERE}: {name}: the task {task} has no metric {metric!r}; it has {', '.join(specs)}")
    higher = specs[metric].higher_is_better
    if higher is None:
        raise ConfigError(f"{_WHERE}: {name} is neither good nor bad; take one of {', '.join(specs)}")
    return higher


def _metrics(name: str, section: Mapping[str, Any]) -> "dict[str, MetricSpec]":
    """The metrics of a task's head, made for some data or other: its metrics have the same names on any."""
    from taskloom.heads import head_class  # torch, which a search for val/score does without

    options = dict(section.get("options") or {})
    values = tuple(options.get("classes") or options.get("levels") or (0.0, 1.0))
    targets = section.get("target")
    target: str | tuple[str, ...] = tuple(targets) if isinstance(targets, list | tuple) else name
    task = Task(name, str(section["kind"]), target, options=options)
    n = len(task.targets)
    some = TargetStatistics((0.5,) * n, (0.5,) * n, len(values), (0.0,) * n, values, (1,) * len(values))
    some = replace(some, transformed=some, positive=some)
    return head_class(task)(task, some, 1, sides=1, **options).metrics()


def _value(folder: Path, name: str, best: Mapping[str, Mapping[str, Any]]) -> float:
    if name == SCORE:
        scores = [unit.get("score") for unit in best.values()]
        if not scores or not all(isinstance(score, int | float) and math.isfinite(score) for score in scores):
            raise RunError(f"{name} is not defined at the best epoch")
        return statistics.fmean(scores)  # type: ignore[arg-type]
    unit = best.get(name.split("/")[1]) or best.get("all")
    if unit is None:
        raise RunError(f"{folder} has no best epoch; {name} cannot be told")
    rows = [row for row in read_metrics(folder / "metrics.jsonl") if name in row and row.get("epoch") == unit["epoch"]]
    if not rows:
        raise RunError(f"{folder}/metrics.jsonl has no {name} of epoch {unit['epoch']}")
    value = rows[-1][name]
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise RunError(f"{name} is not defined at the best epoch")
    return float(value)
