"""The table at the end of a multirun: means and deviations over seeds, beside the floors."""

import csv
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taskloom.errors import RunError
from taskloom.sweeping.ledger import SWEEP, Ledger
from taskloom.tracking.run_folder import RunFolder, write_json

ABSENT = "–"
SCORE = "val/score"
_ARROWS = {True: " ↑", False: " ↓", None: ""}


@dataclass(frozen=True)
class Row:
    """One configuration over its seeds, or one floor over all jobs.

    Args:
        name: a floor's; empty for a configuration.
        settings: the overrides that set the configuration apart.
        runs: jobs of it, finished or not.
        values: of each metric, one a finished job.
    """

    name: str
    settings: Mapping[str, str]
    runs: int
    values: Mapping[str, Sequence[float]]

    @property
    def n(self) -> int:
        """Jobs with numbers."""
        return max((len(values) for values in self.values.values()), default=0)


@dataclass(frozen=True)
class Summary:
    """What the jobs of a multirun came to.

    Args:
        keys: the overrides in which configurations differ, in the order of the command line.
        metrics: each task's main metric as ``task/metric``, and ``val/score``; True where higher is better.
        rows: the configurations, in the order of their jobs.
        floors: the simple predictors.
    """

    keys: Sequence[str]
    metrics: Mapping[str, bool]
    rows: Sequence[Row]
    floors: Sequence[Row]


def summarise(folder: Path) -> Summary:
    """Reads the ``run.json`` of every job under a multirun's folder.

    Args:
        folder: ``logs/train/multiruns/<time>``.
    """
    jobs = sorted(_read_jobs(folder), key=lambda job: job[0])
    settings = [_settings(job) for _, job, _ in jobs]
    keys = [
        key
        for key in dict.fromkeys(key for each in settings for key in each)
        if len({each.get(key) for each in settings}) > 1
    ]
    if not keys:  # one configuration: its name is enough
        keys = ["name"]
        settings = [{"name": str(record.get("config", {}).get("name", ""))} for _, _, record in jobs]
    done = [record for _, _, record in jobs if record["state"] == "done"]
    metrics = _main_metrics(done)
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for each, (_, _, record) in zip(settings, jobs, strict=True):
        groups.setdefault(tuple(each.get(key, ABSENT) for key in keys), []).append(record)
    rows = [
        Row("", dict(zip(keys, point, strict=True)), len(records), _values(map(_numbers, records), metrics))
        for point, records in groups.items()
    ]
    names = dict.fromkeys(name for record in done for name in record.get("floors") or {})
    floors = [
        Row(
            name,
            {},
            len(done),
            _values(((record.get("floors") or {}).get(name) or {} for record in done), metrics),
        )
        for name in names
    ]
    return Summary(keys, metrics, rows, floors)


def print_summary(folder: Path, file: IO[str] | None = None) -> Summary:
    """Prints the table of a multirun and leaves it as ``summary.json`` and ``summary.csv`` in its folder.

    Args:
        folder: ``logs/train/multiruns/<time>``.
        file: where to; None is standard output.
    """
    summary = summarise(folder)
    console = Console(file=file)
    if not console.is_terminal:
        console = Console(file=file, width=200)  # a log file has no width
    if summary.rows:
        write_summary(summary, folder)
        console.print(summary_table(summary, mark=not console.is_terminal))
    console.print(f"multirun folder  {folder}", highlight=False, markup=False, soft_wrap=True)
    return summary


