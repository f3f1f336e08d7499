"""The picture of the verdicts of `phase_verdict.py`: a panel a noise, who wins by colour and word."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phase_runs import SCHEMES, Grid
from phase_verdict import FAMILIES, Cell, shown

#: colours of Okabe and Ito, which colour-blind people tell apart; the word in the cell says the same
COLOURS = {"hard": "#0072B2", "soft": "#009E73", "experts": "#D55E00", "stitch": "#F0E442", "tables": "#CC79A7"}


def draw(cells: dict[tuple[float, float, int], Cell], grid: Grid, path: Path) -> None:
    """The map: a panel a noise, colour and word for who wins, depth of colour for by how much.

    Args:
        cells: from `judge`.
        grid: for the title: how large the worlds are, and how many.
        path: of the picture.
    """
    from matplotlib.figure import Figure  # slow to import; and without pyplot there is no state to clean up
    from matplotlib.patches import Rectangle

    noise, relatedness = (sorted({key[axis] for key in cells}) for axis in range(2))
    labels = sorted({n for _, _, n in cells})
    most = max((cell.gains[cell.best].mean for cell in cells.values()), default=0.0)
    legend = _entries(cells)
    left, top, below, between = 1.05, 1.05, 0.75 + 0.22 * math.ceil(len(legend) / 2), 0.3
    # In inches; never so narrow that titles and legend have no room.
    wide = max(1.12 * len(labels), (9.2 - left) / len(noise) - between)
    high = max(0.74 * len(relatedness), 1.5)
    width, height = left + len(noise) * (wide + between), top + high + below
    figure = Figure(figsize=(width, height), dpi=150)
    plenty = grid.rows * 3 // 8
    title = f"A task has few labels, another one {plenty:,}: when does sharing help, and which way?"
    figure.text(0.12 / width, 1 - 0.14 / height, title, fontsize=12, weight="bold", va="top")
    told = "In a cell: who wins, and the rare task's gain in test AUC by the best scheme, over a network of its own; "
    told += f"mean over {len(grid.seeds)} simulated worlds."
    figure.text(0.12 / width, 1 - 0.42 / height, told, fontsize=9, va="top")
    for column, share in enumerate(noise):
        place = ((left + column * (wide + between)) / width, below / height, wide / width, high / height)
        axes = figure.add_axes(place)
        axes.set_title("all labels right" if share == 0 else f"{share:.0%} of labels wrong", fontsize=10, loc="left")
        axes.set_xlim(0, len(labels))
        axes.set_ylim(0, len(relatedness))
        axes.set_xticks([place + 0.5 for place in range(len(labels))], [f"{n:,}" for n in labels])
        axes.set_yticks([place + 0.5 for place in range(len(relatedness))], [_said(r) for r in relatedness])
        axes.tick_params(length=0, labelsize=8.5, labelleft=column == 0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("labels of the rare task", fontsize=9)
        if column == 0:
            axes.set_ylabel("how related the tasks are", fontsize=9)
        for y, related in enumerate(relatedness):
            for x, n in enumerate(labels):
                cell = cells.get((share, related, n))
                if cell is not None:
                    axes.add_patch(Rectangle((x + 0.02, y + 0.02), 0.96, 0.96, linewidth=0, **_face(cell, most)))
                    _write(axes, x + 0.5, y + 0.5, cell, most)
    _legend(figure, width, height, legend)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(beside)
    beside.replace(path)


def _said(relatedness: float) -> str:
    words = {1.0: "the same  1", 0.0: "unrelated  0", -1.0: "opposed −1"}
    return words.get(relatedness, f"{relatedness:g}".replace("-", "−").replace("0.", "."))


def _tint(colour: str, strength: float) -> tuple[float, ...]:
    """The colour on white paper."""
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


def _strength(cell: Cell, most: float) -> float:
    return 0.25 + 0.75 * math.sqrt(max(cell.gains[cell.best].mean, 0.0) / most) if most > 0 else 0.25


def _face(cell: Cell, most: float) -> dict[str, Any]:
    if cell.verdict == "=":
        return {"facecolor": "#ffffff", "edgecolor": "#cccccc", "hatch": "////"}
    if cell.verdict == "alone":
        return {"facecolor": "#b5b5b5"}
    return {"facecolor": _tint(COLOURS[cell.verdict], _strength(cell, most))}


def _write(axes: Any, x: float, y: float, cell: Cell, most: float) -> None:
    lines = [shown(cell.gains[cell.best].mean)]
    if cell.loses("hard_sharing") and cell.best != "hard_sharing":
        lines.append(f"hard {shown(cell.gains['hard_sharing'].mean)}")
    wins = cell.verdict in FAMILIES
    word = "=" if cell.verdict == "=" else cell.verdict + "*" * (wins and not cell.rivals)
    red, green, blue = _tint(COLOURS[cell.verdict], _strength(cell, most)) if wins else (1.0, 1.0, 1.0)
    ink = "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5 else "black"
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if cell.verdict == "=" else None
    step = 0.22
    first = y + step * len(lines) / 2
    axes.text(x, first, word, ha="center", va="center", fontsize=9.5, weight="bold", color=ink, bbox=paper)
    for number, line in enumerate(lines, start=1):
        size = 8.5 if number == 1 else 7.5
        axes.text(x, first - step * number, line, ha="center", va="center", fontsize=size, color=ink, bbox=paper)


Entry = tuple[str, str, dict[str, Any] | None]


def _entries(cells: dict[tuple[float, float, int], Cell]) -> list[Entry]:
    """Of the legend: a word, what it means, and the face of its patch."""
    schemes = list(next(iter(cells.values())).gains)
    entries: list[Entry] = []
    for family, about in FAMILIES.items():
        members = [scheme for scheme in schemes if SCHEMES[scheme] == family]
        if members:
            entries.append((family, f"{about} ({', '.join(members)})", {"facecolor": _tint(COLOURS[family], 0.7)}))
    unknown = {"facecolor": "w", "edgecolor": "#999999", "hatch": "/////"}
    return [
        *entries,
        ("alone", "every way of sharing loses beyond noise", {"facecolor": "#b5b5b5"}),
        ("=", "the best is within noise of a network of its own", unknown),
        ("*", "no other family is within noise of this one", None),
        ("hard −", "what hard sharing loses, beyond noise", None),
    ]


def _legend(figure: Any, width: float, height: float, entries: Sequence[Entry]) -> None:
    from matplotlib.patches import Rectangle

    lines = math.ceil(len(entries) / 2)
    for number, (word, about, face) in enumerate(entries):
        x = 0.12 + (number // lines) * width / 2
        y = 0.12 + 0.22 * (lines - 1 - number % lines)
        if face is not None:
            figure.add_artist(Rectangle((x / width, y / height), 0.22 / width, 0.15 / height, linewidth=0, **face))
        y = (y + 0.07) / height
        figure.text((x + 0.3) / width, y, word, fontsize=8.5, weight="bold", va="center")
        figure.text((x + 0.95) / width, y, about, fontsize=8.5, va="center")
