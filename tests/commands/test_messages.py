"""What a person is told, with which exit code, and what is left on the disk: real configs on small data."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from taskloom.config.command import FAILED, MISTAKE, OK, run_command
from taskloom.tracking.metrics_file import read_metrics
from taskloom.training.checkpoint import read_checkpoint

CONF = Path(__file__).resolve().parents[2] / "conf"
Train = Callable[..., int]


@pytest.fixture
def train(small_run: list[str], tmp_path: Path) -> Train:
    """Calls the train command on small data; overrides take the place of those of `small_run`."""

    def call(*overrides: str, without: tuple[str, ...] = ()) -> int:
        given = {override.split("=")[0].lstrip("+~") for override in overrides}
        keep = [o for o in small_run if o.split("=")[0] not in {*given, *without, "paths.root"}]
        return run_command("train", [*keep, f"paths.root={tmp_path}", *overrides], CONF)

    return call


def records(root: Path, pattern: str = "train/runs/*") -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((root / "logs").glob(f"{pattern}/run.json"))]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.tasks.like.kind=bnary"], "data.tasks.like.kind: no head of kind 'bnary'; there are binary, "),
        (
            ["+data.tasks.like.options={hiden: [8]}"],
            "Unknown key data.tasks.like.options.hiden: did you mean hidden?",
        ),
        (
            ["+data.tasks.like.options={dropout: 1}"],
            "data.tasks.like.options.dropout must be < 1, got 1",
        ),
        (
            ["model=single_task", "features.views=shared"],
            "features.views=shared does not fit SingleTask, which reads per_task; set features.views=",
        ),
        (
            ["trainer=gpu"],
            "trainer.accelerator is gpu, but PyTorch finds none on this machine: choose trainer=cpu",
        ),
        (
            ["floors=[bais]"],
            "floors: no floor 'bais': did you mean bias? there are bias, boosting, constant, factorisation, ",
        ),
        (
            ["parameter_groups.trunks.pattern='('"],
            "parameter_groups.trunks.pattern: '(' is no regular expression",
        ),
        (["backbone=mlp", "backbone.hidden=[]"], "backbone.hidden must have at least 1 entry, got []"),
        (
            ["data.split.kind=randm"],
            "data.split.kind must be random, per_user, leave_last, global_time, group or column, got 'randm'",
        ),
        (["+data.features.age.column=agee"], "data.features.age.column: the data has no column 'agee'"),
        (
            ["data.tasks.like.target='rating >>'"],
            "data.tasks.like.target: 'rating >>' is neither a column nor",
        ),
        (["tasks=[]"], "tasks: the list is empty; name at least one of like, rating"),
    ],
)
def test_a_mistake_is_told_before_data_is_touched(
    overrides: list[str],
    message: str,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    code = train(*overrides, without=("trainer.accelerator",))
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1, printed.err
    assert (code, printed.out) == (MISTAKE, "")
    assert list(tmp_path.iterdir()) == []


def test_a_kind_that_is_not_trained_is_no_mistake(train: Train, tmp_path: Path, capsys: Any) -> None:
    assert train("data.tasks.rating.kind=nobodys", "tasks=[like]", "debug=step") == OK


def damaged(folder: Path, films: Path) -> dict[str, Path]:
    """Sources that cannot be read."""
    whole = folder / "whole.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in films.iterdir():
            archive.write(file, f"ml-100k/{file.name}")
    cut = folder / "cut.zip"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    outside = folder / "outside.zip"
    shutil.copy(whole, outside)
    with zipfile.ZipFile(outside, "a") as archive:
        archive.writestr("../evil.txt", "x")
    return {"cut": cut, "outside": outside, "absent": folder / "nowhere.zip"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cut", "cut.zip: the archive is damaged or cut off"),
        ("outside", "outside.zip: its member '../evil.txt' would be written outside its folder"),
        ("absent", "nowhere.zip is not there; give an existing zip, folder or file"),
    ],
)
def test_a_source_that_cannot_be_read(
    name: str, message: str, train: Train, films: Path, tmp_path_factory: Any, tmp_path: Path, capsys: Any
) -> None:
    source = damaged(tmp_path_factory.mktemp("sources"), films)[name]
    assert train(f"data.source={source}") == FAILED
    printed = capsys.readouterr().err
    assert message in printed
    assert len(printed.splitlines()) == 1, printed
    (record,) = records(tmp_path)
    assert record["state"] == "failed"
    assert record["reason"] + "\n" == printed
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []
    assert not list(tmp_path.rglob("evil.txt"))


def test_no_network_and_no_source(train: Train, tmp_path: Path, capsys: Any) -> None:
    nowhere = ["+data.reader.address=http://127.0.0.1:1/ml-100k.zip", "+data.reader.pip=[/bin/false]"]
    assert train("data.source=null", *nowhere) == FAILED
    printed = capsys.readouterr()
    assert "movielens_100k: trying the home page http://127.0.0.1:1/ml-100k.zip" in printed.out
    assert "movielens_100k: trying the copy in the wheel of recbole==1.2.1" in printed.out
    assert printed.err.startswith("movielens_100k could not be fetched (")
    assert printed.err.endswith("get the data set elsewhere and give data.source=<zip, folder or file>\n")
    assert len(printed.err.splitlines()) == 1
    assert records(tmp_path)[0]["state"] == "failed"
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_a_loss_that_leaves_the_numbers_is_a_failed_run(train: Train, tmp_path: Path, capsys: Any) -> None:
    wild = [
        "optimizer=sgd",
        "optimizer.lr=1e30",
        "trainer.gradient_clip_val=null",
        "trainer.log_every_n_steps=1",
    ]
    assert train(*wild) == FAILED
    printed = capsys.readouterr().err
    assert "at step" in printed
    assert "lower optimizer.lr" in printed
    assert "Traceback" not in printed
    (record,) = records(tmp_path)
    assert record["state"] == "failed"
    assert record["reason"].startswith("the loss is ")
    assert not list(tmp_path.rglob("traceback.txt"))


def test_a_defect_is_a_failed_run_with_its_traceback(train: Train, tmp_path: Path, capsys: Any) -> None:
    plugin = tmp_path / "broken_callback.py"
    plugin.write_text(
        "from lightning.pytorch.callbacks import Callback\n"
        "class Broken(Callback):\n"
        "    def on_train_epoch_end(self, trainer, module):\n"
        "        raise ValueError('of my own making')\n"
    )
    broken = "+callbacks.broken={_target_: broken_callback.Broken}"
    assert train(f"plugins=[{plugin}]", broken) == FAILED
    assert "ValueError: of my own making" in capsys.readouterr().err
    (record,) = records(tmp_path)
    assert (record["state"], record["reason"]) == ("failed", "ValueError: of my own making")
    (traceback,) = tmp_path.rglob("traceback.txt")
    assert "broken_callback.py" in traceback.read_text()


def test_one_failing_job_does_not_stop_the_others(train: Train, tmp_path: Path, capsys: Any) -> None:
    wild = [
        "optimizer=sgd",
        "trainer.gradient_clip_val=null",
        "trainer.log_every_n_steps=1",
        "method.epochs=1",
    ]
    assert train("-m", "optimizer.lr=1e30,0.01", *wild) == FAILED
    done, failed = records(tmp_path, "train/multiruns/*/*")  # by the names of their folders
    assert failed["state"] == "failed"
    assert done["state"] == "done"
    printed = capsys.readouterr()
    assert "1 of 2 jobs failed" in printed.err
    assert "failed: optimizer.lr=1e+30: the loss is " in printed.err
    rows = [line.split()[:4] for line in printed.out.splitlines()]
    assert ["0.01", "1", f"{done['test']['like/auc']:.4f}", f"{done['test']['rating/rmse']:.4f}"] in rows


def test_one_task_alone(train: Train, tmp_path: Path, capsys: Any) -> None:
    assert train("tasks=[like]") == OK
    (record,) = records(tmp_path)
    assert {key.split("/")[0] for key in record["test"]} == {"like"}
    assert {key.split("/")[0] for scores in record["floors"].values() for key in scores} == {"like"}
    printed = capsys.readouterr().out
    assert "like · binary · 120 test rows" in printed
    assert "rating ·" not in printed


def test_the_order_of_tasks_is_that_of_the_list(train: Train, tmp_path: Path, capsys: Any) -> None:
    assert train("tasks=[rating,like]", "debug=step") == OK
    assert "tasks rating, like" in capsys.readouterr().out


def test_debug_step_takes_one_step_of_each(train: Train, tmp_path: Path, capsys: Any) -> None:
    assert train("debug=step", without=("floors", "logger", "method.epochs")) == OK
    (record,) = records(tmp_path, "debug/runs/*")
    assert record["state"] == "done"
    assert set(record["test"]) >= {"like/auc", "rating/rmse"}
    assert not (tmp_path / "logs/train").exists()
    (run,) = (tmp_path / "logs/debug/runs").iterdir()
    assert {row["step"] for row in read_metrics(run / "metrics.jsonl")} <= {0, 1}
    assert read_checkpoint(run / "checkpoints/last.ckpt")["global_step"] == 1


@pytest.mark.parametrize(
    "model",
    ["soft_sharing", *(pytest.param(m, marks=pytest.mark.slow) for m in ("hard_sharing", "single_task"))],
)
def test_debug_overfit_learns_a_batch_by_heart(model: str, train: Train, tmp_path: Path, capsys: Any) -> None:
    own = ("method.epochs", "features.dim", "backbone.hidden", "floors", "logger")
    assert train("debug=overfit", f"model={model}", without=own) == OK
    (record,) = records(tmp_path, "debug/runs/*")
    assert record["test"]["like/auc"] > 0.99
    assert record["test"]["rating/rmse"] < 0.25  # of a standard deviation of 1.16


@pytest.mark.parametrize(("batch_size", "steps"), [(16, 20), (200, 3)], ids=["60 batches", "5 batches"])
def test_debug_profile_shows_where_the_time_goes(
    batch_size: int, steps: int, train: Train, tmp_path: Path, capsys: Any
) -> None:
    own = ("floors", "logger", "method.epochs")
    assert train("debug=profile", f"data.batch_size={batch_size}", without=own) == OK
    printed = capsys.readouterr().out
    assert f"{steps} training steps; the whole trace is in" in printed
    assert "aten::" in printed
    (trace,) = (tmp_path / "logs/debug/runs").glob("*/trace.json")
    assert json.loads(trace.read_text())["traceEvents"]


def test_a_run_is_resumed_and_tested_from_another_folder(
    train: Train, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A path that was relative where the run began is found from anywhere."""
    monkeypatch.chdir(films.parent)
    assert train("debug=step", f"data.source={films.name}") == OK
    (run,) = (tmp_path / "logs/debug/runs").iterdir()
    monkeypatch.chdir(tmp_path)
    assert run_command("evaluate", [f"run={run}"], CONF) == OK
    assert "the same numbers as in run.json" in capsys.readouterr().out
