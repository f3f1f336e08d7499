"""Who works in a run folder: the locks of runs and of the jobs of sweeps."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from taskloom.errors import RunError
from taskloom.locks import is_held, try_lock
from taskloom.sweeping.ledger import CLAIM
from taskloom.tracking.run_folder import RunFolder


def alive(folder: Path) -> bool:
    """Whether a process that is alive works in a run folder: its run, or a sweep that has taken the job."""
    return RunFolder(folder).held() or is_held(folder / CLAIM)


@contextmanager
def mine(folder: Path) -> Iterator[None]:
    """A run folder is this process's alone until the block ends: no run begins or goes on in it.

    Raises:
        RunError: a process that is alive works in it, or it is not there.
    """
    with ExitStack() as stack:
        if (folder / CLAIM).exists():
            claim = stack.enter_context((folder / CLAIM).open("r"))
            if not try_lock(claim):
                raise RunError(f"{folder} is being worked on by a sweep; wait for it, or stop it")
        stack.enter_context(RunFolder(folder).hold())
        yield
