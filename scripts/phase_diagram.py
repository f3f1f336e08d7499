"""When another task's labels help a task that has few of its own: a map drawn from simulated worlds.

    python scripts/phase_diagram.py run        # trains what is not trained yet; kill it at any time and type it again
    python scripts/phase_diagram.py table      # docs/results.md: gains and verdicts, from the runs that are done
    python scripts/phase_diagram.py draw       # docs/images/phase_diagram.png, likewise

A world has two binary tasks of one law: ``click``, with a label on every training row, and ``rare``, with a label on
``labels`` of them. Axes are how related their latent scores are, how many labels ``rare`` has, and which share of
either's training labels is wrong. Validation and test rows have all labels, none of them wrong. Schemes train on the
same worlds with the same budget; what counts is the test AUC of ``rare`` above that of ``single_task`` in the same world.

Any axis can be cut down or changed: ``noise=0 relatedness=0,1 labels=300,3000 seeds=1,2 schemes=single_task,mmoe
rows=16000``; also ``jobs=2`` (at once) and ``folder=logs/phase_diagram``.
"""

import json
import math
import shutil
import statistics
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
from taskloom.data.readers.synthetic_truth import DWELL_SLOPE, SLOPE
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
COLOURS = {"hard": "#0072B2", "soft": "#009E73", "experts": "#D55E00", "stitch": "#CC79A7", "tables": "#E69F00"}


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
    columns = (*Synthetic.columns, "rare", "part")

    def __init__(self, labels: PositiveInt, **options: Any) -> None:
        super().__init__(**options)
        self.labels = labels

    def log(self) -> pl.DataFrame:
        """Columns of Synthetic, ``rare`` (0, 1, or null) and ``part``; ``click`` is clean but for training rows."""
        frame, rng = super().log(), self._stream(7)
        place = rng.permutation(self.rows)
        train, end = self.rows * 3 // 8, self.rows * 4 // 8
        # Dwell's score has the wanted correlation with click's; the same constant and slope then give the same law.
        score = frame["true_log_dwell"].to_numpy()
        score = (score - score.mean()) / DWELL_SLOPE
        rare = rng.random(self.rows) < expit(logit(frame["true_click"].to_numpy()).mean() + SLOPE * score)
        wrong = rng.random(self.rows) < self.label_noise
        in_training = pl.Series(place < train)
        return frame.with_columns(
            click=pl.when(in_training).then("click").otherwise("clean_click"),
            rare=pl.when(~in_training | pl.Series(place < self.labels)).then(
                pl.Series(np.where(place < train, rare ^ wrong, rare).astype(np.int8))
            ),
            part=pl.Series(np.select([place < train, place < end], ["train", "val"], "test")),
        )


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


#: what all schemes have in common; looked for with single_task alone, on validation rows of a world with another seed
BUDGET = (
    "backbone=mlp",
    "backbone.hidden=[64,32]",
    "features.dim=16",
    "features.l2=0.03",
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
    "data.split={kind:column,column:part}",
    "+data.tasks.rare={kind:binary,target:rare}",
    "tasks=[click,rare]",
)
PLAIN = (
    "logger=none",
    "floors=[constant]",
    "callbacks.conflict=null",
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
    asked = zip((*world, config["name"]), (grid.noise, grid.relatedness, grid.labels, grid.seeds, grid.schemes))
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
                f"paths.data={folder}/data",
            ]
            launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
            command([*world, *BUDGET, *PLAIN, *axes, f"{place}={sweep}", *launcher])
            shutil.rmtree(folder / "data", ignore_errors=True)  # simulated anew where it is wanted again


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
            cells[noise, relatedness, labels] = Cell(
                float(found[0].mean()), gains, limit, best, frozenset(rivals)
            )
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
