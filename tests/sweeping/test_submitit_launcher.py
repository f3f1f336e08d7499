"""A sweep through submitit's local executor: what SLURM does, without SLURM."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="needs the extra slurm")
pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra slurm")
ROOT = Path(__file__).resolve().parents[2]

# Preflight, in the command's own process, imports a plugin as well: it has to pass there.
PLUGIN = """
import os, signal

if "SUBMITIT_LOCAL_JOB_ID" in os.environ:
    {end}
"""


@pytest.mark.timeout(600)
def test_each_job_runs_by_itself_and_those_that_fail_are_told(small_run: list[str], tmp_path: Path) -> None:
    fails, dies, sweep = tmp_path / "fails.py", tmp_path / "dies.py", tmp_path / "sweep"
    fails.write_text(PLUGIN.format(end="raise ValueError('no luck')"))
    dies.write_text(PLUGIN.format(end="os.kill(os.getpid(), signal.SIGKILL)"))
    done = subprocess.run(
        [
            *(sys.executable, "src/train.py", "-m", *small_run, f"hydra.sweep.dir={sweep}"),
            *(f"plugins=[],[{fails}],[{dies}]", "hydra/launcher=submitit_local", "method.epochs=1"),
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in sweep.glob("*/run.json")]
    states = {Path(*record["config"]["plugins"]).stem: record["state"] for record in records}
    assert states == {"": "done", "fails": "failed", "dies": "running"}
    assert "2 of 3 jobs failed" in done.stderr
    assert "no luck" in done.stderr
    assert "it was killed" in done.stderr
    events = [json.loads(line) for line in (sweep / "ledger.jsonl").read_text().splitlines()]
    assert sorted(event["event"] for event in events) == ["done", "failed", "started", "started", "started"]
    pids = {event["pid"] for event in events}
    assert len(pids) == 3, "each job has a process of its own"
