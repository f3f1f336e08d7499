"""A sweep that is killed at random, again and again, ends with the table of one that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from taskloom.sweeping.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["data=synthetic", "data.reader.users=40", "data.reader.items=20", "data.reader.rows=2000", "method.epochs=4"]
QUICK = [
    "floors=[constant]",
    "logger=none",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "callbacks.checkpoint.every_steps=2",
]


def start(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "src/train.py", "-m", *SMALL, *QUICK, f"paths.root={root}", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def finish(process: "subprocess.Popen[str]") -> str:
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed[-3000:]
    return printed


def wait_for_done(sweep: Path, process: "subprocess.Popen[str]", n: int) -> None:
    """Until so many jobs have ended, so that each start gets further than the one before."""
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if (sweep / "sweep.json").exists():
            ledger = Ledger.open(sweep)
            if sum(ledger.state(job) == "done" for job in ledger.jobs) >= n:
                return
        time.sleep(0.02)


def numbers(sweep: Path) -> list[object]:
    rows = json.loads((sweep / "summary.json").read_text())["rows"]
    return [(row["floor"], row["settings"], row["n"], row["metrics"]) for row in rows]


def kill_at_random(tmp_path: Path, grid: list[str], n_jobs: int, kills: int) -> None:
    left_alone, killed = tmp_path / "alone", tmp_path / "killed"
    root = tmp_path / "root"
    finish(start(root, *grid, f"hydra.sweep.dir={left_alone}"))
    rng = random.Random(4)
    for k in range(kills):
        arguments = [*grid, f"hydra.sweep.dir={killed}"] if k == 0 else [*grid, f"resume={killed}"]
        process = start(root, *arguments)
        wait_for_done(killed, process, (k + 1) * n_jobs // (kills + 2))
        time.sleep(rng.random())
        assert process.poll() is None, process.communicate()[0][-3000:]
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    ledger = Ledger.open(killed)
    done = [job for job in ledger.jobs if ledger.state(job) == "done"]
    assert 0 < len(done) < n_jobs
    printed = finish(start(root, *grid, f"resume={killed}"))
    assert "Going on with" in printed
    assert numbers(killed) == numbers(left_alone)
    again = Ledger.open(killed)
    assert [again.state(job) for job in again.jobs] == ["done"] * n_jobs
    ended = [event["job"] for event in again.events() if event["event"] == "done"]
    assert len(ended) == len(set(ended))  # nothing that was done is repeated


def test_two_kills(tmp_path: Path) -> None:
    kill_at_random(tmp_path, ["model=single_task,hard_sharing", "seed=1,2"], 4, 2)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_twenty_four_jobs_and_three_kills(tmp_path: Path) -> None:
    grid = ["model=single_task,hard_sharing,soft_sharing", "backbone=mlp,fm", "seed=1,2,3,4"]
    kill_at_random(tmp_path, grid, 24, 3)
