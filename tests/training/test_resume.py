"""kill -9 at any moment, resume, and the weights are bit-equal to those of a run left alone."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from taskloom.errors import RunError
from taskloom.tracking.metrics_file import read_metrics
from taskloom.tracking.run_folder import RunFolder
from taskloom.training.checkpoint import read_checkpoint
from taskloom.training.job import evaluate_job, resume_job, run_job

ROOT = Path(__file__).resolve().parents[2]
# Kills its own process once, at a step or during a validation; a marker beside it keeps it from doing so twice.
KILLER = """
import os, signal
from pathlib import Path
from lightning.pytorch.callbacks import Callback

class Kill(Callback):
    def __init__(self, marker: str, step: int = -1, epoch: int = -1):
        self.marker, self.step, self.epoch = Path(marker), step, epoch

    def strike(self):
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_start(self, trainer, module, batch, i):
        if trainer.global_step == self.step:
            self.strike()

    def on_validation_start(self, trainer, module):
        if trainer.current_epoch == self.epoch:
            self.strike()
"""
# 15 steps an epoch; dropout everywhere, so that the random numbers matter.
SETTINGS = [
    "method.epochs=4",
    "callbacks.checkpoint.every_steps=4",
    "backbone.dropout=0.3",
    "features.dropout=0.1",
    "callbacks.best.patience=null",
    "model.strength=0.1",
]


def weights(folder, name):
    return read_checkpoint(folder / "checkpoints" / name)["state_dict"]


def epoch_means(folder):
    rows = read_metrics(folder / "metrics.jsonl")
    return [(row["epoch"], row["train/loss"]) for row in rows if "train/loss" in row]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "killer.py"
    path.write_text(KILLER)
    return path


@pytest.fixture(scope="module")
def alone(plugin, tmp_path_factory, small_run):
    """A run left alone, with the same callback whose marker keeps it quiet."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "marker").touch()
    train(small_run, plugin, folder, 0, -1)
    return folder / "run"


def train(small_run, plugin, folder, step, epoch):
    killer = f"{{_target_: killer.Kill, marker: {folder / 'marker'}, step: {step}, epoch: {epoch}}}"
    return subprocess.run(
        [
            sys.executable,
            str(ROOT / "src/train.py"),
            *small_run,
            *SETTINGS,
            f"plugins=[{plugin}]",
            f"+callbacks.killer={killer}",
            f"hydra.run.dir={folder / 'run'}",
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("step", "epoch"),
    [(0, -1), (2, -1), (22, -1), (30, -1), (-1, 1)],
    ids=[
        "before the first step",
        "before the first periodic checkpoint",
        "in mid-epoch",
        "between two",
        "in validation",
    ],
)
def test_a_killed_run_ends_with_the_weights_of_one_left_alone(alone, plugin, small_run, tmp_path, step, epoch, capsys):
    assert train(small_run, plugin, tmp_path, step, epoch).returncode == -signal.SIGKILL
    run = tmp_path / "run"
    assert json.loads((run / "run.json").read_text())["state"] == "running"
    record = resume_job(run)
    assert record["state"] == "done"
    assert record["resumed"] == 1
    for name in ("last.ckpt", "best.ckpt"):
        expected, got = weights(alone, name), weights(run, name)
        assert expected.keys() == got.keys()
        for key in expected:
            assert torch.equal(expected[key], got[key]), f"{name}: {key}"
    reference = json.loads((alone / "run.json").read_text())
    assert record["test"] == reference["test"]
    assert record["best"] == reference["best"]
    assert not list((run / "checkpoints").glob(".*"))
    assert epoch_means(run) == epoch_means(alone)


def test_evaluate_repeats_the_numbers(alone, capsys):
    result = evaluate_job(alone)
    assert result["same"] is True
    assert result["test"] == json.loads((alone / "run.json").read_text())["test"]
    assert "the same numbers as in run.json" in capsys.readouterr().out


def test_a_run_without_checkpoint_begins_anew(compose, tmp_path, capsys):
    config = compose()
    run_job(config, tmp_path / "whole")
    run_job(config, tmp_path / "half")
    record = json.loads((tmp_path / "half/run.json").read_text())
    (tmp_path / "half/run.json").write_text(json.dumps({**record, "state": "failed"}))
    for path in (tmp_path / "half/checkpoints").iterdir():
        path.unlink()
    resume_job(tmp_path / "half")
    for key, value in weights(tmp_path / "whole", "best.ckpt").items():
        assert torch.equal(value, weights(tmp_path / "half", "best.ckpt")[key]), key


def test_a_changed_plugin_stops_a_resumption(compose, tmp_path, capsys):
    plugin = tmp_path / "mine.py"
    plugin.write_text("x = 1\n")
    run_job(compose(f"plugins=[{plugin}]", "debug=step"), tmp_path / "run")
    record = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps({**record, "state": "failed"}))
    plugin.write_text("x = 2\n")
    with pytest.raises(RunError, match="a plugin has changed since the run began"):
        resume_job(tmp_path / "run")


def test_a_run_that_is_still_running_is_not_resumed(compose, tmp_path, capsys):
    run_job(compose("debug=step"), tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    folder.update(state="running")
    with folder.hold(), pytest.raises(RunError, match="is still running in another process"):
        resume_job(folder.path)
    assert folder.read()["state"] == "running"
    assert resume_job(folder.path)["state"] == "done"


def test_a_folder_without_checkpoint_cannot_be_evaluated(compose, tmp_path, capsys):
    run_job(compose("debug=step"), tmp_path / "run")
    (tmp_path / "run/checkpoints/best.ckpt").unlink()
    with pytest.raises(RunError, match=r"has no checkpoints/best.ckpt yet; train it first"):
        evaluate_job(tmp_path / "run")
    RunFolder(tmp_path / "run").update(freed=["best.ckpt"])
    with pytest.raises(RunError, match=r"its checkpoints were deleted to free the disk"):
        evaluate_job(tmp_path / "run")
