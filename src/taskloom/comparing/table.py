"""The table of a comparison in a terminal: a row a configuration, a column a metric, the floors below."""

import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from typing import IO, Any

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from taskloom.comparing.comparison import Comparison
from taskloom.comparing.judging import decimals
from taskloom.comparing.reading import SCORE
from taskloom.comparing.settings import show

ABSENT = "–"
BEST, NEAR, UNKNOWN = "*", "≈", "?"
_NO_MARK = " "
_ARROWS = {True: " ↑", False: " ↓", None: ""}
_WIDE = 200  # of a log file, which has no width
_DIVERGED = 1e7  # digits of such a number would fill the line
DELTA, SPEED = "Δm %", "rows/s"


def print_table(comparison: Comparison, file: IO[str] | None = None, width: int | None = None) -> None:
    """Prints the table, what its marks mean, and the notes.

    Args:
        comparison: what to show.
        file: where to; None is standard output.
        width: of a line; None takes the terminal's. Where a row is wider, the cost goes first, then ``val/score``, then
            each configuration gets lines of its own.
    """
    out = file or sys.stdout
    if isinstance(out, TextIOWrapper) and "utf" not in out.encoding.lower():
        out.reconfigure(errors="replace")
    console = Console(file=out, width=width)
    if not console.is_terminal and width is None:
        console = Console(file=out, width=_WIDE)
    mark = not console.is_terminal or console.color_system is None
    console.print(_fitting(comparison, mark, console))
    for line in [*legend(comparison, mark), *comparison["notes"]]:
        # A terminal would break long lines within words; a file has no lines' end to keep to.
        wrapped = console.is_terminal
        console.print(line, highlight=False, markup=False, soft_wrap=not wrapped, style="dim" if not mark else None)


