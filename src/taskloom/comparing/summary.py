"""What a multirun ends with: the table of its comparison, and the same as summary.json and summary.csv."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from taskloom.atomic import file_beside
from taskloom.comparing.comparison import Comparison, compare
from taskloom.comparing.finding import below
from taskloom.comparing.table import print_table
from taskloom.errors import RunError
from taskloom.sweeping.ledger import SWEEP, Ledger
from taskloom.tracking.run_folder import write_json
from taskloom.tracking.table import closing_lines_of_sweep


def print_summary(folder: Path, file: IO[str] | None = None) -> Comparison:
    """Prints the table of a multirun and leaves it as ``summary.json`` and ``summary.csv`` in its folder.

    Args:
        folder: ``logs/train/multiruns/<time>``, with one run in it at least.
        file: where to; None is standard output.

    Raises:
        RunError: no run in it can be read.
    """
    runs = below(folder)
    comparison = compare(runs, title=folder.name, notes=unstarted(folder, runs))
    write_summary(comparison, folder)
    print_table(comparison, file)
    print("", *closing_lines_of_sweep(folder), sep="\n", file=file)
    return comparison


def unstarted(sweep: Path, runs: Sequence[Path]) -> list[str]:
    """A sentence on the jobs of a sweep that have no run yet, or none.

    Args:
        sweep: its folder.
        runs: the folders of its runs.
    """
    if not (sweep / SWEEP).is_file():
        return []
    try:
        jobs = Ledger.open(sweep).jobs
    except (RunError, KeyError) as error:
        return [str(error)]
    there = {run.name for run in runs}
    left = [job.label or job.name for job in jobs if job.name not in there]
    if not left:
        return []
    such = f"such as {left[0]}" if len(left) > 1 else left[0]
    return [f"{len(left)} of the sweep's {len(jobs)} jobs {'has' if len(left) == 1 else 'have'} no run yet ({such})"]


def write_summary(comparison: Comparison, folder: Path) -> None:
    """Writes ``summary.json`` and ``summary.csv``: the rows of the table, floors among them.

    Args:
        comparison: of the sweep's runs.
        folder: where to.
    """
    shown = comparison["shown"]
    keys = [key["key"] for key in comparison["keys"]]
    rows = []
    for point in comparison["points"]:
        metrics = {
            m: {name: point["metrics"][m][name] for name in ("mean", "se", "std", "values", "p")}
            for m in shown
            if m in point["metrics"]
        }
        rows.append(
            {
                "floor": None,
                "settings": point["settings"],
                "n": point["seeds"],
                "runs": len(point["runs"]),
                "delta_m": point["delta_m"],
                "metrics": metrics,
            }
        )
    for floor in comparison["floors"]:
        numbers = {m: {**floor["metrics"][m], "std": None} for m in shown if m in floor["metrics"]}
        n = max((each["n"] for each in numbers.values()), default=0)
        rows.append({"floor": floor["name"], "settings": {}, "n": n, "runs": n, "delta_m": None, "metrics": numbers})
    directions = {metric: comparison["metrics"][metric]["higher_is_better"] for metric in shown}
    write_json(folder / "summary.json", {"higher_is_better": directions, "rows": rows, "notes": comparison["notes"]})
    with file_beside(folder / "summary.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = [f"{metric} {what}" for metric in shown for what in ("mean", "se", "std")]
        writer.writerow([*keys, "floor", "n", *columns, "delta_m mean", "delta_m se"])
        for row in rows:
            values = [row["metrics"].get(m, {}).get(what) for m in shown for what in ("mean", "se", "std")]
            delta = row["delta_m"] or {}
            cells = [*values, delta.get("mean"), delta.get("se")]
            settings = [row["settings"].get(key) for key in keys]
            blank = ["" if cell is None else cell for cell in [*settings, row["floor"], row["n"], *cells]]
            writer.writerow(blank)
