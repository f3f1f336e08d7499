"""A rank that is killed, raises, or loses who started it: its job ends alone, and says why."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from taskloom.tracking.metrics_file import read_metrics
from taskloom.tracking.run_folder import RunFolder
from taskloom.training.checkpoint import read_checkpoint
from taskloom.training.job import resume_job

ROOT = Path(__file__).resolve().parents[2]
# Strikes once a run, on one rank before one step; notes the processes of the ranks.
STRIKER = """
import os, signal, time
from pathlib import Path
from lightning.pytorch.callbacks import Callback
from taskloom.errors import RunError

class Strike(Callback):
    def __init__(self, how: str, rank: int = 1, step: int = 22, marker: str | None = None):
        self.how, self.rank, self.step, self.marker = how, rank, step, marker

    def on_train_start(self, trainer, module):
        if self.marker:
            with Path(self.marker).open("a") as file:
                file.write(f"{os.getpid()}\\n")

    def on_train_batch_start(self, trainer, module, batch, i):
        if trainer.global_rank != self.rank or trainer.global_step != self.step or i == 0:
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "kill_parent" and not Path(self.marker + ".struck").exists():
            Path(self.marker + ".struck").touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(100)
        elif self.how == "wait" and self.marker:
            Path(self.marker + ".struck").touch()
            time.sleep(100)
        elif self.how == "sentence":
            raise RunError("this rank has had enough")
        elif self.how == "defect":
            raise ZeroDivisionError("nothing to divide by")
        elif self.how == "leave":
            os._exit(3)
