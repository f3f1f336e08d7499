"""A sweep through ray, where it is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs ray and hydra-ray-launcher")
pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs ray and hydra-ray-launcher")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_jobs_run_in_ray_s_workers(small_run: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    done = subprocess.run(
        [
            *(sys.executable, "src/train.py", "-m", *small_run, f"hydra.sweep.dir={sweep}", "seed=1,2"),
            *("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2", "method.epochs=1"),
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in sweep.glob("*/run.json")]
    assert sorted(record["seed"] for record in records) == [1, 2]
    assert {record["state"] for record in records} == {"done"}
    events = [json.loads(line) for line in (sweep / "ledger.jsonl").read_text().splitlines()]
    assert sorted(event["event"] for event in events) == ["done", "done", "started", "started"]
