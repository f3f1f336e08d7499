"""Other work on the processors of a training: how much there is, and when it is worth a word."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from taskloom.tracking.crowding import Reading, crowding, read

BURN = "import time\nbegan = time.process_time()\nwhile time.process_time() - began < 0.3: pass"
BEGIN = Reading(wall=0, own=0, all=0, cpus=8)


def after(others: float, own: float = 8.0, seconds: float = 10.0) -> Reading:
    """The clocks after an epoch in which other work had so many processors."""
    return replace(BEGIN, wall=seconds, own=own * seconds, all=(own + others) * seconds)


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="only Linux tells what its processors do")
def test_another_process_is_other_work() -> None:
    begin = read()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    end = read()
    assert begin is not None
    assert end is not None
    assert end.all - begin.all >= 0.28  # counted in hundredths
    assert end.own - begin.own < 0.2


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="only Linux tells what its processors do")
def test_own_work_is_own() -> None:
    begin = read()
    exec(BURN, {})
    end = read()
    assert begin is not None
    assert end is not None
    assert end.own - begin.own >= 0.3
    assert end.all - begin.all >= 0.28


def test_idle_time_and_other_processors_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 3}, raising=False)
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    stat = tmp_path / "stat"
    stat.write_text(
        "cpu  9 9 9 9 9 9 9 9 0 0\n"
        "cpu0 900 900 900 900 900 900 900 900 0 0\n"
        "cpu1 100 20 30 5000 700 4 5 6 0 0\n"
        "cpu10 900 900 900 900 900 900 900 900 0 0\n"
        "cpu3 200 0 0 5000 700 0 0 0 50 0\n"
        "intr 1 2 3\n"
    )
    now = read(stat)
    assert now is not None
    assert now.all == pytest.approx(3.65)
    assert now.cpus == 2


@pytest.mark.parametrize("text", [None, "", "cpu0 1 2 3 4 5 6 7 8 0 0\n"])
def test_where_the_system_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    if text is not None:
        (tmp_path / "stat").write_text(text)
    assert read(tmp_path / "stat") is None


@pytest.mark.parametrize(
    ("others", "threads", "fewer"),
    [(1.0, 8, 7), (0.5, 8, 7), (3.4, 8, 5), (12.0, 8, 1), (5.0, 4, 3)],
)
def test_threads_that_lose_a_processor_are_told(others: float, threads: int, fewer: int) -> None:
    told = crowding(BEGIN, after(others), threads)
    assert told is not None
    assert f"keeps {others:.1f} of 8 processors busy" in told
    assert f"trainer.threads={fewer} " in told


@pytest.mark.parametrize(
    ("end", "threads"),
    [
        (after(others=0.4), 8),
        (after(others=4.0, own=4.0), 4),  # as many as are left, such as beside the other ranks of a run
        (after(others=7.9, own=0.1), 1),
        (after(others=3.0, seconds=0.9), 8),
    ],
)
def test_nothing_to_tell(end: Reading, threads: int) -> None:
    assert crowding(BEGIN, end, threads) is None
