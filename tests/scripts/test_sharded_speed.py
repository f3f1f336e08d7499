"""The script that measures a table on several processes: every way of it, and what it says of bytes."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "sharded_speed.py"


def measure(way):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    given = ["--way", way, "--rows=400000", "--dim=4", "--fields=2", "--batch=50", "--steps=2"]
    done = subprocess.run(
        [sys.executable, *launch, str(SCRIPT), *given],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("way", ["exchange", pytest.param("rowwise", marks=pytest.mark.slow)])
def test_measures_a_way(way):
    found = measure(way)
    assert (found["way"], found["processes"], found["table_mb"]) == (way, 2, 3.2)  # half of the rows
    # Half of the 100 ids are the other's: an id, a row, its gradient.
    expected = 100 * (8 + 2 * 16) / 1e6
    assert found["sent_mb"] == pytest.approx(expected if way == "rowwise" else expected / 2, rel=0.3)
    assert 0 < found["ms_fastest"] <= found["ms"]


def test_what_a_step_of_ddp_sends():
    spec = importlib.util.spec_from_file_location("sharded_speed", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    # Twice the table's gradient less a share, whatever the batch is: what a ring of processes sends.
    assert script.formula("ddp", 1_000_000, 64, ids=1, world=4) == 2 * 3 / 4 * 256e6
