"""What a study found, as the rows of docs/results.md and as a picture."""

import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study_members import ALONE, Study
from study_noise import beyond_noise
from study_record import Record

#: sharing schemes, and backbones under hard sharing: two of the colours of Okabe and Ito
SCHEME, BACKBONE, FLOOR = "#0072B2", "#D55E00", "#777777"


@dataclass(frozen=True)
class Line:
    """A member whose final runs are done.

    Args:
        name: of the member.
        scores: of each metric, those of the seeds, on test rows.
        parameters: how many the network has.
        speed: rows of training a second: taken by turns with the others, or, where it was not, of its final runs.
        floors: of its runs: metrics by floor.
    """

    name: str
    scores: list[list[float]]
    parameters: int
    speed: float
    floors: dict[str, dict[str, float]]


def lines(study: Study, record: Record) -> list[Line]:
    """Those whose final runs are done: single_task, then the others, best first by the first metric."""
    runs = {name: record.runs("final", name) for name in record.members("final")}
    parts = {metric: f"{ALONE}.{metric.partition('/')[0]}" for metric in study.metrics}
    found = [
        _line(name, [[run["test"][metric] for run in done] for metric in study.metrics], {name: done}, record)
        for name, done in runs.items()
        if not name.startswith(ALONE)
    ]
    if {*parts.values()} <= {*runs}:
        scores = [[run["test"][metric] for run in runs[part]] for metric, part in parts.items()]
        found.append(_line(ALONE, scores, {part: runs[part] for part in parts.values()}, record))
    return sorted(found, key=lambda line: (line.name != ALONE, -statistics.mean(line.scores[0])))


def _line(name: str, scores: list[list[float]], parts: dict[str, list[dict[str, Any]]], record: Record) -> Line:
    """A line of one member, or of several that are trained one after the other."""
    timed = [record.runs("speed", part) or runs for part, runs in parts.items()]
    speed = 1 / sum(1 / statistics.median(run["rows_per_s"] for run in runs) for runs in timed)
    floors: dict[str, dict[str, float]] = {}
    for runs in parts.values():
        for floor, values in runs[-1]["floors"].items():
            floors[floor] = floors.get(floor, {}) | values
    return Line(name, scores, sum(runs[0]["parameters"] for runs in parts.values()), speed, floors)


def table(study: Study, record: Record) -> str:
    """Markdown: floors, single_task, and the others; then what the search of each found, and what it took.

    A star is at the scores that differ from those of single_task by more than noise.
    """
    found = lines(study, record)
    rows = [f"| member | {' | '.join(study.metrics)} | parameters | rows/s |"] if found else []
    rows += ["|" + "---|" * (len(study.metrics) + 3)] if found else []
    for name, values in _floors(found).items():
        shown = " | ".join(f"{values[metric]:.4f}" if metric in values else "" for metric in study.metrics)
        rows.append(f"| floor: {name} | {shown} | | |")
    beyond = [beyond_noise({line.name: line.scores[m] for line in found}, ALONE) for m in range(len(study.metrics))]
    for line in found:
        shown = " | ".join(
            f"{statistics.mean(x):.4f} ± {statistics.stdev(x):.4f}{'*' if line.name in other else ''}"
            for x, other in zip(line.scores, beyond, strict=True)
        )
        rows.append(f"| `{line.name}` | {shown} | {line.parameters:,} | {line.speed:,.0f} |")
    rows += [*([""] if found else []), "| member | validation score, search | all rows | chosen |", "|---|---|---|---|"]
    for name in sorted(record.members("search"), key=lambda name: -record.found(name)[0]):
        promoted = sorted(record.runs("promote", name), key=lambda run: -float(run["score"]))
        # The first of the final runs is a promoted one: the best, but for those that other seeds came to nothing with.
        best = [*record.runs("final", name), *promoted, record.best(name)][0]
        words = " ".join(f"{key}={_short(value)}" for key, value in best["params"].items())
        on_all = f"{best['score']:.4f}" if promoted else ""
        rows.append(f"| `{name}` | {record.found(name)[0]:.4f} | {on_all} | `{words}` |")
    took = []
    for step in ("search", "promote", "final", *["dropped"] * bool(record.members("dropped"))):
        again = step in ("final", "dropped")  # where the first is a promoted one
        runs = [run for name in record.members(step) for run in record.runs(step, name)[again:]]
        took.append(f"{step} {len(runs)} runs, {sum(run['seconds'] for run in runs) / 3600:.1f} hours of one core")
    return "\n".join([*rows, "", f"{'; '.join(took)}.".capitalize()])


