"""The page of a comparison: one HTML file with tables, charts and filters that needs nothing else."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from taskloom.atomic import file_beside
from taskloom.comparing.answer import answer

#: in the order in which they stand in the page: each may use what is above it
SCRIPTS = (
    *("elements", "numbers", "data", "state", "looks", "statistics", "charts", "tables"),
    *("overview", "filters", "scores", "score_plot", "curves", "front", "parallel_axes", "parallel", "importance"),
    *("conflict", "cost", "differences", "runs", "main"),
)
DIGITS = 6  # significant ones of a value in a curve: more than a screen can show


def write_page(comparison: Mapping[str, Any], path: Path) -> None:
    """Write the page of a comparison, whole or not at all.

    Everything is inside the file (plotly's script too, about 4.8 MB), so that it can be mailed, published or opened
    from a disk without a network. A policy in its head lets the browser run the page's own two scripts and load nothing
    from anywhere: a name or a reason from a run folder is text and can be nothing else.

    Args:
        comparison: of ``comparing.comparison``.
        path: the file, such as ``compare.html``; an older one is replaced.

    Example:
        >>> import tempfile
        >>> made = {"title": "a <b>", "created": "2026-11-22T00:10:00+00:00", "runs": [], "points": [], "metrics": {}}
        >>> path = Path(tempfile.mkdtemp()) / "compare.html"
        >>> write_page(made, path)
        >>> "<title>a &lt;b&gt; · comparison</title>" in path.read_text(encoding="utf-8")
        True
    """
    plotly = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    script = "(() => {\n'use strict';\n" + "\n".join(_part(f"{name}.js") for name in SCRIPTS) + "\n})();"
    parts = {
        "title": escape(str(comparison["title"])),
        "made": escape(_made(str(comparison["created"]))),
        "style": _part("compare.css"),
        "answer": "".join(f"<li>{_emphasised(line)}</li>" for line in answer(comparison)),
        "notes": _notes(comparison.get("notes", ())),
        "comparison": _data(comparison),
        "plotly": plotly,
        "script": script,
        "policy": _policy(plotly, script),
    }
    # In one pass: what stands in a part is never taken for the place of another.
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("compare.html"))
    with file_beside(path) as beside:
        # A folder's name may hold what is no text at all; it is shown with a question mark.
        beside.write_text(page, encoding="utf-8", errors="replace", newline="\n")


def _part(name: str) -> str:
    return files("taskloom.comparing").joinpath("page", name).read_text(encoding="utf-8")


def _made(created: str) -> str:
    when = datetime.fromisoformat(created)
    when = when.astimezone(UTC) if when.tzinfo else when
    return f"compared on {when.day} {when:%B %Y at %H:%M} UTC"


def _emphasised(line: str) -> str:
    """A line with ``**bold**`` parts as markup; the rest is text."""
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(line))


def _notes(lines: Any) -> str:
    if not lines:
        return ""
    return '<ul class="plain note" id="notes">' + "".join(f"<li>{escape(str(line))}</li>" for line in lines) + "</ul>"


def _policy(*scripts: str) -> str:
    """Which scripts the browser may run: these, by their sum; and no address at all."""
    sums = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in sums)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _data(comparison: Mapping[str, Any]) -> str:
    """The comparison as JSON inside a script element: ``<`` is written so that nothing in it can close the element."""
    runs = comparison.get("runs") or ()
    plain = _finite({key: value for key, value in comparison.items() if key != "runs"})
    plain["runs"] = [{**_finite({**run, "curves": None}), "curves": _curves(run)} for run in runs]
    return json.dumps(plain, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _curves(run: Mapping[str, Any]) -> dict[str, list[list[float | None]]]:
    curves = run.get("curves") or {}
    return {name: [[epoch, _short(value)] for epoch, value in curve] for name, curve in curves.items()}


def _short(value: float | None) -> float | None:
    return float(f"{value:.{DIGITS}g}") if value is not None and math.isfinite(value) else None


def _finite(value: Any) -> Any:
    """The same without infinities and nan, which JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