def summary_table(summary: Summary, mark: bool = False) -> Table:
    """A row a configuration, a column a metric; the best mean in bold.

    Args:
        summary: what to show.
        mark: put a ``*`` after the best as well, for outputs that have no bold.
    """
    table = Table(
        title="mean ± standard deviation over seeds, test rows",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    for key in summary.keys:
        table.add_column(key, no_wrap=True)
    table.add_column("n", justify="right")
    for metric, higher in summary.metrics.items():
        table.add_column(metric + _ARROWS[higher], justify="right", no_wrap=True)
    best = {metric: _best(summary.rows, metric, higher) for metric, higher in summary.metrics.items()}
    for row in summary.rows:
        n = str(row.n) if row.n == row.runs else f"{row.n} of {row.runs}"
        cells = [_cell(row.values[m], best[m], mark) for m in summary.metrics]
        table.add_row(*(Text(row.settings[key]) for key in summary.keys), n, *cells)
    if summary.floors:
        table.add_section()
    for row in summary.floors:
        cells = [_cell(row.values[m], None, mark) for m in summary.metrics]
        table.add_row(Text(f"floor: {row.name}"), *[""] * (len(summary.keys) - 1), str(row.n), *cells)
    return table


def write_summary(summary: Summary, folder: Path) -> None:
    """Writes ``summary.json`` (with every value) and ``summary.csv`` (means and deviations)."""
    rows = [*summary.rows, *summary.floors]
    numbers = [{m: {"mean": _mean(v), "std": _std(v), "values": v} for m, v in row.values.items()} for row in rows]
    write_json(
        folder / "summary.json",
        {
            "higher_is_better": dict(summary.metrics),
            "rows": [
                {
                    "floor": row.name or None,
                    "settings": dict(row.settings),
                    "n": row.n,
                    "runs": row.runs,
                    "metrics": each,
                }
                for row, each in zip(rows, numbers, strict=True)
            ],
        },
    )
    with (folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = [f"{metric} {what}" for metric in summary.metrics for what in ("mean", "std")]
        writer.writerow([*summary.keys, "floor", "n", *columns])
        for row in rows:
            pairs = ((_mean(row.values[m]), _std(row.values[m])) for m in summary.metrics)
            cells = ["" if x is None else x for pair in pairs for x in pair]
            writer.writerow([*(row.settings.get(key, "") for key in summary.keys), row.name, row.n, *cells])


def _read_jobs(folder: Path) -> Iterable[tuple[tuple[int, str], Path, dict[str, Any]]]:
    """Of each job: its place in the order, its folder, its record."""
    order = [job.name for job in Ledger.open(folder).jobs] if (folder / SWEEP).exists() else []
    for file in folder.glob("*/run.json"):
        number = order.index(file.parent.name) if file.parent.name in order else len(order)
        try:
            record = RunFolder(file.parent).read()
        except RunError:  # damaged: there is nothing to average
            continue
        yield (number, file.parent.name), file.parent, record


def _settings(job: Path) -> dict[str, str]:
    """A job's overrides without its seed, as Hydra wrote them down."""
    file = job / ".hydra" / "overrides.yaml"
    overrides = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else []
    pairs = (str(override).partition("=") for override in overrides or [])
    return {key.lstrip("+"): value for key, _, value in pairs if key.lstrip("+") != "seed"}


def _main_metrics(records: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for record in records:
        for task, main in (record.get("main_metrics") or {}).items():
            found[f"{task}/{main['metric']}"] = bool(main["higher_is_better"])
    if any(SCORE in _numbers(record) for record in records):
        found[SCORE] = True
    return found


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """A finished job's numbers; val/score is the mean of what was judged one by one."""
    if record["state"] != "done":
        return {}
    numbers = dict(record.get("test") or {})
    scores = [unit.get("score") for unit in (record.get("best") or {}).values()]
    if scores and all(isinstance(score, int | float) for score in scores):
        numbers[SCORE] = statistics.fmean(scores)
    return numbers


def _values(numbers: Iterable[Mapping[str, Any]], metrics: Iterable[str]) -> dict[str, list[float]]:
    numbers = list(numbers)
    return {m: [each[m] for each in numbers if isinstance(each.get(m), int | float)] for m in metrics}


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _std(values: Sequence[float]) -> float | None:
    """With n - 1 below; None for a single value, which says nothing of the spread."""
    return statistics.stdev(values) if len(values) > 1 else None


def _best(rows: Sequence[Row], metric: str, higher: bool) -> float | None:
    means = [round(mean, 4) for row in rows if (mean := _mean(row.values[metric])) is not None and math.isfinite(mean)]
    if len(means) < 2:
        return None
    return max(means) if higher else min(means)


def _cell(values: Sequence[float], best: float | None, mark: bool) -> Text:
    mean, std = _mean(values), _std(values)
    if mean is None:
        return Text(ABSENT)
    wins = best is not None and round(mean, 4) == best
    text = f"{mean:.4f}" + (f" ± {std:.4f}" if std is not None else "")
    return Text(text + ("*" if wins else " " if mark else "") if mark else text, style="bold" if wins else "")