def comparison_table(comparison: Comparison, columns: Sequence[str], mark: bool) -> Table:
    """A row a configuration and a row a floor.

    Args:
        comparison: what to show.
        columns: metrics, and of Δm and rows/s those that are to be shown.
        mark: put a ``*`` after the best, for outputs that have no bold.
    """
    keys = [key["key"] for key in comparison["keys"]]
    points, floors = comparison["points"], comparison["floors"]
    digits = _digits(comparison)
    names = [[Text(show(p["settings"][key])) for key in keys] or [Text(p["label"])] for p in points]
    names += [[Text(_floor_name(floor, comparison)), *[Text("")] * (len(names[0]) - 1)] for floor in floors]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for key in keys or ["name"]:
        table.add_column(key, no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    cells = []
    for column in columns:
        own = [_cell(point, column, digits, mark) for point in points]
        own += [_floor_cell(floor, column, digits) for floor in floors]
        head, *own = _aligned([Text(_head(comparison, column)), *own])
        table.add_column(head, no_wrap=True)
        cells.append(own)
    for place, name in enumerate(names):
        if place == len(points):
            table.add_section()
        n = _n(points[place]) if place < len(points) else ""
        table.add_row(*name, n, *(column[place] for column in cells))
    return table


def stacked(comparison: Comparison, columns: Sequence[str], mark: bool) -> Table:
    """The same for a narrow terminal: lines of its own for each configuration."""
    digits = _digits(comparison)
    lines: list[tuple[Text, Text]] = []
    for point in comparison["points"]:
        lines.append((Text(point["label"], style="underline"), Text(f"n {_n(point)}{_NO_MARK}")))
        lines += [(_inside(comparison, column), _cell(point, column, digits, mark)) for column in columns]
    for floor in comparison["floors"]:
        own = [column for column in columns if column in floor["metrics"]]
        lines.append((Text(_floor_name(floor, comparison)), Text("")))
        lines += [(_inside(comparison, c), _floor_cell(floor, c, digits)) for c in own]
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column()
    table.add_column(no_wrap=True)
    for (name, _), cell in zip(lines, _aligned([cell for _, cell in lines]), strict=True):
        table.add_row(name, cell)
    return table


def legend(comparison: Comparison, mark: bool) -> list[str]:
    """What the marks mean; only those that are there."""
    shown = comparison["shown"]
    cells = [point["metrics"][m] for point in comparison["points"] for m in shown if m in point["metrics"]]
    rows = "validation rows" if shown == [SCORE] else "test rows"
    over = comparison["over"]
    several = any(cell["se"] is not None for cell in cells)
    words = [f"mean ± standard error over {over}, {rows}" if several else f"one run each, {rows}"]
    if any(cell["best"] for cell in cells):
        words.append(f"{BEST} best" if mark else "bold: best")
    if any(cell["within_noise"] for cell in cells):
        words.append(f"{NEAR} not told apart from the best (t-test, paired where {over} are the same, Holm, 5 %)")
    if any(_unknown(point, m) for point in comparison["points"] for m in shown):
        words.append(f"{UNKNOWN} too few {over} to tell")
    if any(point["delta_m"] for point in comparison["points"]):
        words.append(f"Δm: mean over tasks of the gain over {comparison['baseline']}, + is better")
    return [" · ".join(words)] if cells else []


def _fitting(comparison: Comparison, mark: bool, console: Console) -> RenderableType:
    columns = list(comparison["shown"])
    if any(point["delta_m"] for point in comparison["points"]):
        columns.insert(columns.index(SCORE) if SCORE in columns else len(columns), DELTA)
    if any(point["cost"].get("rows_per_s") for point in comparison["points"]):
        columns.append(SPEED)
    for drop in (None, SPEED, SCORE):
        if drop == SCORE and columns == [SCORE]:
            break
        columns = [column for column in columns if column != drop]
        table = comparison_table(comparison, columns, mark)
        if Measurement.get(console, console.options.update(width=10_000), table).maximum <= console.width:
            return table
    return stacked(comparison, columns, mark)


def _aligned(cells: Sequence[Text]) -> list[Text]:
    """Cells padded to one width, so that digits stand below each other; rich would cut off a space for a mark."""
    width = max(cell.cell_len for cell in cells)
    return [Text(" " * (width - cell.cell_len)).append_text(cell) for cell in cells]


def _inside(comparison: Comparison, column: str) -> Text:
    return Text(f"  {_head(comparison, column).rstrip()}")


def _digits(comparison: Comparison) -> dict[str, int]:
    digits = {}
    for metric in comparison["metrics"]:
        means = [point["metrics"][metric]["mean"] for point in comparison["points"] if metric in point["metrics"]]
        digits[metric] = decimals(means)
    return digits


def _head(comparison: Comparison, column: str) -> str:
    about: Mapping[str, Any] = comparison["metrics"].get(column, {})
    return column + _ARROWS[about.get("higher_is_better")] + (_NO_MARK if about else "")


def _n(point: Mapping[str, Any]) -> str:
    runs = len(point["runs"])
    return str(runs) if point["seeds"] == runs else f"{point['seeds']} of {runs}"


def _cell(point: Mapping[str, Any], column: str, digits: Mapping[str, int], mark: bool) -> Text:
    if column == DELTA:
        delta = point["delta_m"]
        if delta is None:
            return Text("baseline" if point["baseline"] else ABSENT)
        spread = f" ± {delta['se']:.2f}" if delta["se"] is not None else ""
        return Text(f"{delta['mean']:+.2f}{spread}")
    if column == SPEED:
        speed = point["cost"].get("rows_per_s")
        return Text(f"{speed:,.0f}" if speed else ABSENT)
    own = point["metrics"].get(column)
    if own is None:
        return Text(ABSENT + _NO_MARK)
    best = BEST if own["best"] and mark else _NO_MARK
    sign = NEAR if own["within_noise"] else UNKNOWN if _unknown(point, column) else best
    return Text(_number(own, digits[column]) + sign, style="bold" if own["best"] else "")


def _unknown(point: Mapping[str, Any], metric: str) -> bool:
    own = point["metrics"].get(metric)
    return own is not None and own.get("compared", False) and own["p"] is None and not own["best"]


def _floor_cell(floor: Mapping[str, Any], column: str, digits: Mapping[str, int]) -> Text:
    if column not in digits:
        return Text(ABSENT)
    own = floor["metrics"].get(column)
    return Text((_number(own, digits[column]) if own else ABSENT) + _NO_MARK)


def _number(own: Mapping[str, Any], digits: int) -> str:
    form = f".{digits}f" if abs(own["mean"]) < _DIVERGED else ".3g"
    return f"{own['mean']:{form}}" + (f" ± {own['se']:{form}}" if own["se"] is not None else "")


def _floor_name(floor: Mapping[str, Any], comparison: Comparison) -> str:
    of = f" ({floor['data']})" if len(comparison["data"]) > 1 else ""
    return f"floor: {floor['name']}{of}"
