"""Run folders made in no time: the record and the metrics file of a real run, with numbers that the test chooses."""

import copy
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from taskloom.config.compose import Composed, composer

CONF = Path(__file__).resolve().parents[2] / "conf"
MakeRun = Callable[..., Path]
MAIN = {"like": {"metric": "auc", "higher_is_better": True}, "rating": {"metric": "rmse", "higher_is_better": False}}


@pytest.fixture(scope="session")
def composed() -> Callable[..., Composed]:
    """Real configs by their overrides, each composed once."""
    known: dict[tuple[str, ...], Composed] = {}

    def compose(*overrides: str) -> Composed:
        if overrides not in known:
            with composer(CONF, "train") as ready:
                known[overrides] = ready.compose(list(overrides))
            assert not known[overrides].problems
        return known[overrides]

    return compose


@pytest.fixture
def make_run(tmp_path: Path, composed: Callable[..., Composed]) -> MakeRun:
    """Writes a run folder; see `write_run`."""

    def make(name: str, *overrides: str, seed: int = 1, under: Path | None = None, **more: Any) -> Path:
        found = composed(*overrides)
        return write_run((under or tmp_path / "logs/train/runs") / name, found, overrides, seed, **more)

    return make


def write_run(
    folder: Path,
    composed: Composed,
    overrides: Sequence[str] = (),
    seed: int = 1,
    *,
    auc: float | None = 0.8,
    rmse: float | None = 0.9,
    score: float | None = None,
    split_seed: int = 1,
    state: str = "done",
    epochs: int = 2,
    fingerprint: str | None = None,
    created: str = "",
    old: bool = False,
    tags: Sequence[str] = (),
    sweep: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """One run as training leaves it.

    Args:
        folder: of the run.
        composed: its config.
        overrides: its command line, seeds aside.
        seed: of training.
        auc, rmse: its test scores.
        score: its ``val/score``.
        split_seed: of the data.
        state: of run.json.
        epochs: in metrics.jsonl.
        fingerprint: of the data; None makes one of the split.
        created: None makes one of the folder's name.
        old: without what records hold since sweeps have ledgers.
        tags: words.
        sweep: which job of which sweep it is.
        settings: config keys, dotted, that are changed in the config and named on the command line.
        record: what run.json says otherwise.
    """
    config = copy.deepcopy(composed.config)
    config["seed"], config["data"]["split"]["seed"] = seed, split_seed
    line = [*overrides, f"seed={seed}", *([f"data.split.seed={split_seed}"] if split_seed != 1 else [])]
    for key, value in (settings or {}).items():
        *path, last = key.split(".")
        node = config
        for part in path:
            node = node[part]
        node[last] = value
        line.append(f"{key}={value}")
    choices = {group: member for group, member in composed.choices.items() if "/" not in group and member is not None}
    said: dict[str, Any] = {
        "state": state,
        "created": created or f"2026-11-21T10:00:00.{sum(map(ord, folder.name)) % 1000:03}+00:00",
        "config": config,
        "seed": seed,
        "versions": dict.fromkeys(("python", "torch", "lightning", "hydra-core", "wandb", "polars"), "1.2.3"),
        "fingerprint": fingerprint or f"{split_seed:016x}",
        "summary": ["a line about the data of about this length, as there are several in a record"] * 8,
        "parameters": 374644,
    }
    if not old:
        said |= {"overrides": line, "choices": choices, "tags": list(tags)}
        if sweep:
            said["sweep"] = dict(sweep)
    if state == "done":
        others = {"like/log_loss": 0.53, "like/gauc": 0.75, "like/gauc_coverage": 0.95, "rating/mae": 0.7}
        said |= {
            "test": {"like/auc": auc, "rating/rmse": rmse, **others},
            "floors": {
                "constant": {"like/auc": 0.5, "rating/rmse": 1.118 + split_seed / 1000, "like/log_loss": 0.69},
                "bias": {"like/auc": 0.7758, "rating/rmse": 0.9336},
            },
            "main_metrics": MAIN,
            "best": {"all": {"score": 0.4 if score is None else score, "epoch": epochs - 1, "since": 0}},
            "rows_per_s": 50_000.0 + 100 * seed,
            "seconds": 20.0,
            "peak_memory_mb": {"host": 700.0},
        }
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({**said, **(record or {})}, indent=2))
    if old:
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in line))
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in _rows(epochs, seed)))
    return folder


def _rows(epochs: int, seed: int) -> list[dict[str, Any]]:
    """What a run logs: a line each 50 of 79 steps, two at the end of an epoch."""
    noise = random.Random(seed)
    rows: list[dict[str, Any]] = []
    step = 0
    for epoch in range(epochs):
        for _ in range(2):
            step += 50
            loss = 2 / (epoch + 1) + noise.random() / 100
            rows.append({"step": step, "epoch": None, "time": 1795302491.081, "train/step_loss": loss, "lr": 0.002})
        auc = 0.8 - 0.1 / (epoch + 1) + noise.random() / 1000
        val = {
            "val/like/auc": auc,
            "val/like/log_loss": 0.6141322255134583,
            "val/like/gauc": 0.70074361562,
            "val/score": auc,
        }
        val |= {"val/rating/rmse": 1.3 - auc / 2, "val/rating/mae": 0.8134971261, "val/rating/r2": 0.2036901116}
        rows.append({"step": step, "epoch": epoch, "time": 1795302491.787, **val})
        train = {"train/loss": 2 / (epoch + 1), "train/like/loss": 0.65, "train/rating/loss": 0.9}
        rows.append({"step": step, "epoch": epoch, "time": 1795302491.805, **train})
    return rows
