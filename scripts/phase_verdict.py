"""Verdicts from the runs of `phase_runs.py`: which family of schemes wins in a cell of the map, beyond noise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from phase_runs import ALONE, SCHEMES, Run

LEVEL = 0.05  # of the verdict on a cell
#: what the schemes of a family have in common, in the words of the legend
FAMILIES = {
    "hard": "one network for both",
    "soft": "a network each, drawn together",
    "experts": "common experts, mixed by gates",
    "stitch": "a network each, layers mixed",
    "tables": "own and common embeddings",
}


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
