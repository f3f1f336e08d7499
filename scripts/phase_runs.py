"""The runs behind the map of `phase_diagram.py`: schemes in worlds, trained where missing, read where done."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
METRIC = "rare/auc"
ALONE = "single_task"
#: those compared with it, and the family of each
SCHEMES = {
    "hard_sharing": "hard",
    "soft_sharing": "soft",
    "mmoe": "experts",
    "ple": "experts",
    "cross_stitch": "stitch",
    "stem": "tables",
}


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
    f"plugins=[{ROOT / 'scripts/phase_diagram.py'}]",
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
