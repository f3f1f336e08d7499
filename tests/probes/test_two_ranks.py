"""Two processes equal one: parameters, losses, test metrics and rows, for every scheme, labels missing at random."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from taskloom.tracking.metrics_file import read_metrics
from taskloom.tracking.run_folder import RunFolder
from taskloom.training.checkpoint import read_checkpoint
from taskloom.training.train import train

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml"))
#: of 960 training and 120 test rows, the last batches of which have fewer rows than there are ranks
PLAIN = ["data.batch_size=137", "data.eval_batch_size=119", "reduction=mean_labelled"]
#: each rank draws its rows' negatives, gathers their histories, and counts those of the other
DRAWN = [
    "data.batch_size=64",
    "reduction=sum",
    "tasks=[like,rating,interact]",
    "data.features.history.length=3",
    "data.negatives.per_row=2",
    "data.negatives.eval_per_row=3",
    'data.tasks.interact.target="CASE WHEN (timestamp / 5000) % 4 = 0 THEN NULL ELSE 1 END"',
    "data.ranking.users=31",
]
#: what a scheme asks of the data, or has that is drawn by chance
LOVED = '+data.tasks.loved={kind: binary, target: "rating >= 5", parent: like}'
NEEDS = {
    "aitm": [LOVED, "tasks=[like,loved,rating]"],
    "esmm": [LOVED, "tasks=[like,loved,rating]"],
    "pepnet": ["++data.prior=[gender]"],
    "task_transformer": ["model.dropout=0"],
}
#: what a backbone has that is drawn by chance; histories are short, so that rows of either rank read some
PRODUCTS, EVENTS = ["backbone.product_dropout=0"], ["data.features.history.length=3"]
BACKBONES: dict[str, list[str]] = {
    "autoint": [],
    "dcn_v2": [],
    "deepfm": PRODUCTS,
    "din": [*PRODUCTS, *EVENTS],
    "gru": [*PRODUCTS, *EVENTS, "backbone.history_dropout=0"],
    "mlp": [],
    "sasrec": [*PRODUCTS, *EVENTS, "backbone.history_dropout=0"],
    "two_tower": [],
}
SETTINGS = [
    "trainer=ddp_cpu",
    "trainer.precision=64-true",
    "features.dropout=0",
    "backbone.dropout=0",
    "features.l2=0.1",
    "optimizer=sgd",
    "optimizer.lr=1e-2",
    "optimizer.momentum=0",
    "floors=[]",
    "trainer.log_every_n_steps=1",
    # A third of the likes is missing, and so are most ratings of some batches.
    'data.tasks.like.target="CASE WHEN (timestamp / 5000) % 3 = 0 THEN NULL ELSE rating >= 4 END"',
    'data.tasks.rating.target="CASE WHEN (timestamp / 5000) % 5 < 4 THEN NULL ELSE rating END"',
]


def schemes() -> dict[str, list[str]]:
    wanted = {model: [f"model={model}", *NEEDS.get(model, ()), *PLAIN] for model in MODELS}
    wanted["batch_norm"] = ["model=soft_sharing", "backbone.norm=batch", "backbone.activation=prelu", *PLAIN]
    wanted["negatives"] = ["model=soft_sharing", "model.strength=0.1", "model.embedding_strength=0.1", *DRAWN]
    return {name: [*overrides, *PRODUCTS] for name, overrides in wanted.items()}


def backbones() -> dict[str, list[str]]:
    assert {*BACKBONES, "fm"} == {path.stem for path in (ROOT / "conf/backbone").glob("*.yaml")}
    return {name: [f"backbone={name}", "model=mmoe", *more, *PLAIN] for name, more in BACKBONES.items()}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("members", [schemes, pytest.param(backbones, marks=pytest.mark.slow)])
def test_two_ranks_equal_one(
    members: Callable[[], dict[str, list[str]]],
    compose: Callable[..., dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configs = {name: compose(*SETTINGS, *overrides) for name, overrides in members().items()}
    (tmp_path / "configs.json").write_text(json.dumps(configs))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [
            sys.executable,
            *launch,
            str(Path(__file__).with_name("train_on_ranks.py")),
            str(tmp_path / "configs.json"),
            str(tmp_path / "two"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-9000:]
    assert len(configs) > 3
    for name, config in configs.items():
        one = RunFolder.create(tmp_path / "one" / name, {"config": config})
        train({**config, "trainer": {**config["trainer"], "strategy": "single", "devices": 1}}, one)
        equal(one, RunFolder(tmp_path / "two" / name), name)


def equal(one: RunFolder, two: RunFolder, name: str) -> None:
    assert two.read()["ranks"] == 2
    for file in ("last.ckpt", "best.ckpt"):
        a, b = (read_checkpoint(folder.checkpoints / file)["state_dict"] for folder in (one, two))
        assert a.keys() == b.keys()
        for key, value in a.items():
            # Losses are taken in float32, so that sums over other rows first are rounded otherwise.
            torch.testing.assert_close(b[key], value, atol=1e-7, rtol=1e-7, msg=f"{name}: {file}: {key}")
    assert len(one.read()["test"]) > 5
    assert numbers(two.read()["test"]) == pytest.approx(numbers(one.read()["test"]), rel=1e-5, nan_ok=True), name
    logged = [[numbers(row) for row in read_metrics(folder.metrics)] for folder in (one, two)]
    losses = [row["train/loss"] for row in logged[0] if "train/loss" in row]
    assert abs(losses[1] - losses[0]) > 1e-4  # there was something to agree on
    for ours, theirs in zip(*logged, strict=True):
        assert theirs == pytest.approx(ours, rel=1e-5, abs=1e-6, nan_ok=True), name
    rows = [pl.read_parquet(folder.predictions / "test.parquet") for folder in (one, two)]
    assert rows[0]["row"].to_list() == rows[1]["row"].to_list()  # none twice, none lost, and in one order
    assert rows[0].select("user").equals(rows[1].select("user"))


def numbers(row: dict[str, Any]) -> dict[str, float]:
    """Of a row of metrics, without the time, which nobody expects to be the same."""
    return {name: math.nan if value is None else value for name, value in row.items() if name != "time"}
