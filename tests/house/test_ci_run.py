import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = [".venv/.installed", "lint", "types", "test"]

# Notes the target and whether anything waits on standard input; fails where it is told to.
MAKE = """\
#!/bin/sh
echo "$1 threads=$OMP_NUM_THREADS input=$(cat)" >> calls
case " $FAILING " in *" $1 "*) exit 2 ;; esac
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on this machine")


def run(folder: Path, failing: str) -> tuple[int, list[str]]:
    """The script's exit code and the targets it called, with a `make` that fails on the targets named."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "bin").mkdir()
    (folder / "bin" / "make").write_text(MAKE)
    (folder / "bin" / "make").chmod(0o755)
    environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "CI": "true", "FAILING": failing}
    command = ["bash", str(folder / ".ci" / "run")]
    done = subprocess.run(command, cwd="/", env=environment, input="typed", capture_output=True, text=True, check=False)
    return done.returncode, (folder / "calls").read_text().splitlines()


def test_lint_types_and_tests_run_in_this_order(tmp_path: Path) -> None:
    code, calls = run(tmp_path, failing="")
    assert code == 0
    assert calls == [f"{target} threads=2 input=" for target in TARGETS]


@pytest.mark.parametrize("failing", ["lint", "types", "test", "lint types"])
def test_all_run_and_one_failure_fails_the_whole(tmp_path: Path, failing: str) -> None:
    code, calls = run(tmp_path, failing)
    assert code == 1
    assert [call.split()[0] for call in calls] == TARGETS


def test_nothing_runs_without_an_environment(tmp_path: Path) -> None:
    code, calls = run(tmp_path, failing=TARGETS[0])
    assert code == 1
    assert len(calls) == 1
