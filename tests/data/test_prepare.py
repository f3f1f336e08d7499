"""Preparing in real processes: two at once, killed ones, and raw files that change."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"
SCRIPT = """
import sys, time
from pathlib import Path
import polars as pl
from taskloom.data import build as room
from taskloom.data.acquire import Raw
from taskloom.data.datamodule import DataModule
from taskloom.data.table import Account, Table

class Csv:
    name, user, item, time, columns = "csv", "user", "item", "time", None
    def acquire(self, source, raw_dir, say=print):
        return Raw(Path(source), "here", trusted=False)
    def read(self, raw, scratch, say=print):
        print("reading", flush=True)
        frame = pl.read_csv(raw.path)
        return Table(frame.lazy(), Account(read=len(frame)))

if sys.argv[2] == "slow":  # stop in the middle of writing, until killed
    add = room.NpyWriter.add
    def slowly(self, values):
        add(self, values)
        print("writing", flush=True)
        sys.stdin.read()
    room.NpyWriter.add = slowly
kinds = {"user": {"kind": "categorical", "side": "user"}, "item": {"kind": "categorical", "side": "item"}}
data = DataModule(Csv(), "csv", kinds, {"r": {"kind": "regression", "target": "rating"}}, {"kind": "random"}, 8, 8,
                  source=sys.argv[1] + "/t.csv", raw_dir="raw", processed_dir=sys.argv[1] + "/processed")
data.prepare_data()
data.setup()
print("fingerprint", data.fingerprint, len(data.store.split("train")), flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    rows = [f"{i % 7},{i % 5},{i % 4},{i}" for i in range(60)]
    (tmp_path / "t.csv").write_text("user,item,rating,time\n" + "\n".join(rows) + "\n")
    return tmp_path


def start(folder, how="fast"):
    environment = {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), how], text=True, env=environment, **pipes)


def end(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.splitlines()


def stores(folder):
    return sorted(path.name for path in (folder / "processed").iterdir() if not path.name.startswith("."))


def test_two_at_once_give_one_whole_store(folder):
    said = [end(process) for process in [start(folder), start(folder)]]
    assert said[0][-1] == said[1][-1]
    assert stores(folder) == [said[0][-1].split()[1]]


def test_a_killed_build_leaves_nothing_that_looks_finished_and_the_next_one_works(folder):
    process = start(folder, "slow")
    lines = iter(process.stdout.readline, "")
    assert "writing" in [line.strip() for line in (next(lines), next(lines))]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert stores(folder) == []
    assert end(start(folder))[-1].endswith(" 48")
    assert len(stores(folder)) == 1


def test_untouched_files_are_not_read_again_and_changed_ones_are(folder):
    first, again = end(start(folder)), end(start(folder))
    assert "reading" in first
    assert "reading" not in again
    assert first[-1] == again[-1]
    table = folder / "t.csv"
    table.write_text(table.read_text().replace("\n3,", "\n4,", 1))
    changed = end(start(folder))
    assert "reading" in changed
    assert changed[-1].split()[1] != first[-1].split()[1]
    # The same bytes written anew have the fingerprint that they had.
    table.write_text(table.read_text())
    touched = end(start(folder))
    assert "reading" not in touched
    assert touched[-1] == changed[-1]
