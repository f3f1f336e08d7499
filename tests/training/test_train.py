"""What a process is set to before it trains: a real one, because it holds for the rest of it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOK = """
import sys, torch
from pathlib import Path
from taskloom.config.command import run_command
from taskloom.training import train

looked, fit = [], train.fit
def look(*given):
    tiny = torch.full((1_000_000,), 1e-30, requires_grad=True)
    below = tiny * 1e-10
    (tiny * 1e-20 * 1e-20).sum().backward()
    looked.append((torch.get_num_threads(), bool(below.any()), bool(tiny.grad.any())))
    return fit(*given)
train.fit = look
assert run_command("train", sys.argv[1:], Path("conf").resolve()) == 0
assert looked == [(2, False, False)], looked
assert torch.tensor(1e-30) * 1e-10 > 0
"""


def test_numbers_that_a_cpu_is_slow_with_are_zero_on_all_threads(tmp_path: Path) -> None:
    """Steps took ten times as long once a penalty had brought embeddings below 1e-38."""
    words = ["debug=step", "data=synthetic", "data.reader.rows=500", "trainer.accelerator=cpu", "trainer.threads=2"]
    run = subprocess.run(
        [sys.executable, "-c", LOOK, *words, "logger=none", f"paths.root={tmp_path}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        text=True,
        capture_output=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stderr[-3000:]
