"""A set of runs put side by side: plain data, from which the table, the page and W&B's report are made."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taskloom.comparing.directions import higher_is_better
from taskloom.comparing.importance import describe_key, importance
from taskloom.comparing.judging import BASELINE, Values, mark_best, mark_fronts, mark_gains
from taskloom.comparing.points import DATA, Design, Point, label, lay_out
from taskloom.comparing.reading import SCORE, Run, read_runs
from taskloom.comparing.settings import Value
from taskloom.comparing.statistics import Mean, mean_of
from taskloom.comparing.where import keep
from taskloom.config.suggest import unknown_key
from taskloom.errors import ConfigError, RunError

Comparison = dict[str, Any]


def compare(
    folders: Sequence[Path],
    *,
    where: str | None = None,
    tag: str | None = None,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    title: str = "",
    notes: Sequence[str] = (),
) -> Comparison:
    """Reads run folders and works out everything that a comparison says.

    Args:
        folders: of runs.
        where: a condition that runs must meet, see ``where.keep``.
        tag: a word that they must have.
        baseline: what Δm is against: a model's name, or ``key=value`` pairs; None takes ``single_task`` where it is.
        metrics: those to be shown; None takes each task's main metric and ``val/score``.
        by: settings to group by; None takes all that differ.
        title: of the page.
        notes: what is to be told beside what is found here.

    Returns:
        The contents of comparison.json, see docs/compare.md.

    Raises:
        RunError: no run is left.
        ConfigError: an argument names what is not there.
    """
    runs, unread = read_runs(folders)
    notes = [*notes, *unread]
    picked = keep(runs, where, tag)
    if len(picked) < len(runs):
        asked = " and ".join([*([where] if where else []), *([f"tag={tag}"] if tag else [])])
        notes.append(f"{len(runs) - len(picked)} of {len(runs)} runs left out by {asked}")
    runs = picked
    if not runs:
        raise RunError("; ".join(["no run is left to compare", *notes]))
    notes += _states(runs)
    design = lay_out(runs, by)
    notes += design.notes
    known = _metrics(runs)
    shown = _shown(known, metrics)
    values = {point.id: _values(point, known, design) for point in design.points}
    found = [_point(point, design, values[point.id]) for point in design.points]
    mark_best(found, design, known, values)
    notes += mark_gains(found, design, known, values, baseline)
    fronts = mark_fronts(found, known)
    shares, method = _importance(design, shown, values)
    ids = {str(run.folder): place for place, run in enumerate(runs)}
    place_of = {str(run.folder): point.id for point in design.points for run in point.runs}
    for point, entry in zip(design.points, found, strict=True):
        entry["runs"] = [ids[str(run.folder)] for run in point.runs]
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "title": title,
        "data": list(dict.fromkeys(run.data for run in runs)),
        "shown": shown,
        "baseline": baseline or BASELINE,
        "over": design.over,
        "runs": [_run(run, place, place_of.get(str(run.folder)), design) for place, run in enumerate(runs)],
        "points": found,
        "floors": _floors(runs, known),
        "metrics": known,
        "keys": [describe_key(key, [point.settings[key] for point in design.points]) for key in design.keys],
        "importance": shares,
        "importance_method": method,
        "fronts": fronts,
        "notes": list(dict.fromkeys(notes)),
    }


def _states(runs: Sequence[Run]) -> list[str]:
    """A sentence for each state other than done."""
    notes = []
    for state, means in (
        ("failed", "failed"),
        ("killed", "was killed"),
        ("pruned", "was stopped early"),
        ("running", "is still running"),
    ):
        those = [run for run in runs if run.state == state]
        if not those:
            continue
        one = those[0]
        why = f": {_first_line(one.reason)}" if one.reason and state == "failed" else ""
        many = {"was killed": "were killed", "was stopped early": "were stopped early"}
        verb = means if len(those) == 1 else many.get(means, means.replace("is ", "are "))
        such = f" ({one.folder.name}{why})" if len(those) == 1 else f" (such as {one.folder.name}{why})"
        has = "has" if len(those) == 1 else "have"
        notes.append(f"{len(those)} of {len(runs)} runs {verb} and {has} no scores{such}")
    return notes


def _metrics(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """All metrics of the tasks, the main ones first, then ``val/score``."""
    main = {f"{task}/{metric}": up for run in runs for task, (metric, up) in run.main.items()}
    others = dict.fromkeys(name for run in runs if run.done for name in run.test if name not in main)
    found = {}
    for name in [*main, *others]:
        task, _, metric = name.partition("/")
        up = main.get(name, higher_is_better(metric))
        found[name] = {"task": task, "metric": metric, "higher_is_better": up, "main": name in main}
    if any(run.value(SCORE) is not None for run in runs):
        found[SCORE] = {"task": "val", "metric": "score", "higher_is_better": True, "main": False}
    return found


def _shown(known: Mapping[str, Mapping[str, Any]], asked: Sequence[str] | None) -> list[str]:
    if not asked:
        return [name for name, about in known.items() if about["main"] or name == SCORE]
    shown: dict[str, None] = {}
    for name in asked:
        named = [each for each in known if name in (each, each.partition("/")[2])]
        if not named:
            raise ConfigError(f"metrics: {unknown_key(name, known)}")
        shown |= dict.fromkeys(named)
    return list(shown)


def _values(point: Point, known: Mapping[str, Any], design: Design) -> dict[str, Values]:
    """Of each metric, the value of each observation: of a seed's run, or the mean of a split's."""
    found: dict[str, Values] = {}
    for metric in known:
        values: dict[object, list[float]] = {}
        for run in point.done:
            value = run.value(metric)
            if value is not None:
                values.setdefault(design.pairs[str(run.folder)], []).append(value)
        found[metric] = {pair: sum(each) / len(each) for pair, each in values.items()}
    return found


def _point(point: Point, design: Design, values: Mapping[str, Values]) -> dict[str, Any]:
    costs = ("rows_per_s", "seconds", "parameters", "peak_memory_mb")
    done = point.done
    return {
        "id": point.id,
        "label": label(point, design.keys, _name(point)),
        "data": point.data,
        "settings": point.settings,
        "runs": [],
        "seeds": len(done),
        "failed": sum(run.state in ("failed", "killed") for run in point.runs),
        "baseline": False,
        "metrics": {name: _numbers(mean_of(list(each.values())), each) for name, each in values.items() if each},
        "delta_m": None,
        "cost": {name: _average([run.cost.get(name) for run in done]) for name in costs},
        "front": {},
    }


def _name(point: Point) -> str:
    """What a point is called that no setting tells from others: as its runs are, where all have one name."""
    names = {run.name for run in point.runs}
    return (names.pop() or "all runs") if len(names) == 1 else "all runs"


def _numbers(mean: Mean, values: Values) -> dict[str, Any]:
    return {
        "mean": mean.mean,
        "se": mean.se,
        "std": mean.std,
        "low": mean.low,
        "high": mean.high,
        "n": mean.n,
        "values": list(values.values()),
        "best": False,
        "within_noise": False,
        "compared": False,
        "p": None,
        "delta": None,
    }


def _importance(
    design: Design, shown: Sequence[str], values: Mapping[int, Mapping[str, Values]]
) -> tuple[dict[str, Any], str]:
    shares: dict[str, Any] = {}
    method = ""
    for metric in shown:
        points = [point for point in design.points if values[point.id].get(metric)]
        settings = [{k: v for k, v in point.settings.items() if k != DATA} for point in points]
        shares[metric], method = importance(
            settings, [values[point.id][metric] for point in points], [point.data for point in points]
        )
    return shares, method


def _floors(runs: Sequence[Run], known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The simple predictors, whose scores differ by split and by nothing else."""
    floors = []
    for data in dict.fromkeys(run.data for run in runs):
        those = [run for run in runs if run.data == data and run.done]
        for name in dict.fromkeys(name for run in those for name in run.floors):
            numbers = {}
            for metric in known:
                by_split = {
                    run.split_seed: value
                    for run in those
                    if (value := run.floors.get(name, {}).get(metric)) is not None
                }
                if by_split:
                    mean = mean_of(list(by_split.values()))
                    numbers[metric] = {"mean": mean.mean, "se": mean.se, "n": mean.n}
            floors.append({"name": name, "data": data, "metrics": numbers})
    return floors


def _run(run: Run, place: int, point: int | None, design: Design) -> dict[str, Any]:
    settings: dict[str, Value] = {key: run.get(key) for key in design.varying}
    return {
        "id": place,
        "folder": str(run.folder),
        "state": run.state,
        "reason": run.reason,
        "point": point,
        "seed": run.seed,
        "split_seed": run.split_seed,
        "name": run.name,
        "tags": run.tags,
        "created": run.created,
        "data": run.data,
        "fingerprint": run.fingerprint,
        "settings": {**settings, "seed": run.seed},
        "test": run.test,
        "val": run.val,
        **run.cost,
        "wandb": run.wandb,
        "curves": {
            name: [[epoch, float(f"{value:.6g}")] for epoch, value in curve] for name, curve in run.curves.items()
        },
    }


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""