"""
# 15 steps an epoch; dropout everywhere, so that each rank's random numbers matter.
SETTINGS = [
    "trainer=ddp_cpu",
    "callbacks.checkpoint.every_steps=4",
    "backbone.dropout=0.3",
    "features.dropout=0.1",
    "floors=[constant]",
]

Train = Callable[..., subprocess.Popen[str]]

pytestmark = pytest.mark.timeout(900)  # several starts each, and a busy machine has its own idea of time


@pytest.fixture
def train(small_run: list[str], tmp_path: Path) -> Train:
    """Starts the train command on two ranks, with the striker."""
    plugin = tmp_path / "striker.py"
    plugin.write_text(STRIKER)

    def start(*overrides: str, **strike: Any) -> subprocess.Popen[str]:
        striker = ", ".join(f"{key}: {value}" for key, value in {"_target_": "striker.Strike", **strike}.items())
        return subprocess.Popen(
            [
                sys.executable,
                str(ROOT / "src/train.py"),
                *small_run,
                *SETTINGS,
                f"plugins=[{plugin}]",
                f"+callbacks.strike={{{striker}}}",
                *overrides,
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def until(what: Callable[[], bool], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def test_a_killed_rank_ends_its_job_alone(train: Train, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    running = train("-m", "callbacks.strike.how=kill,none", f"hydra.sweep.dir={sweep}", "logger=wandb", how="none")
    out, err = running.communicate(timeout=400)
    assert running.returncode == 1, err
    folders = {path.name: path for path in sweep.glob("[!.]*/")}
    assert len(folders) == 2  # no rank made one of its own
    killed, good = (next(path for name, path in folders.items() if how in name) for how in ("kill", "none"))
    why = "rank 1 of 2 ended: signal 9 (SIGKILL, as when memory runs out)"
    record = RunFolder(killed).read()
    assert (record["state"], record["reason"]) == ("failed", why)
    assert not (killed / "traceback.txt").exists()
    assert err.count(why) == 2  # as it happens, and in the list at the end
    assert "Traceback" not in err
    record = RunFolder(good).read()
    assert (record["state"], record["ranks"]) == ("done", 2)
    assert out.count("test again") + out.count("model soft_sharing: ") == 3  # the first ranks alone have spoken
    for folder in (killed, good):
        (run,) = folder.glob("wandb/offline-run-*")
        tool = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", run]
        rows = subprocess.run(tool, capture_output=True, text=True).stdout.splitlines()
        ended = [row["exit"].get("exit_code", 0) for row in map(json.loads, rows) if row["type"] == "exit"]
        assert ended == [int(folder == killed)]
        until(lambda folder=RunFolder(folder): not folder.held(), seconds=20)
    assert not list((tmp_path / "root").glob("logs/train/runs/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("sentence", "this rank has had enough"),
        ("defect", "ZeroDivisionError: nothing to divide by"),
        ("leave", "rank 1 of 2 ended: exit code 3"),
    ],
)
def test_its_reason_is_told_once(train: Train, tmp_path: Path, how: str, reason: str) -> None:
    running = train(f"hydra.run.dir={tmp_path / 'run'}", how=how)
    _, err = running.communicate(timeout=300)
    assert running.returncode == 1
    record = RunFolder(tmp_path / "run").read()
    assert (record["state"], record["reason"]) == ("failed", reason)
    if how == "defect":
        trace = (tmp_path / "run/traceback.txt").read_text()
        assert "on rank 1:" in trace
        assert "striker.py" in trace
        assert err.rstrip().endswith(reason)
    else:
        assert err.strip() == reason
        assert not (tmp_path / "run/traceback.txt").exists()


@pytest.mark.slow
def test_ranks_end_with_who_started_them_and_go_on_as_if_nothing_had_been(train: Train, tmp_path: Path) -> None:
    # The same number of callbacks in both, which checkpoints count.
    running = train(f"hydra.run.dir={tmp_path / 'alone'}", how="none")
    assert running.communicate(timeout=300)
    assert running.returncode == 0
    marker = tmp_path / "pids"
    running = train(f"hydra.run.dir={tmp_path / 'run'}", how="kill_parent", rank=0, marker=marker)
    running.wait(timeout=300)
    assert running.returncode == -signal.SIGKILL
    pids = [int(line) for line in marker.read_text().split()]
    assert len(pids) == 2
    folder = RunFolder(tmp_path / "run")
    until(lambda: not any(alive(pid) for pid in pids) and not folder.held(), seconds=20)
    assert folder.read()["state"] == "running"
    record = resume_job(folder.path)
    assert (record["state"], record["resumed"], record["ranks"]) == ("done", 1, 2)
    reference = RunFolder(tmp_path / "alone")
    for file in ("last.ckpt", "best.ckpt"):
        expected, got = (read_checkpoint(run.checkpoints / file) for run in (reference, folder))
        for key, value in expected["state_dict"].items():
            assert torch.equal(got["state_dict"][key], value), f"{file}: {key}"
    states = expected_rng(reference)
    assert len(states) == 2
    assert not torch.equal(states[0]["torch"], states[1]["torch"])  # each rank draws its own dropout
    assert record["test"] == reference.read()["test"]
    assert len(epoch_means(reference)) == 2
    # The first half of the epoch in which it was killed counts with the rows of both ranks.
    assert epoch_means(folder) == pytest.approx(epoch_means(reference), rel=1e-6)


def epoch_means(run: RunFolder) -> list[float]:
    return [row["train/loss"] for row in read_metrics(run.metrics) if "train/loss" in row]


def expected_rng(run: RunFolder) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_checkpoint(run.checkpoints / "last.ckpt")["callbacks"]["Checkpoint"]["rng"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_who_stops_the_command_stops_the_ranks(train: Train, tmp_path: Path, number: signal.Signals) -> None:
    marker = tmp_path / "pids"
    running = train(f"hydra.run.dir={tmp_path / 'run'}", how="wait", marker=marker)
    until(lambda: Path(f"{marker}.struck").exists())
    # A terminal sends Ctrl-C to all of its processes, somebody who kills a process to that one.
    (os.killpg if number == signal.SIGINT else os.kill)(running.pid, number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "to go on: python src/train.py resume=" in err
    assert "Traceback" not in err
    assert not any(alive(int(pid)) for pid in marker.read_text().split())
    assert json.loads((tmp_path / "run/run.json").read_text())["reason"] == "interrupted"
