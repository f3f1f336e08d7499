"""A folder of logs to manage, the command on it, and processes that work in it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from managing.made_logs import Logs
from taskloom.managing.command import runs_command

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logs:
    """Empty, in a project of its own, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return Logs(tmp_path)


@pytest.fixture
def call(logs: Logs, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The command in this process: what it printed, after a look at its exit code."""

    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert runs_command([*arguments, f"paths.root={logs.root}"], CONF) == code
        output = capsys.readouterr()
        return output.out + output.err

    return run


@pytest.fixture
def hold() -> Iterator[Callable[[Path, str], None]]:
    """A process that works in a run folder, until the test ends."""
    workers = []

    def start(folder: Path, lock: str = ".lock") -> None:
        script = (
            "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
            "print('held', flush=True); sys.stdin.read()"
        )
        worker = subprocess.Popen(
            [sys.executable, "-c", script, str(folder / lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        workers.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"held\n"

    yield start
    for worker in workers:
        worker.communicate()
