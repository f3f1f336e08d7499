"""What a job costs beside its training is read off the ledger and the jobs' own records."""

import json
import sys
from pathlib import Path

import pytest

from taskloom.sweeping.ledger import Ledger

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import job_overhead


def test_what_is_beside_training(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "sweep", [], "grid")
    ledger.add([(f"seed-{n}", [f"seed={n}"], "") for n in (1, 2, 3)])
    lines = []
    for n, (second, training) in enumerate([(10, 5.0), (12, 1.5), (15, 2.0)], start=1):
        (ledger.path / f"seed-{n}").mkdir()
        (ledger.path / f"seed-{n}" / "run.json").write_text(json.dumps({"state": "done", "seconds": training}))
        lines.append({"time": f"2026-01-01T00:00:{second}+00:00", "job": f"seed-{n}", "event": "done"})
    (ledger.path / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert job_overhead.overheads(ledger.path) == pytest.approx([0.5, 1.0])
