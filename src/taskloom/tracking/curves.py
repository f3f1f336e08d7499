"""draw_curves(): training loss and each task's validation metric by epoch, in one picture."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from taskloom.errors import RunError
from taskloom.tracking.metrics_file import read_metrics
from taskloom.tracking.progress import main_names
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.table import LABELS

_INK, _BEST = "#1f5fa8", "#c44e16"

Points = list[tuple[int, float]]


class Panel(NamedTuple):
    """One of the small pictures."""

    title: str
    label: str
    points: Points
    best: int | None = None


def draw_curves(folder: Path | str) -> Path:
    """Draw ``curves.png`` in a run folder from its metrics.jsonl: the loss, ``val/score``, one metric a task.

    The best epoch is the one that run.json names under ``best`` (of all tasks, or each task's own where they
    share nothing), or else that of the highest ``val/score``. A task's metric is the one that run.json names
    under ``main_metrics``, or else the first one logged.

    Args:
        folder: the run folder.

    Returns:
        The picture.

    Raises:
        RunError: the run has logged nothing that could be drawn.
    """
    run = RunFolder.open(folder)
    record = run.read()
    rows = [row for row in read_metrics(run.metrics) if row.get("epoch") is not None]
    names = dict.fromkeys(name for row in rows for name in row)
    panels = []
    losses = [name for name in ("train/loss_epoch", "train/loss", "train/loss_step") if name in names]
    for loss in losses[:1]:
        panels.append(Panel("training", "loss", _by_epoch(rows, loss)))
    score = _by_epoch(rows, "val/score")
    best = {unit: found["epoch"] + 1 for unit, found in (record.get("best") or {}).items()}
    if score and not best:
        best = {"all": max(score, key=lambda point: point[1])[0]}
    panels.append(Panel("validation", "score", score, best.get("all")))
    main = {task: found["metric"] for task, found in (record.get("main_metrics") or {}).items()}
    for name in main_names(names, main):
        _, task, metric = name.split("/")
        label = f"validation {LABELS.get(metric, metric)}"
        panels.append(Panel(task, label, _by_epoch(rows, name), best.get(task, best.get("all"))))
    panels = [panel for panel in panels if panel.points]
    if not panels:
        raise RunError(f"{run.metrics} has no losses or validation metrics; train for an epoch before drawing")
    path = run.path / "curves.png"
    _draw(panels, _title(record), path)
    return path


def _by_epoch(rows: Sequence[dict[str, Any]], name: str) -> Points:
    """The last finite value of each epoch, epochs counted from 1."""
    values = {row["epoch"] + 1: row[name] for row in rows if isinstance(row.get(name), int | float)}
    return sorted((epoch, value) for epoch, value in values.items() if math.isfinite(value))


def _title(record: dict[str, Any]) -> str:
    config = record.get("config") or {}
    words = [config.get("name"), _class_name(config.get("backbone")), (config.get("data") or {}).get("name")]
    if config.get("seed") is not None:
        words.append(f"seed {config['seed']}")
    return " · ".join(str(word) for word in words if word) or "run"


def _class_name(node: Any) -> str | None:
    return str(node["_target_"]).rpartition(".")[2] if isinstance(node, dict) and "_target_" in node else None


def _margins(width: float, height: float, columns: int, lines: int) -> dict[str, float]:
    """Room for titles and labels, which are of known sizes in inches: to measure them would double the time."""
    left, right, top, bottom, between, below = 0.7, 0.15, 0.75, 0.5, 0.8, 0.85
    one_wide = (width - left - right - between * (columns - 1)) / columns
    one_high = (height - top - bottom - below * (lines - 1)) / lines
    return {
        "left": left / width,
        "right": 1 - right / width,
        "top": 1 - top / height,
        "bottom": bottom / height,
        "wspace": between / one_wide,
        "hspace": below / one_high,
    }


def _draw(panels: Sequence[Panel], title: str, path: Path) -> None:
    from matplotlib.figure import Figure  # slow to import; and without pyplot there is no state to clean up
    from matplotlib.ticker import MaxNLocator

    columns = 2 if len(panels) in (2, 4) else min(3, len(panels))
    lines = math.ceil(len(panels) / columns)
    width, height = max(3.6 * columns, 5), 2.7 * lines + 0.5
    figure = Figure(figsize=(width, height), dpi=150)
    figure.suptitle(title, fontsize=11, y=1 - 0.16 / height, va="top")
    grid = figure.subplots(lines, columns, squeeze=False, gridspec_kw=_margins(width, height, columns, lines))
    last = max(epoch for panel in panels for epoch, _ in panel.points)
    for axes, panel in zip(grid.flat, panels, strict=False):
        epochs, values = zip(*panel.points, strict=True)
        axes.plot(epochs, values, color=_INK, linewidth=1.6, marker="o", markersize=4 if last <= 12 else 2)
        axes.set_title(panel.title if len(panel.title) <= 20 else panel.title[:19] + "…", fontsize=9.5, loc="left")
        axes.set_xlabel("epoch", fontsize=8.5)
        axes.set_ylabel(panel.label, fontsize=8.5)
        axes.set_xlim(0.5, last + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        at_best = dict(panel.points).get(panel.best) if panel.best is not None else None
        if panel.best is not None and at_best is not None:
            axes.axvline(panel.best, color=_BEST, linewidth=1, linestyle="--", alpha=0.7)
            axes.plot([panel.best], [at_best], "o", color=_BEST, markersize=5.5)
            axes.set_title(f"{at_best:.4f}, epoch {panel.best}", fontsize=9, loc="right", color=_BEST)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    beside = path.with_name(".curves.partial.png")
    figure.savefig(beside)
    beside.replace(path)
