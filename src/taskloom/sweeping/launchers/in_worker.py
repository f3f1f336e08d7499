"""What runs inside a worker process: its start, its end with the command that started it, and its jobs."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn

from taskloom.sweeping.launchers.job_run import JobRun

OUTPUT = "output.log"
_run: JobRun | None = None


def begin(run: JobRun, hydra_state: Any, parent: Connection) -> None:
    """Makes a process a worker; called once in it.

    Args:
        run: what its jobs have in common.
        hydra_state: of ``Singleton.get_state``.
        parent: its other end is open as long as the process that started this one is alive.
    """
    global _run
    # Alone in its group: Ctrl-C in a terminal reaches the command only, which tells each worker once; and the
    # children of a job can be ended with it.
    os.setpgid(0, 0)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    Singleton.set_state(hydra_state)
    _run = run


def work(number: int, overrides: Sequence[str]) -> JobReturn:
    """Runs one job, with its output in its folder.

    Args:
        number: its place.
        overrides: its own.
    """
    assert _run is not None
    # Lightning has an interrupted process ignore further interrupts, and this one may have another job to do.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return _run(number, overrides, within=output_to)


@contextmanager
def output_to(folder: Path) -> Iterator[None]:
    """Appends what this process and its children print to ``output.log`` in a folder, until the block ends.

    Replaces the two descriptors themselves, so that native libraries and children write there too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / OUTPUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    _flush()
    before = {stream: os.dup(stream) for stream in (1, 2)}
    for stream in before:
        os.dup2(log, stream)
    os.close(log)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # so that whoever follows the file sees lines as they come
    try:
        yield
    finally:
        _flush()
        for stream, copy in before.items():
            os.dup2(copy, stream)
            os.close(copy)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)  # what C libraries hold back


def _end_with(parent: Connection) -> None:
    """Ends this process and its children at once when the other end of a pipe is closed."""
    parent.poll(None)
    os.killpg(0, signal.SIGKILL)
