"""resume= and run=: which folder is meant, and what is refused."""

import re
from pathlib import Path

import pytest

from taskloom.config.command import run_command
from taskloom.tracking.run_folder import RunFolder


def make(logs: Path, name: str, state: str) -> Path:
    folder = RunFolder.create(logs / name, {"config": {}})
    folder.update(state=state)
    return folder.path


@pytest.fixture
def logs(conf: Path) -> Path:
    return conf.parent / "logs" / "train"


def test_a_folder_is_resumed(conf: Path, job, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(logs, "multiruns/x/0_model=a,seed=1", "running")
    monkeypatch.chdir(logs)
    assert run_command("train", ["resume=multiruns/x/0_model=a,seed=1"], conf) == 0
    assert job.calls == [("resume", logs / "multiruns/x/0_model=a,seed=1")]


def test_last_is_the_latest_that_is_not_done(conf: Path, job, logs: Path) -> None:
    make(logs, "runs/c", "failed")
    last = make(logs, "multiruns/a/0", "running")
    make(logs, "runs/d", "done")
    assert run_command("train", ["resume=last"], conf) == 0
    assert job.calls == [("resume", last)]


def test_last_is_looked_for_where_paths_say(conf: Path, job, tmp_path: Path) -> None:
    last = make(tmp_path / "elsewhere/train", "runs/a", "running")
    assert run_command("train", ["resume=last", f"paths.logs={tmp_path}/elsewhere"], conf) == 0
    assert job.calls == [("resume", last)]


def test_a_finished_run_is_left_alone(conf: Path, job, logs: Path, capsys) -> None:
    folder = make(logs, "runs/a", "done")
    assert run_command("train", [f"resume={folder}"], conf) == 0
    assert "is done: nothing to resume" in capsys.readouterr().out
    assert job.calls == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["resume=last"], 1, "no run in .*train is running or failed"),
        (["resume=nowhere"], 1, "nowhere is no.* run folder: it has no run.json"),
        (["resume=last", "seed=3"], 2, "resume=last stands alone, .* leave out seed=3"),
        (["-m", "resume=nowhere"], 1, "nowhere is no sweep: it has no sweep.json"),
        (["-m", "resume=last"], 1, "no sweep in .*multiruns; name its folder"),
        (["resume=a", "resume=b"], 2, "stands alone, .* leave out the other resume="),
        (["resume=last", "paths.lgs=/tmp"], 2, "Unknown key paths.lgs: did you mean logs?"),
    ],
)
def test_refused(arguments: list[str], code: int, message: str, conf: Path, job, capsys) -> None:
    assert run_command("train", arguments, conf) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message.replace("?", r"\?"), line)
    assert job.calls == []


def test_a_job_that_fails_again(conf: Path, job, logs: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    folder = make(logs, "runs/a", "failed")
    monkeypatch.setattr(job, "resume_job", lambda folder: 1 / 0)
    assert run_command("train", [f"resume={folder}"], conf) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_evaluate(conf: Path, job, logs: Path, capsys) -> None:
    make(logs, "runs/a", "done")
    last = make(logs, "runs/b", "done")
    open_run = make(logs, "runs/c", "running")
    assert run_command("evaluate", ["run=last"], conf) == 0
    assert job.calls == [("evaluate", last)]
    assert run_command("evaluate", [f"run={open_run}"], conf) == 1
    assert "is running, not done" in capsys.readouterr().err
    assert run_command("evaluate", [], conf) == 2
    assert "run=<run folder>" in capsys.readouterr().err
