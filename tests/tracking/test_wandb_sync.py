"""A run that was killed offline, went on and was sent later is one run in W&B, marked for what became of it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from standins.wandb_server import StandIn
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.wandb_run import finish, wandb_logger

CONFIG = {"command": "train", "name": "soft_sharing", "seed": 1}
LOGS_AND_WAITS = """
import json, sys, time
from taskloom.tracking.wandb_run import wandb_logger
logger = wandb_logger(sys.argv[1], json.loads(sys.argv[2]), project="taskloom")
for step in range(3):
    logger.log_metrics({"train/loss": 3.0 - step, "epoch": step}, step=step)
time.sleep(600)
"""


def rows(run_wandb: Any, directory: Path) -> int:
    """How many rows W&B has on the disk."""
    printed = run_wandb("leet", "inspect", "--json", str(directory)).stdout
    return sum(json.loads(line)["type"] == "history" for line in printed.splitlines())


@pytest.mark.slow
@pytest.mark.usefixtures("_fresh_wandb")
def test_a_killed_run_that_goes_on_is_one_run(tmp_path: Path, wandb_server: StandIn, run_wandb: Any) -> None:
    folder = RunFolder.create(tmp_path / "run", {"parameters": 7})
    source = str(Path(__file__).resolve().parents[2] / "src")
    command = [sys.executable, "-c", LOGS_AND_WAITS, str(folder.path), json.dumps(CONFIG)]
    first = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": source})
    end = time.monotonic() + 120
    while "wandb" not in folder.read() or rows(run_wandb, folder.path / folder.read()["wandb"]["dir"]) < 3:
        assert time.monotonic() < end
        assert first.poll() is None
    first.kill()
    first.wait()
    name = folder.read()["wandb"]["id"]
    sent = run_wandb("sync", str(folder.path / "wandb"), server=wandb_server)
    assert sent.returncode == 0, sent.stderr
    run = wandb_server.runs[name]
    assert run.exit_code == 1
    assert [row["train/loss"] for row in run.history] == [3, 2, 1]

    logger = wandb_logger(folder.path, CONFIG, project="taskloom")
    assert logger is not None
    for step in (2, 3):
        logger.log_metrics({"train/loss": 3.0 - step, "epoch": step}, step=step)
    folder.update(
        state="done",
        best={"like": {"score": 0.25}, "rating": {"score": 0.75}},
        rows_per_s=1000.0,
        peak_memory_mb={"host": 900.0, "cuda:0": 50.0, "cuda:1": 60.0},
    )
    finish(0)
    sent = run_wandb("sync", str(folder.path / "wandb"), server=wandb_server)
    assert sent.returncode == 0, sent.stderr
    assert list(wandb_server.runs) == [name]
    assert run.exit_code == 0
    assert [(row["trainer/global_step"], row["train/loss"]) for row in run.history] == [
        (0, 3), (1, 2), (2, 1), (2, 1), (3, 0)
    ]  # fmt: skip
    expected = {"val/score": 0.5, "cost/rows_per_s": 1000, "cost/parameters": 7, "cost/peak_memory_mb": 60}
    assert {key: run.summary.get(key) for key in expected} == expected


@pytest.mark.usefixtures("_fresh_wandb")
def test_failed_and_pruned_runs_are_marked(
    tmp_path: Path, wandb_server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in wandb_server.environment().items():
        monkeypatch.setenv(key, value)
    names = []
    for state, code in (("failed", 1), ("pruned", 0), ("done", 0)):
        folder = RunFolder.create(tmp_path / state, {})
        logger = wandb_logger(folder.path, CONFIG, project="taskloom")
        assert logger is not None
        logger.log_metrics({"train/loss": 1.0}, step=0)
        folder.update(state=state)
        finish(code)
        names.append(folder.read()["wandb"]["id"])
    runs = [wandb_server.runs[name] for name in names]
    assert [run.exit_code for run in runs] == [1, 0, 0]
    assert [run.variables["tags"] for run in runs] == [["soft_sharing"], ["soft_sharing", "pruned"], ["soft_sharing"]]
    assert len(wandb_server.runs) == 3
