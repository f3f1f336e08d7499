"""run.json: whole or not at all, valid JSON, and true to how the run ended."""

import json
import os
import re
from pathlib import Path

import pytest
import torch

from taskloom.errors import ConfigError, RunError
from taskloom.tracking.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"config": {"seed": 1}})


def test_update_changes_some_keys_and_keeps_the_others(folder: RunFolder) -> None:
    folder.update(test={"like/auc": 0.8})
    record = RunFolder.open(folder.path).read()
    assert record["config"] == {"seed": 1}
    assert record["test"] == {"like/auc": 0.8}
    assert record["state"] == "running"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_old_record_and_nothing_else(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = folder.file.read_bytes()

    def disk_full(*arguments: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, step, disk_full)
    with pytest.raises(OSError, match="no space left"):
        folder.update(state="done", test={"like/auc": 0.8})
    assert folder.file.read_bytes() == before
    assert [path.name for path in folder.path.iterdir()] == ["run.json"]


def test_the_new_record_is_on_the_disk_before_it_takes_the_old_ones_name(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    folder.update(state="done")
    assert calls == ["fsync", "replace"]


def test_numbers_that_json_lacks_become_null(folder: RunFolder) -> None:
    folder.update(test={"a": float("nan"), "b": [float("inf"), torch.tensor(0.5)]}, path=Path("logs"))

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    record = json.loads(folder.file.read_text(), parse_constant=refuse)
    assert record["test"] == {"a": None, "b": [None, 0.5]}
    assert record["path"] == "logs"


def test_a_second_run_does_not_take_over_a_folder(folder: RunFolder) -> None:
    with pytest.raises(RunError, match="already holds a run"):
        RunFolder.create(folder.path, {})


def test_a_mistake_is_a_reason_without_a_traceback(folder: RunFolder) -> None:
    folder.fail(ConfigError("model.strength must be >= 0, got -1"))
    record = folder.read()
    assert (record["state"], record["reason"]) == ("failed", "model.strength must be >= 0, got -1")
    assert not (folder.path / "traceback.txt").exists()


def test_a_defect_keeps_its_traceback_until_the_run_ends_well(folder: RunFolder) -> None:
    try:
        raise ValueError("shapes differ")
    except ValueError as error:
        folder.fail(error)
    assert folder.read()["reason"] == "ValueError: shapes differ"
    assert "test_run_folder.py" in (folder.path / "traceback.txt").read_text()
    folder.update(note="still failed")
    assert folder.read()["reason"] == "ValueError: shapes differ"
    folder.update(state="done")
    assert "reason" not in folder.read()
    assert not (folder.path / "traceback.txt").exists()


def test_open_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=re.escape(f"{tmp_path} is no run folder: it has no run.json")):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("text", ['{"state": "run', "", "[]", '{"state": "asleep"}'])
def test_open_says_what_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match=r"cannot be read|is not a run's record"):
        RunFolder.open(tmp_path)
