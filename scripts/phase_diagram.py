"""When another task's labels help a task that has few of its own: a map drawn from simulated worlds.

    python scripts/phase_diagram.py run        # trains what is not trained yet; kill it at any time and type it again
    python scripts/phase_diagram.py table      # docs/results.md: gains and verdicts, from the runs that are done
    python scripts/phase_diagram.py draw       # docs/images/phase_diagram.png, likewise

A world has two binary tasks of one law: ``click``, with a label on every training row, and ``rare``, with a label on
``labels`` of them. Axes are how related their latent scores are, how many labels ``rare`` has, and which share of
either's training labels is wrong. Validation and test rows have all labels, none of them wrong. Schemes train on the
same worlds with the same budget; what counts is the test AUC of ``rare`` less that of ``single_task`` there.

Any axis can be cut down or changed: ``noise=0 relatedness=0,1 labels=300,3000 seeds=1,2 schemes=single_task,mmoe
rows=16000``; also ``jobs=2`` (at once) and ``folder=logs/phase_diagram``.
"""

import json
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit
from scipy.stats import t as student

from taskloom.data.readers.synthetic import Synthetic
from taskloom.data.readers.synthetic_truth import DWELL_SLOPE, SLOPE, Truth
from taskloom.ranges import PositiveInt

ROOT = Path(__file__).resolve().parents[1]
METRIC = "rare/auc"
ALONE = "single_task"
LEVEL = 0.05  # of the verdict on a cell
#: what the schemes of a family have in common, in the words of the legend
FAMILIES = {
    "hard": "one network for both",
    "soft": "a network each, drawn together",
    "experts": "common experts, mixed by gates",
    "stitch": "a network each, layers mixed",
    "tables": "own and common embeddings",
}
SCHEMES = {
    "hard_sharing": "hard",
    "soft_sharing": "soft",
    "mmoe": "experts",
    "ple": "experts",
    "cross_stitch": "stitch",
    "stem": "tables",
}
#: colours of Okabe and Ito, which colour-blind people tell apart; the word in the cell says the same
COLOURS = {"hard": "#0072B2", "soft": "#009E73", "experts": "#D55E00", "stitch": "#F0E442", "tables": "#CC79A7"}


class RareTask(Synthetic):
    """The synthetic log with a second task of click's law, few labels of it, and rows parted for a fair verdict.

    Three eighths of the rows, drawn by chance, are for training, one eighth for validation, half for test.

    Args:
        labels: training rows with a label of ``rare``, drawn by chance; those of a smaller number are among those of a
            larger one.
        **options: those of Synthetic; ``label_noise`` is the share of the training labels of either task that are
            recorded as their opposite.
    """

    name = "rare_task"
    columns = (*Synthetic.columns, "rare", "part")  # type: ignore[assignment]  # a longer tuple than the base's

    def __init__(self, labels: PositiveInt, **options: Any) -> None:
        super().__init__(**options)
        self.labels = labels

    def _outcomes(self, truth: Truth, when: np.ndarray) -> dict[str, pl.Series]:
        """Those of Synthetic, click clean but for training rows; ``rare`` (0, 1, or null); and ``part``."""
        found, rng, n = super()._outcomes(truth, when), self._stream(7), len(when)
        place = rng.permutation(n)
        training, tested = place < n * 3 // 8, place >= n // 2
        # Dwell's score has the wanted correlation with click's; the same constant and slope then give the same law.
        score = (truth.log_dwell - truth.log_dwell.mean()) / DWELL_SLOPE
        rare = rng.random(n) < expit(logit(truth.click).mean() + SLOPE * score)
        wrong = (rng.random(n) < self.label_noise) & training
        recorded, there = pl.Series(training), pl.Series(~training | (place < self.labels))
        labels = pl.select(
            click=pl.when(recorded).then(found["click"]).otherwise(found["clean_click"]),
            rare=pl.when(there).then(pl.Series((rare ^ wrong).astype(np.int8))),
            part=pl.Series(np.select([training, tested], ["train", "test"], "val")),
        )
        return found | labels.to_dict()


@dataclass(frozen=True)
class Grid:
    """What is run: every scheme in every world.

    Args:
        noise, relatedness, labels: the axes, ascending.
        seeds: each of a world and of the training in it.
        schemes: single_task and those compared with it.
        rows: of a world, three eighths of them for training.
    """

    noise: tuple[float, ...] = (0.0, 0.2)
    relatedness: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0)
    labels: tuple[int, ...] = (300, 1000, 3000, 10_000, 30_000)
    seeds: tuple[int, ...] = (1, 2, 3)
    schemes: tuple[str, ...] = (ALONE, *SCHEMES)
    rows: int = 80_000


