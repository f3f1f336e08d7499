"""Searches as a person types them, stopped in the middle and gone on with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from taskloom.config.check import check
from taskloom.config.compose import composer
from taskloom.sweeping.optuna_sweep import check_search, representatives

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
LIMIT = 280
SEARCHES = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml") if "sweeper: optuna" in path.read_text())


def start(arguments: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "src/train.py", "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(arguments: Sequence[str], code: int = 0) -> str:
    process = start(arguments)
    printed, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == code, printed
    return printed


def kill_when(process: "subprocess.Popen[str]", file: Path) -> None:
    """kill -9 of a command and all that it started, as soon as a file is there."""
    began = time.monotonic()
    while not file.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() - began < LIMIT
        time.sleep(0.02)  # there is no event to wait for in another process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def records(sweep: Path) -> dict[str, dict[str, Any]]:
    return {file.parent.name: json.loads(file.read_text()) for file in sorted(sweep.glob("trial-*/run.json"))}


@pytest.mark.timeout(3 * LIMIT)
def test_killed_in_the_middle_of_a_trial(small_run: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    search = [
        *small_run,
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=3",
        "optimizer.lr=tag(log, interval(1e-3, 1e-1))",
        "model=choice(hard_sharing, soft_sharing)",
        "callbacks.checkpoint.every_steps=2",
        f"hydra.sweep.dir={sweep}",
    ]
    kill_when(start(search), sweep / "trial-0001" / "checkpoints" / "last.ckpt")
    before = records(sweep)
    assert (before["trial-0000"]["state"], before["trial-0001"]["state"]) == ("done", "running")
    printed = finished([f"resume={sweep}"])
    after = records(sweep)
    assert list(after) == ["trial-0000", "trial-0001", "trial-0002"]
    assert {record["state"] for record in after.values()} == {"done"}
    assert after["trial-0000"]["created"] == before["trial-0000"]["created"]
    assert [record.get("resumed", 0) for record in after.values()] == [0, 1, 0]
    assert [record["trial"]["params"] for record in list(after.values())[:2]] == [
        record["trial"]["params"] for record in before.values()
    ]
    for record in after.values():
        (best,) = record["best"].values()
        assert record["trial"]["values"] == {"val/score": best["score"]}
        assert record["config"]["optimizer"]["lr"] == record["trial"]["params"]["optimizer.lr"]
    assert "3 done, 0 pruned, 0 failed of 3 trials" in printed
    _assert_best_repeats(sweep, tmp_path, after)


def _assert_best_repeats(sweep: Path, tmp_path: Path, runs: dict[str, dict[str, Any]]) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    shutil.copyfile(sweep / "best.yaml", conf / "experiment" / "found.yaml")
    with composer(conf, "train") as compose:
        config = compose.compose(["experiment=found"]).config
    best = max(runs.values(), key=lambda record: record["trial"]["values"]["val/score"])
    elsewhere = ("paths", "logger")
    assert {k: v for k, v in config.items() if k not in elsewhere} == {
        k: v for k, v in best["config"].items() if k not in elsewhere
    }


@pytest.mark.slow
@pytest.mark.timeout(4 * LIMIT)
def test_several_workers_that_prune_and_are_killed(small_run: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    search = [
        *small_run,
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=14",
        "hydra.sweeper.pruner=median",
        "optimizer.lr=tag(log, interval(1e-5, 1e-1))",
        "method.epochs=4",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        f"hydra.sweep.dir={sweep}",
    ]
    kill_when(start(search), sweep / "trial-0002" / "metrics.jsonl")
    processes = [start([f"resume={sweep}"]) for _ in range(2)]  # two commands on one study
    for process in processes:
        printed, _ = process.communicate(timeout=2 * LIMIT)
        assert process.returncode == 0, printed
    runs = records(sweep)
    assert list(runs) == [f"trial-{number:04d}" for number in range(len(runs))]
    assert sum(record["state"] in ("done", "pruned") for record in runs.values()) == 14
    pruned = [record for record in runs.values() if record["state"] == "pruned"]
    assert pruned
    for record in pruned:
        assert "test" not in record
        assert record["reason"].startswith("stopped after epoch")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["optimizer.lr=interval(1,0)"], "optimizer.lr=interval(1,0): the interval ends below its start"),
        (["features.dropout=interval(0,2)"], "(features.dropout=2.0): features.dropout must be < 1, got 2.0"),
        (["model=choice(hard_sharing,sof_sharing)"], "did you mean soft_sharing?"),
        ([], "There is nothing to search"),
        (["seed=1,2", "hydra.sweeper.objectives=[test/like/auc]"], "take val/like/auc"),
        (["seed=1,2", "hydra.sweeper.objectives=[val/like/acu]"], "the task like has no metric 'acu'"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    small_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    from taskloom.config.command import run_command

    sweep = tmp_path / "sweep"
    line = ["-m", *small_run, "hydra/sweeper=optuna", f"hydra.sweep.dir={sweep}", *arguments]
    assert run_command("train", line, CONF) == 2
    assert sentence in capsys.readouterr().err
    assert not sweep.exists()


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_of_conf_is_ready_to_run(name: str) -> None:
    with composer(CONF, "train") as compose:
        overrides = compose.parse([f"sweep={name}"])
        hydra = compose.hydra([f"sweep={name}"])
        jobs = representatives(hydra, overrides)
        composed = [each.config for each in check(compose, jobs, CONF)]
        check_search(hydra, overrides, composed, compose.compose([f"sweep={name}"]).config, CONF, None)
    assert len(jobs) > 2
