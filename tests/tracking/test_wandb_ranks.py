"""System metrics of each rank: one run, a label a rank, and a sentence where there is no server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from standins.wandb_server import StandIn
from taskloom.tracking.wandb_ranks import join_first_rank, rank_settings

ROOT = Path(__file__).resolve().parents[2]


def train(small_run: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Two ranks, by the real command."""
    settings = [word for word in small_run if word not in ("logger=none", "trainer.accelerator=cpu")]
    words = ["trainer=ddp_cpu", "trainer.devices=2", "method.epochs=1", "logger.wandb.system_metrics=each_rank"]
    command = [sys.executable, "src/train.py", *settings, *words]
    own = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=800)


def test_only_the_first_rank_has_a_say_in_how_the_run_ends() -> None:
    first, second = rank_settings(0), rank_settings(1)
    assert first["x_label"] != second["x_label"]
    assert (first["x_primary"], first["x_update_finish_state"]) == (True, True)
    assert (second["x_primary"], second["x_update_finish_state"]) == (False, False)


@pytest.mark.parametrize("section", [{}, {"wandb": {"system_metrics": "each_rank"}}])
def test_alone_there_is_nothing_to_join(section: dict[str, object]) -> None:
    join_first_rank({"logger": section})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_rank_writes_its_system_metrics_to_the_one_run(small_run: list[str], wandb_server: StandIn) -> None:
    done = train(small_run, **wandb_server.environment())
    assert done.returncode == 0, done.stderr
    (run,) = wandb_server.runs.values()
    named = {key.rpartition("/l:")[2] for row in run.events for key in row if "/l:" in key}
    assert named == {"rank 0", "rank 1"}
    assert run.exit_code == 0
    assert [row["epoch"] for row in run.history if "val/score" in row] == [0]
    assert "test/like/auc" in run.summary
    assert run.summary["val/score"] is not None
    assert "W&B:" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_a_server_there_is_a_sentence_once(small_run: list[str]) -> None:
    done = train(small_run)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("W&B:")]
    assert said == ["W&B: system_metrics=each_rank takes its server; offline there are the first rank's alone"]