#: what all schemes have in common; chosen for single_task, which is to be beaten, by the validation AUC of ``rare``
#: in a world with another seed (101, relatedness .5, 1,000 and 30,000 labels); all else is as conf/ has it
BUDGET = (
    "backbone=fm",
    "backbone.hidden=[32]",
    "backbone.dropout=0.1",
    "backbone.detach=false",  # so that what schemes mix also shapes the embeddings
    "features.dim=16",
    "features.l2=0.02",
    "optimizer.lr=3e-3",
    "scheduler=cosine",
    "method.epochs=8",
    "data.batch_size=1024",
)
WORLD = (
    "data=synthetic",
    f"plugins=[{Path(__file__).resolve()}]",
    "data.reader._target_=phase_diagram.RareTask",
    "data.reader.users=1000",
    "data.reader.items=500",
    "data.reader.seed=${seed}",
    "data.features.history=null",
    "data.features.when.parts=[hour]",
    "data.split.kind=column",
    "+data.split.column=part",
    "+data.tasks.rare={kind:binary,target:rare}",
    "tasks=[click,rare]",
)
PLAIN = (
    "logger=none",
    "floors=[constant]",
    "~callbacks.conflict",
    "callbacks.checkpoint.every_steps=100000",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
)


def listed(values: Sequence[Any]) -> str:
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


@dataclass(frozen=True)
class Run:
    """A run that is done.

    Args:
        noise, relatedness, labels, seed: its world.
        scheme: of sharing.
        score: test AUC of the rare task.
    """

    noise: float
    relatedness: float
    labels: int
    seed: int
    scheme: str
    score: float


def runs(folder: Path, grid: Grid) -> list[Run]:
    """Those of the grid that are done."""
    return [run for file in sorted(folder.glob("*/*/run.json")) if (run := _read(file, grid)) is not None]


def _read(file: Path, grid: Grid) -> Run | None:
    record = json.loads(file.read_text(encoding="utf-8"))
    if record["state"] != "done":
        return None
    config = record["config"]
    reader = config["data"]["reader"]
    world = (float(reader["label_noise"]), float(reader["relatedness"]), reader["labels"], config["seed"])
    axes = (grid.noise, grid.relatedness, grid.labels, grid.seeds, grid.schemes)
    asked = zip((*world, config["name"]), axes, strict=True)
    if reader["rows"] != grid.rows or not all(value in axis for value, axis in asked):
        return None
    return Run(*world, config["name"], record["test"][METRIC])


def train(folder: Path, grid: Grid, jobs: int) -> None:
    """Runs what is missing: a sweep for every noise and relatedness, so that a part is soon done in full."""
    from study import train as command

    for noise in grid.noise:
        for relatedness in grid.relatedness:
            part = replace(grid, noise=(noise,), relatedness=(relatedness,))
            sweep = folder / f"noise{noise:g}_relatedness{relatedness:g}"
            wanted = len(grid.labels) * len(grid.seeds) * len(grid.schemes)
            if len(runs(folder, part)) == wanted:
                continue
            place = "resume" if (sweep / "sweep.json").is_file() else "hydra.sweep.dir"
            # Seeds change fastest, so that processes at work at once seldom prepare the same world.
            axes = [
                f"++data.reader.labels={listed(grid.labels)}",
                f"model={listed(grid.schemes)}",
                f"seed={listed(grid.seeds)}",
            ]
            world = [
                *WORLD,
                f"data.reader.rows={grid.rows}",
                f"data.reader.label_noise={noise:g}",
                f"data.reader.relatedness={relatedness:g}",
                f"paths.data={sweep}/worlds",
            ]
            launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
            command([*world, *BUDGET, *PLAIN, *axes, f"{place}={sweep}", *launcher])
            shutil.rmtree(sweep / "worlds", ignore_errors=True)  # simulated anew where they are wanted again


@dataclass(frozen=True)
class Gain:
    """What a scheme adds to the score of single_task in the worlds of a cell.

    Args:
        mean: over seeds.
        error: its standard error.
    """

    mean: float
    error: float


@dataclass(frozen=True)
class Cell:
    """The verdict on one place of the map.

    Args:
        alone: mean score of single_task.
        gains: of every other scheme.
        limit: so many standard errors a gain must be away from 0 to count.
        best: the scheme with the largest gain.
        rivals: families, but for the best scheme's, of which a scheme is within noise of it.
    """

    alone: float
    gains: dict[str, Gain]
    limit: float
    best: str
    rivals: frozenset[str]

    @property
    def verdict(self) -> str:
        """The family that wins; ``alone`` where all schemes lose beyond noise; ``=`` where that is not known."""
        gain = self.gains[self.best]
        if abs(gain.mean) <= self.limit * gain.error:
            return "="
        return SCHEMES[self.best] if gain.mean > 0 else "alone"

    def loses(self, scheme: str) -> bool:
        """Whether it is worse than single_task beyond noise."""
        gain = self.gains.get(scheme)
        return gain is not None and gain.mean < -self.limit * gain.error


