"""The facts in run.json: right where they can be checked, and never a reason to fail."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
import torch

from taskloom.tracking import machine
from taskloom.tracking.machine import describe, peak_memory_mb, seconds_since_start


def test_facts_are_plain_and_name_no_host() -> None:
    facts = describe()
    text = json.dumps(facts)
    assert facts["versions"]["torch"] == torch.__version__
    assert set(machine.PACKAGES) | {"python"} == set(facts["versions"])
    assert facts["machine"]["threads"] == torch.get_num_threads()
    assert facts["machine"]["memory_mb"] > 100
    assert f'"{socket.gethostname()}"' not in text


def test_commit_and_whether_files_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(key, "someone")
    assert describe(tmp_path)["git"] is None
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert describe(tmp_path)["git"] == {"commit": None, "dirty": False}
    (tmp_path / "a.py").write_text("1")
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "commit", "-q", "-m", "a"], check=True)
    git = describe(tmp_path)["git"]
    assert len(git["commit"]) == 40
    assert not git["dirty"]
    (tmp_path / "b.py").write_text("2")
    assert describe(tmp_path)["git"]["dirty"]
    (tmp_path / "inside").mkdir()
    assert describe(tmp_path / "inside")["git"] is None  # not the project's own


def test_no_git_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe(tmp_path)["git"] is None


def test_peak_memory_is_in_mebibytes() -> None:
    before = peak_memory_mb()["host"]
    block = bytearray(os.urandom(1)) * (400 * 2**20)
    grown = peak_memory_mb()["host"]
    assert len(block) > 0
    assert grown >= 400
    assert grown - before < 500


def test_seconds_since_start_grow_with_the_clock() -> None:
    began, first = time.perf_counter(), seconds_since_start()
    assert 0 < first < 3600 * 24
    while time.perf_counter() - began < 0.05:
        pass
    assert 0.02 <= seconds_since_start() - first < 5
