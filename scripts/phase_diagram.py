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

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit

from taskloom.data.readers.synthetic import Synthetic
from taskloom.data.readers.synthetic_truth import DWELL_SLOPE, SLOPE, Truth
from taskloom.ranges import PositiveInt


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


AXES: dict[str, Any] = {"noise": float, "relatedness": float, "labels": int, "seeds": int, "schemes": str}


def main(words: list[str]) -> int:
    # Here, not at the top: a run loads this file as its plugin, and finds no file beside it.
    from phase_map import draw
    from phase_runs import ROOT, Grid, runs, train
    from phase_verdict import judge, table

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
