"""trial.json: what a job of a search knows of itself, written before it starts."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from taskloom.locks import is_held, try_lock
from taskloom.tracking.run_folder import write_json

TRIAL = "trial.json"
_SEARCHING = ".searching"


def folder_of(number: int) -> str:
    """The name of a trial's folder.

    Example:
        >>> folder_of(7)
        'trial-0007'
    """
    return f"trial-{number:04d}"


def write_trial(folder: Path, trial: dict[str, Any]) -> None:
    """Writes ``trial.json``: ``number``, ``params``, ``study``, ``storage``, ``objectives``, ``pruner``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / TRIAL, trial)


def read_trial(folder: Path) -> dict[str, Any] | None:
    """What a job's ``trial.json`` says; None for a job of no search."""
    try:
        trial: dict[str, Any] = json.loads((folder / TRIAL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return trial


class Care:
    """That a search looks after a trial: from its proposal until its result is told, or until the search ends.

    A trial that runs according to the study and that nobody looks after was left by a search that was killed.

    Args:
        sweep: the sweep's folder.
        number: of the trial.
    """

    def __init__(self, sweep: Path, number: int) -> None:
        self.path = sweep / _SEARCHING / folder_of(number)
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Whether the trial is now this search's: nobody else looks after it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("w")
        if try_lock(file):
            self._file = file
            return True
        file.close()
        return False

    @property
    def abandoned(self) -> bool:
        """Whether no search looks after the trial."""
        return not is_held(self.path)

    @property
    def taken(self) -> bool:
        """Whether this search looks after it."""
        return self._file is not None

    def leave(self) -> None:
        """Nobody looks after it any more."""
        if self._file is not None:
            self._file.close()
            self._file = None


@contextmanager
def alone(sweep: Path) -> Iterator[None]:
    """One search at a time proposes trials to a study, and looks for those that were left."""
    place = sweep / _SEARCHING
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