def judge(done: Sequence[Run]) -> dict[tuple[float, float, int], Cell]:
    """A verdict for each (noise, relatedness, labels) whose runs are all there.

    Three seeds tell little of how much a gain scatters, so that its variance is the mean over all relatednesses with
    the same noise and number of labels. A gain counts where it is further from 0 than Student's t allows at
    ``LEVEL``, divided by the number of schemes, of which the best is looked at (Bonferroni).
    """
    scores = {(run.noise, run.relatedness, run.labels, run.scheme, run.seed): run.score for run in done}
    schemes = [scheme for scheme in SCHEMES if any(run.scheme == scheme for run in done)]
    seeds = sorted({run.seed for run in done})
    cells = {}
    for noise, labels in sorted({(run.noise, run.labels) for run in done}):
        rows = {}
        for relatedness in sorted({run.relatedness for run in done}):
            keys = [[(noise, relatedness, labels, scheme, seed) for seed in seeds] for scheme in (ALONE, *schemes)]
            if all(key in scores for line in keys for key in line):
                rows[relatedness] = np.array([[scores[key] for key in line] for line in keys])
        if not rows or len(seeds) < 2 or not schemes:
            continue
        table = np.stack(list(rows.values()))  # (relatednesses, 1 + schemes, seeds)
        limit = float(student.ppf(1 - LEVEL / 2 / len(schemes), len(rows) * (len(seeds) - 1)))

        def error(differences: np.ndarray) -> float:
            return float(np.sqrt(differences.var(axis=1, ddof=1).mean() / len(seeds)))

        for at, (relatedness, found) in enumerate(rows.items()):
            gains = {
                scheme: Gain(float((found[k] - found[0]).mean()), error(table[:, k] - table[:, 0]))
                for k, scheme in enumerate(schemes, start=1)
            }
            best = max(schemes, key=lambda scheme: gains[scheme].mean)
            winner = table[:, 1 + schemes.index(best)]
            behind = {scheme: winner - table[:, k] for k, scheme in enumerate(schemes, start=1)}
            rivals = {
                SCHEMES[scheme]
                for scheme, by in behind.items()
                if SCHEMES[scheme] != SCHEMES[best] and by[at].mean() <= limit * error(by)
            }
            cells[noise, relatedness, labels] = Cell(float(found[0].mean()), gains, limit, best, frozenset(rivals))
    return cells


def shown(gain: float) -> str:
    """Three decimals, as in docs/results.md.

    Example:
        >>> shown(0.0312), shown(-0.0049), shown(0.00001)
        ('+.031', '−.005', '.000')
    """
    digits = f"{abs(gain):.3f}".lstrip("0")
    return digits if digits == ".000" else ("+" if gain > 0 else "−") + digits


def table(cells: dict[tuple[float, float, int], Cell]) -> Iterator[str]:
    """Lines of a Markdown table, a cell of the map a row."""
    schemes = list(next(iter(cells.values())).gains)
    yield f"| noise | relatedness | labels | alone | {' | '.join(f'`{scheme}`' for scheme in schemes)} | verdict |"
    yield "|" + "---|" * (len(schemes) + 5)
    for (noise, relatedness, labels), cell in cells.items():
        marks = [
            f"{shown(gain.mean)} ± {f'{gain.error:.3f}'.lstrip('0')}{'*' * (abs(gain.mean) > cell.limit * gain.error)}"
            for gain in cell.gains.values()
        ]
        verdict = cell.verdict
        if verdict in FAMILIES and cell.rivals:
            verdict += f" (or {', '.join(sorted(cell.rivals))})"
        yield (
            f"| {noise:g} | {relatedness:g} | {labels:,} | {f'{cell.alone:.3f}'.lstrip('0')} | {' | '.join(marks)} "
            f"| {verdict} |"
        )


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


AXES: dict[str, Any] = {"noise": float, "relatedness": float, "labels": int, "seeds": int, "schemes": str}


def main(words: list[str]) -> int:
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    steps = {word for word in words if "=" not in word}
    if {*settings} - {*AXES, "rows", "jobs", "folder"} or steps - {"run", "table", "draw"} or not steps:
        print(__doc__, file=sys.stderr)
        return 2
    axes: dict[str, Any] = {}
    for name, kind in AXES.items():
        if name in settings:
            values = [kind(word) for word in settings[name].split(",")]
            axes[name] = tuple(values if kind is str else sorted(values))
    if "rows" in settings:
        axes["rows"] = int(settings["rows"])
    grid = replace(Grid(), **axes)
    folder = Path(settings.get("folder", ROOT / "logs/phase_diagram")).resolve()
    if "run" in steps:
        train(folder, grid, int(settings.get("jobs", 2)))
    if steps & {"table", "draw"}:
        cells = judge(runs(folder, grid))
        if not cells:
            print(f"{folder} has no cell of the map with all its runs done; `run` makes them", file=sys.stderr)
            return 1
        if "table" in steps:
            print("\n".join(table(cells)))
        if "draw" in steps:
            path = ROOT / "docs/images/phase_diagram.png"
            draw(cells, grid, path)
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
