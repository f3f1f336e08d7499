"""metrics.jsonl survives what runs go through: kill -9, resume, NaN."""

import json
import os
import signal
from pathlib import Path

import pytest

from taskloom.tracking.metrics_file import MetricsFile, read_metrics


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_a_line_is_there_before_the_file_is_closed(path: Path) -> None:
    logger = MetricsFile(path)
    logger.log_metrics({"train/loss": 0.5, "epoch": 1}, step=7)
    row = json.loads(path.read_text())
    assert (row["step"], row["epoch"], row["train/loss"]) == (7, 1, 0.5)
    assert row["time"] > 1e9


def test_a_killed_process_loses_no_line(path: Path) -> None:
    child = os.fork()
    if child == 0:
        logger = MetricsFile(path)
        for step in range(20):
            logger.log_metrics({"train/loss": 1.0}, step=step)
        os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert [row["step"] for row in read_metrics(path)] == list(range(20))


def test_a_torn_line_is_left_out_and_the_next_starts_on_its_own(path: Path) -> None:
    path.write_text('{"step": 1, "a": 1.0}\n{"step": 2, "a": 0.')
    assert [row["step"] for row in read_metrics(path)] == [1]
    MetricsFile(path).log_metrics({"a": 0.5}, step=2)
    assert [(row["step"], row["a"]) for row in read_metrics(path)] == [(1, 1.0), (2, 0.5)]


def test_a_whole_file_gets_no_empty_line(path: Path) -> None:
    MetricsFile(path).log_metrics({"a": 1.0}, step=1)
    MetricsFile(path).log_metrics({"a": 1.0}, step=2)
    assert "\n\n" not in path.read_text()


def test_a_line_torn_inside_a_letter_is_left_out(path: Path) -> None:
    path.write_bytes(b'{"step": 1, "a": 1.0}\n{"step": 2, "\xce')
    assert [row["step"] for row in read_metrics(path)] == [1]


def test_of_repeated_steps_the_last_stands(path: Path) -> None:
    logger = MetricsFile(path)
    for step in (10, 20, 30):
        logger.log_metrics({"train/loss": float(step)}, step=step)
    logger.log_metrics({"val/score": 0.1}, step=30)
    resumed = MetricsFile(path)  # from a checkpoint at step 15
    for step in (20, 30, 40):
        resumed.log_metrics({"train/loss": step + 0.5}, step=step)
    rows = read_metrics(path)
    losses = [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row]
    assert losses == [(10, 10.0), (20, 20.5), (30, 30.5), (40, 40.5)]
    assert [row["val/score"] for row in rows if "val/score" in row] == [0.1]
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)


def test_nan_is_null(path: Path) -> None:
    MetricsFile(path).log_metrics({"val/like/auc": float("nan")}, step=1)
    assert "NaN" not in path.read_text()
    assert read_metrics(path)[0]["val/like/auc"] is None


def test_an_absent_file_has_no_rows(path: Path) -> None:
    assert read_metrics(path) == []
