"""The list of runs: a table in a terminal, plain lines in a pipe, JSON for scripts."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from taskloom.managing.disk import Size
from taskloom.managing.found_run import STATES, FoundRun, Problem
from taskloom.managing.listing import Found, FoundSweep
from taskloom.managing.problems import shown
from taskloom.managing.quantities import show_bytes, show_seconds
from taskloom.tracking.run_folder import plain

COLUMNS = ("folder", "state", "model, data, settings", "test", "age", "took", "size", "tags")
_RIGHT = ("age", "took", "size")
_BELOW = ("model, data, settings", "test")
_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "killed": "red", "broken": "red", "pruned": "yellow"}
_MARK = " !"  # behind the state of what has something wrong


@dataclass(frozen=True)
class Line:
    """One line of the list: a run, or the selected jobs of a sweep together.

    Args:
        cells: as `COLUMNS`.
        state: for its colour.
    """

    cells: tuple[str, ...]
    state: str


def lines(runs: Sequence[FoundRun], found: Found, jobs: bool) -> list[Line]:
    """A line a run, in order; the jobs of a sweep are one line, where the first of them stands.

    Args:
        runs: selected and sorted.
        found: what there is.
        jobs: whether each job of a sweep gets a line too, under its sweep's.
    """
    of: dict[Path, list[FoundRun]] = {}
    for run in runs:
        of.setdefault(run.sweep or run.folder, []).append(run)
    listed = []
    for folder, group in of.items():
        if group[0].sweep is None:
            listed.append(_run_line(group[0]))
        else:
            listed.append(_sweep_line(found.sweeps[folder], group))
            listed += [_run_line(run) for run in group] if jobs else []
    return listed


def print_lines(listed: Sequence[Line], console: Console) -> None:
    """Prints them in columns; where a terminal is too narrow, what a run is and came to stand under its folder."""
    rows = [COLUMNS, *(line.cells for line in listed)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(COLUMNS))]
    narrow = console.is_terminal and sum(widths) + 2 * len(widths) > console.width
    places = [k for k, name in enumerate(COLUMNS) if not (narrow and name in _BELOW)]
    for row, line in zip(rows, [None, *listed], strict=True):
        text = Text()
        for k in places:
            right = COLUMNS[k] in _RIGHT
            cell = row[k].rjust(widths[k]) if right else row[k].ljust(widths[k])
            style = "bold" if line is None else _COLOURS.get(line.state, "") if COLUMNS[k] == "state" else ""
            text.append(cell, style).append("  ")
        text.rstrip()
        console.print(text, soft_wrap=True)
        if narrow and line is not None:
            below = "   ".join(filter(None, (line.cells[COLUMNS.index(name)] for name in _BELOW)))
            console.print(Padding(Text(below, "dim"), (0, 0, 0, 4)))


def totals(runs: Iterable[FoundRun], found: Found) -> str:
    """How many there are of each state, and what they take by what it is for."""
    runs = list(runs)
    size = _size(runs, found)
    parts = ", ".join(
        f"{name} {show_bytes(part)}"
        for name, part in zip(("checkpoints", "predictions", "W&B", "rest"), asdict(size).values(), strict=True)
        if part
    )
    number = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    return f"{number} ({_counts(runs)}), {show_bytes(size.total)}" + (f": {parts}" if parts else "")


def problem_lines(runs: Iterable[FoundRun], found: Found) -> list[tuple[Path, Problem]]:
    """What is wrong with the runs and with their sweeps."""
    runs = list(runs)
    sweeps = dict.fromkeys(run.sweep for run in runs if run.sweep is not None)
    return [
        *((sweep, problem) for sweep in sweeps for problem in found.sweeps[sweep].problems),
        *((run.folder, problem) for run in runs for problem in run.problems),
    ]


def as_json(runs: Sequence[FoundRun], shown_runs: Sequence[FoundRun], found: Found) -> str:
    """The same for scripts: times in seconds, sizes in bytes, folders absolute."""
    sweeps = dict.fromkeys(run.sweep for run in runs if run.sweep is not None)
    value = {
        "runs": [_run_record(run) for run in shown_runs],
        "sweeps": [_sweep_record(found.sweeps[sweep], runs) for sweep in sweeps],
        "totals": {
            "runs": len(runs),
            "left_out": len(runs) - len(shown_runs),
            "states": _count(runs),
            "bytes": {**asdict(size := _size(runs, found)), "total": size.total},
        },
    }
    return json.dumps(plain(value), indent=1, ensure_ascii=False)


def _run_line(run: FoundRun) -> Line:
    scores = "  ".join(f"{name} {value:.4f}" for name, value in run.scores.items())
    outcome = scores if run.state in ("done", "pruned") and scores else " ".join(run.reason.split())
    cells = (
        shown(run.folder),
        run.state + (_MARK if run.problems else "") + (" (link)" if run.is_link else ""),
        " ".join([*filter(None, (run.model, run.data)), *run.settings]),
        outcome,
        show_seconds(run.age) if run.created else "",
        show_seconds(run.took),
        show_bytes(run.size.total) if run.size.total else "",
        ", ".join(run.tags),
    )
    return Line(cells, run.state)


def _sweep_line(sweep: FoundSweep, runs: Sequence[FoundRun]) -> Line:
    of = "" if len(runs) == len(sweep.runs) else f" of {len(sweep.runs)}"
    number = f"sweep, {len(runs)}{of} job{'s' if len(runs) > 1 or of else ''}"
    began = min((run.created for run in runs if run.created), default=0.0)
    oldest = max((run.age for run in runs if run.created), default=None)
    ended = max((run.touched for run in runs), default=0.0)
    whole = not of
    size = sum(run.size.total for run in runs) + (sweep.own.total if whole else 0)
    wrong = bool(sweep.problems) or any(run.problems for run in runs)
    common = [value for kind in ("model", "data") if len({v := getattr(r, kind) for r in runs}) == 1 and (value := v)]
    cells = (
        shown(sweep.folder),
        _counts(runs) + (_MARK if wrong else "") + (" (link)" if sweep.is_link else ""),
        ", ".join([number, *(common or [])]),
        _best(runs),
        show_seconds(oldest),
        show_seconds(ended - began) if began and ended > began else "",
        show_bytes(size) if size else "",
        ", ".join(dict.fromkeys(tag for run in runs for tag in run.tags)),
    )
    states = {run.state for run in runs}
    return Line(cells, next((state for state in STATES if state in states and state != "done"), "done"))


def _best(runs: Sequence[FoundRun]) -> str:
    """The best of each main metric."""
    found: dict[str, tuple[float, bool]] = {}
    for run in runs:
        for name, value in run.scores.items():
            higher = run.directions[name]
            before = found.get(name)
            better = before is None or (value > before[0] if higher else value < before[0])
            found[name] = (value, higher) if better or before is None else before
    return "best " + "  ".join(f"{name} {value:.4f}" for name, (value, _) in found.items()) if found else ""


def _count(runs: Iterable[FoundRun]) -> dict[str, int]:
    count = Counter(run.state for run in runs)
    return {state: count[state] for state in STATES if count[state]}


def _counts(runs: Iterable[FoundRun]) -> str:
    return ", ".join(f"{number} {state}" for state, number in _count(runs).items())


def _size(runs: Sequence[FoundRun], found: Found) -> Size:
    """What runs take, with what belongs to their sweeps where all jobs of one are among them."""
    chosen = {run.folder for run in runs}
    own = (
        sweep.own for sweep in found.sweeps.values() if sweep.runs and all(run.folder in chosen for run in sweep.runs)
    )
    return sum([*(run.size for run in runs), *own], Size())


def _run_record(run: FoundRun) -> Mapping[str, Any]:
    keys = ("seed", "created", "finished", "resumed", "seconds", "rows_per_s", "parameters", "wandb", "test", "best")
    return {
        "folder": run.folder,
        "name": run.name,
        "state": run.state,
        "reason": run.reason or None,
        "sweep": run.sweep,
        "model": run.model,
        "data": run.data,
        "overrides": run.overrides,
        "tags": run.tags,
        **{key: run.record.get(key) for key in keys},
        "main": run.scores,
        "age": run.age if run.created else None,
        "took": run.took,
        "bytes": {**asdict(run.size), "total": run.size.total},
        "problems": [asdict(problem) for problem in run.problems],
    }


def _sweep_record(sweep: FoundSweep, runs: Sequence[FoundRun]) -> Mapping[str, Any]:
    return {
        "folder": sweep.folder,
        "kind": sweep.record.get("kind"),
        "overrides": sweep.record.get("overrides"),
        "jobs": len(sweep.runs),
        "states": _count(run for run in runs if run.sweep == sweep.folder),
        "bytes": {**asdict(sweep.own), "total": sweep.own.total},
        "problems": [asdict(problem) for problem in sweep.problems],
    }
