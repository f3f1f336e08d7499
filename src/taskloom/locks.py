"""Locks on files, which end with the process that holds them, in whatever way it ends."""

import fcntl
import time
from pathlib import Path
from typing import IO

_TRIES, _PAUSE_SECONDS = 5, 0.01


def try_lock(file: IO[str]) -> bool:
    """Locks an open file for this process alone, until it is closed; False where another process has it.

    Who only looks whether a file is locked has it for an instant, which a few short waits outlast.
    """
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(_PAUSE_SECONDS)
    return False


def is_held(path: Path) -> bool:
    """Whether a process that is alive holds the lock of a file, which need not be there.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / ".lock"
        >>> with path.open("w") as file:
        ...     before, locked, then = is_held(path), try_lock(file), is_held(path)
        >>> before, locked, then, is_held(path)
        (False, True, True, False)
    """
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