def write(page: Path, name: str, text: str) -> None:
    """Puts a table in its place on a page, between two comments.

    Raises:
        ValueError: the page has no place for it, or several.
    """
    before = page.read_text(encoding="utf-8")
    place = re.compile(rf"(<!-- study {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    after, n = place.subn(lambda found: f"{found[1]}{text}\n{found[2]}", before)
    if n != 1:
        raise ValueError(f"{page} has {n} places <!-- study {name} --> ... <!-- end -->, not one")
    page.write_text(after, encoding="utf-8")


def draw(study: Study, record: Record, path: Path, title: str) -> None:
    """The picture: a line a member, a panel a metric, a dot a seed; floors as upright lines.

    Args:
        study: of which data set.
        record: of its runs.
        path: of the picture.
        title: above it.
    """
    from matplotlib.figure import Figure  # slow to import; and without pyplot there is no state to clean up
    from matplotlib.lines import Line2D

    found = lines(study, record)[::-1]
    figure = Figure(figsize=(2.6 + 3.4 * len(study.metrics), 1.5 + 0.26 * len(found)), dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=11, weight="bold", x=0.01, ha="left")
    panels = figure.subplots(1, len(study.metrics), sharey=True, squeeze=False)[0]
    for panel, metric, m in zip(panels, study.metrics, range(len(study.metrics)), strict=True):
        for y, line in enumerate(found):
            colour = BACKBONE if line.name.startswith("hard_sharing.") else SCHEME
            panel.plot(line.scores[m], [y] * len(line.scores[m]), "o", ms=3.5, mew=0, color=colour, alpha=0.5)
            panel.plot(statistics.mean(line.scores[m]), y, "|", ms=10, mew=2, color=colour)
            if line.name == ALONE:
                panel.axvline(statistics.mean(line.scores[m]), color=SCHEME, lw=0.8, ls=":", zorder=0)
        lowest, highest = panel.get_xlim()
        width = highest - lowest
        floors = {name: values[metric] for name, values in _floors(found).items() if metric in values}
        shown = {name: x for name, x in floors.items() if lowest - width / 4 < x < highest + width / 4}
        for x in shown.values():
            panel.axvline(x, color=FLOOR, lw=1, ls="--", zorder=0)
        for text, x in floor_labels(shown, width / 3):
            place = {"xytext": (0, 2), "textcoords": "offset points"}
            panel.annotate(text, (x, len(found) - 0.4), **place, fontsize=7, color=FLOOR, ha="center")
        panel.set_title(f"{metric}  {'← better' if metric.endswith('rmse') else 'better →'}", fontsize=9, pad=14)
        panel.tick_params(labelsize=8)
        panel.locator_params(axis="x", nbins=5)  # numbers of five digits must not run into each other
        panel.grid(axis="y", lw=0.3)
        panel.set_ylim(-0.6, len(found) - 0.4)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(found)), [line.name for line in found])
    of = {"sharing scheme": SCHEME, "backbone under hard sharing": BACKBONE}
    dots = [Line2D([], [], marker="o", ls="", ms=5, mew=0, color=colour) for colour in of.values()]
    figure.legend(dots, [*of], loc="outside lower left", ncols=2, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(beside)
    beside.replace(path)


def floor_labels(floors: dict[str, float], apart: float) -> list[tuple[str, float]]:
    """What stands above the lines of floors, and where: one text for those that are too close for one each.

    Args:
        floors: the score of each.
        apart: how far a text must be from the next.

    Example:
        >>> floor_labels({"linear": 0.5, "bias": 0.8, "factorisation": 0.81}, 0.1)
        [('floor: linear', 0.5), ('floors: bias, factorisation', 0.805)]
    """
    groups: list[list[str]] = []
    for name in sorted(floors, key=lambda name: floors[name]):
        if groups and floors[name] - floors[groups[-1][-1]] < apart:
            groups[-1].append(name)
        else:
            groups.append([name])
    return [
        (f"floor{'s' * (len(names) > 1)}: {', '.join(names)}", statistics.mean(floors[name] for name in names))
        for names in groups
    ]


def _short(value: object) -> str:
    """A number with three digits.

    Example:
        >>> _short(0.004784370493773501), _short("fm"), _short(8)
        ('0.00478', 'fm', '8')
    """
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _floors(found: list[Line]) -> dict[str, dict[str, float]]:
    """The floors, which are fitted beside single_task."""
    return next((line.floors for line in found if line.name == ALONE), {})
