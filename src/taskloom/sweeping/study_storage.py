"""Where a study is kept: a journal file in the sweep's folder, or what an address names."""

import fcntl
import os
from pathlib import Path
from typing import IO, Any, cast

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from taskloom.errors import ConfigError
from taskloom.sweeping.search_settings import JOURNAL

_SQLITE = "sqlite:///"


class SystemLock:
    """A lock that the system takes back when its process ends, in whatever way.

    Optuna's own locks are files, which a killed process leaves behind; the next one would wait half a minute. A
    process that is killed while it writes also leaves half a line, to which the next would append: it is cut off,
    because nobody was ever told that it is there.

    Args:
        journal: the file that is written under the lock.
    """

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        """Waits for the lock."""
        self._file = self.journal.with_name(f".{self.journal.name}.lock").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        _cut_torn_line(self.journal)
        return True

    def release(self) -> None:
        """Gives it back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def open_storage(sweep: Path, address: str | None) -> BaseStorage:
    """The storage of a sweep's study.

    Args:
        sweep: the sweep's folder.
        address: such as ``sqlite:///study.db``, where a relative path is one in the sweep's folder, so that a sweep
            that goes on elsewhere finds it; None or ``study.journal`` is the journal in the folder.

    Raises:
        ConfigError: the address cannot be opened.
    """
    if address in (None, JOURNAL):
        sweep.mkdir(parents=True, exist_ok=True)
        journal = sweep / JOURNAL
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=cast(Any, SystemLock(journal))))
    assert address is not None
    if is_inside(address):
        sweep.mkdir(parents=True, exist_ok=True)
        address = _SQLITE + str(sweep / address.removeprefix(_SQLITE))
    try:
        return RDBStorage(address)
    except Exception as error:  # of whatever stands behind the address
        cause = str(error).strip().splitlines()
        raise ConfigError(
            f"hydra.sweeper.storage={address}: cannot be opened ({cause[0] if cause else type(error).__name__})"
        ) from None


def is_inside(address: str) -> bool:
    """Whether an address is a file in the sweep's own folder.

    Example:
        >>> is_inside("sqlite:///study.db"), is_inside("sqlite:////data/study.db")
        (True, False)
    """
    return address.startswith(_SQLITE) and not Path(address.removeprefix(_SQLITE)).is_absolute()


def _cut_torn_line(path: Path) -> None:
    try:
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            end = size
            while end > 0:
                start = max(0, end - 4096)
                file.seek(start)
                block = file.read(end - start)
                if end == size and block.endswith(b"\n"):
                    return
                line_end = block.rfind(b"\n")
                if line_end >= 0:
                    file.truncate(start + line_end + 1)
                    return
                end = start
            file.truncate(0)
    except FileNotFoundError:
        return
