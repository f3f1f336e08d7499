"""The table that a run ends with: the model and the floors, on the same test rows."""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import IO, NamedTuple

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.wandb_local import LINKS, is_offline, sync_command

LABELS = {
    "auc": "AUC",
    "gauc": "GAUC",
    "gauc_coverage": "GAUC cover",
    "log_loss": "log loss",
    "average_precision": "avg prec",
    "calibration_error": "calib err",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "macro_auc": "macro AUC",
    "macro_f1": "macro F1",
    "micro_average_precision": "micro AP",
    "gini": "Gini",
    "auc_nonzero": "AUC of > 0",
    "ndcg_at_10": "NDCG@10",
    "mrr": "MRR",
}
#: what names a metric of ranking the whole catalogue, which has a table of its own
_RANKING = re.compile(r"@\d+$|^rankable$")
_ARROWS = {True: " ↑", False: " ↓", None: ""}
ABSENT = "–"


class TaskRows(NamedTuple):
    """What the table says of a task besides the numbers.

    Args:
        name: the task's.
        kind: the task's.
        rows: labelled test rows.
        metrics: in the order of the columns; True where higher is better, False where lower is, None where
            neither is (a coverage).
        main: the metric that judges the task; empty where nothing is to be judged.
        cases: test rows that a verdict rests on: of a binary task the positive ones, otherwise all labelled ones.
    """

    name: str
    kind: str
    rows: int
    metrics: Mapping[str, bool | None]
    main: str = ""
    cases: int = 0


def results_table(
    model_name: str,
    test: Mapping[str, float | None],
    floors: Mapping[str, Mapping[str, float | None]],
    tasks: Sequence[TaskRows | tuple[str, str, int, Mapping[str, bool | None]]],
    *,
    mark: bool = False,
) -> Group:
    """A table a task: the model's row, then the floors'; the best of each column in bold.

    Args:
        model_name: the label of the model's row.
        test: the model's numbers, ``task/metric`` to value; an absent or null one shows as a dash.
        floors: the same for each floor.
        tasks: `TaskRows`, or tuples like them.
        mark: put a ``*`` after the best as well, for outputs that have no bold.
    """
    scores = {model_name: test} | {name: floor for name, floor in floors.items() if name != model_name}
    tables: list[Table] = []
    for task in (TaskRows(*given) for given in tasks):
        title = f"{task.name} · {task.kind} · {task.rows:,} test rows"
        ranked = {name: higher for name, higher in task.metrics.items() if _RANKING.search(name)}
        plain = {name: higher for name, higher in task.metrics.items() if name not in ranked}
        tables.append(_task_table(title, scores, task._replace(metrics=plain), mark))
        if ranked:
            title = f"{task.name} · ranking of the whole catalogue"
            tables.append(_task_table(title, scores, task._replace(metrics=ranked), mark))
    return Group(*tables)


def print_results(
    model_name: str,
    test: Mapping[str, float | None],
    floors: Mapping[str, Mapping[str, float | None]],
    tasks: Sequence[TaskRows | tuple[str, str, int, Mapping[str, bool | None]]],
    folder: RunFolder | None = None,
    file: IO[str] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Print `results_table`, and under it what is to be said of it, where the run lies and what can be done with it.

    Args:
        model_name: see `results_table`.
        test: see `results_table`.
        floors: see `results_table`.
        tasks: see `results_table`.
        folder: the run folder, for the lines under the table; None leaves them out.
        file: where to; None is standard output.
        notes: lines under the table, such as ``verdict_lines``.
    """
    out = file or sys.stdout
    if isinstance(out, TextIOWrapper) and "utf" not in out.encoding.lower():
        out.reconfigure(errors="replace")  # an arrow that the terminal lacks must not end a finished run
    console = Console(file=out)
    if not console.is_terminal:
        console = Console(file=out, width=100)  # a log file has no width
    console.print(results_table(model_name, test, floors, tasks, mark=not console.is_terminal))
    for line in [*notes, *([""] if notes else []), *(closing_lines(folder) if folder else [])]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def closing_lines(folder: RunFolder) -> list[str]:
    """Where the run lies, where its W&B copy is, and the commands that fit its state."""
    record = folder.read()
    lines = [("run folder", _near(folder.path))]
    wandb = record.get("wandb") or {}
    alone = not record.get("sweep")  # the end of a sweep has the commands for all of its jobs
    if wandb.get("url"):
        lines.append(("W&B", str(wandb["url"])))
    elif wandb.get("dir") and alone:
        lines += _offline(_near((folder.path / wandb["dir"]).parent))
    if record["state"] == "failed":
        lines.append(("go on", f"python src/train.py {_override('resume', folder.path)}"))
    else:
        if alone:
            lines.append(("as a page", f"python src/compare.py {_override('runs', folder.path)}"))
        lines.append(("test again", f"python src/evaluate.py {_override('run', folder.path)}"))
    return _aligned(lines)


def closing_lines_of_sweep(folder: Path) -> list[str]:
    """Where a sweep lies, and the commands that show it: what W&B has kept offline of it, and the local page."""
    links = folder / LINKS
    lines = [("sweep folder", _near(folder)), *(_offline(_near(links)) if is_offline(links) else [])]
    return _aligned([*lines, ("as a page", f"python src/compare.py {_override('runs', folder)}")])


def _offline(files: str) -> list[tuple[str, str]]:
    return [("W&B, offline", sync_command([files])), ("in the terminal", f"wandb leet {shlex.quote(files)}")]


def _aligned(lines: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(label) for label, _ in lines)
    return [f"{label:<{width}}  {value}" for label, value in lines]


def _task_table(title: str, scores: Mapping[str, Mapping[str, float | None]], task: TaskRows, mark: bool) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("", no_wrap=True)
    for metric, higher in task.metrics.items():
        table.add_column(LABELS.get(metric, metric.replace("_", " ")) + _ARROWS[higher], justify="right")
    # A floor that says nothing of a task has no row in its table; the model always has.
    names = [f"{task.name}/{metric}" for metric in task.metrics]
    scores = {
        label: numbers
        for place, (label, numbers) in enumerate(scores.items())
        if place == 0 or any(numbers.get(name) is not None for name in names)
    }
    columns = [
        _column([numbers.get(f"{task.name}/{metric}") for numbers in scores.values()], higher, mark)
        for metric, higher in task.metrics.items()
    ]
    for i, name in enumerate(scores):
        table.add_row(Text(name), *(column[i] for column in columns))
    return table


def _column(values: Sequence[float | None], higher: bool | None, mark: bool) -> list[Text]:
    """The cells of one column. What looks the same is equally good: compare as shown."""
    shown = [None if value is None or value != value else round(value, 4) for value in values]
    present = [value for value in shown if value is not None]
    best = None
    if higher is not None and len(present) > 1:
        best = max(present) if higher else min(present)
    sign = ["*" if best is not None and value == best else " " if mark else "" for value in shown]
    return [
        Text(
            (ABSENT if value is None else f"{value:.4f}") + (sign[i] if mark else ""),
            style="bold" if value is not None and value == best else "",
        )
        for i, value in enumerate(shown)
    ]


def _near(path: Path) -> str:
    """As a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else os.fspath(path)


def _override(key: str, path: Path) -> str:
    """``key=path``, quoted for Hydra and for the shell where a job's folder is named after its overrides."""
    value = _near(path)
    if not re.fullmatch(r"[\w./-]+", value):
        value = f'"{value}"'
    return shlex.quote(f"{key}={value}") if '"' in value else f"{key}={value}"
