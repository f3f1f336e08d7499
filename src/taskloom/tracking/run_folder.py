"""RunFolder: the folder of one run, and the run.json in it that says what the run is and how it ended."""

import fcntl
import json
import math
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from taskloom.atomic import file_beside
from taskloom.errors import RunError, TaskloomError
from taskloom.locks import is_held, try_lock

STATES = ("running", "done", "failed", "pruned")


class RunFolder:
    """One run on disk. ``run.json`` is rewritten whole and atomically: a reader never sees half of it.

    Its ``state`` is ``running``, ``done``, ``failed`` or ``pruned`` (a trial of a search that was stopped early); a
    failed run has a ``reason`` and, where the cause was a defect rather than a mistake in a setting,
    ``traceback.txt``. A run that was killed still says ``running``.

    Args:
        path: the folder. Nothing is read or written by the constructor: use `create` or `open`.

    Example:
        >>> import tempfile
        >>> folder = RunFolder.create(Path(tempfile.mkdtemp()) / "run", {"config": {"seed": 42}})
        >>> folder.update(state="done", test={"like/auc": 0.79, "like/gauc": float("nan")})
        >>> record = RunFolder.open(folder.path).read()
        >>> record["state"], record["config"], record["test"]
        ('done', {'seed': 42}, {'like/auc': 0.79, 'like/gauc': None})
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()

    @classmethod
    def create(cls, path: Path | str, record: Mapping[str, Any]) -> Self:
        """Make the folder and its run.json, in state ``running``.

        Args:
            path: the folder; it may exist, as long as it holds no run.
            record: what run.json says beside ``state`` and ``created`` (UTC, ISO 8601).

        Raises:
            RunError: the folder already holds a run.
        """
        folder = cls(path)
        if folder.file.exists():
            raise RunError(f"{folder.path} already holds a run; resume it or name another folder")
        folder.path.mkdir(parents=True, exist_ok=True)
        created = datetime.now(UTC).isoformat(timespec="microseconds")
        write_json(folder.file, {"state": "running", "created": created, **record})
        return folder

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """The folder of a run that exists.

        Raises:
            RunError: there is no run.json, or it cannot be read.
        """
        folder = cls(path)
        folder.read()
        return folder

    @property
    def file(self) -> Path:
        """run.json."""
        return self.path / "run.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of last.ckpt and best.ckpt."""
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        """The folder of test.parquet."""
        return self.path / "predictions"

    @property
    def metrics(self) -> Path:
        """metrics.jsonl."""
        return self.path / "metrics.jsonl"

    def read(self) -> dict[str, Any]:
        """What run.json says now.

        Raises:
            RunError: it is absent or unreadable.
        """
        try:
            record = json.loads(self.file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(
                f"{self.path} is no run folder: it has no run.json; name one such as logs/train/runs/<time>"
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.file} cannot be read ({error}); restore it or start anew") from None
        if not isinstance(record, dict) or record.get("state") not in STATES:
            raise RunError(f"{self.file} is not a run's record: its state is none of {', '.join(STATES)}; restore it")
        return record

    def update(self, **changes: Any) -> None:
        """Change some keys of run.json and leave the others.

        A state other than ``failed`` takes the earlier ``reason`` and ``traceback.txt`` away: a run that is
        resumed and ends well has not failed.
        """
        self.amend(lambda record: changes)

    def amend(self, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        """Change some keys of run.json by what it says now, and by nothing that was read earlier.

        Args:
            change: takes the record and gives the keys to change, or none; `update` says what a state does.
        """
        with self.alone():
            record = self.read()
            changes = change(record)
            if not changes:
                return
            if changes.get("state", "failed") != "failed":
                record.pop("reason", None)
                (self.path / "traceback.txt").unlink(missing_ok=True)
            write_json(self.file, record | dict(changes))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Alone among those who change run.json: a job at work, and a person who tags or deletes it meanwhile.

        Raises:
            RunError: the folder is not there.
        """
        try:
            folder = os.open(self.path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(f"{self.path} is not there any more") from None
        try:
            with suppress(OSError):  # a file system that has no locks on folders, such as some network's
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    @contextmanager
    def hold(self) -> Iterator[int]:
        """The folder is this process's until the block ends, or the process does, in whatever way.

        Yields:
            The descriptor of the lock: a process that inherits it holds the folder too.

        Raises:
            RunError: another process that is alive holds it.
        """
        with (self.path / ".lock").open("w") as lock:
            if not try_lock(lock):
                raise RunError(f"{self.path} is still running in another process; wait for it, or stop it")
            yield lock.fileno()

    def held(self) -> bool:
        """Whether a process that is alive holds the folder: a run that says ``running`` without one was killed."""
        return is_held(self.path / ".lock")

    def fail(self, error: BaseException) -> None:
        """Say that the run failed and why; keep the traceback where the cause was a defect.

        Args:
            error: what ended the run. A `TaskloomError` is a sentence for a person and needs no traceback.
        """
        if isinstance(error, KeyboardInterrupt):
            reason = "interrupted"
        elif isinstance(error, TaskloomError):
            reason = str(error)
        else:
            reason = f"{type(error).__name__}: {error}"
            lines = traceback.format_exception(error)
            (self.path / "traceback.txt").write_text("".join(lines), encoding="utf-8")
        self.update(state="failed", reason=reason)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically: beside, to the disk, then renamed over the old one.

    NaN and infinities become null, because JSON has no word for them.
    """
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with file_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def plain(value: Any) -> Any:
    """The same value in the words of JSON.

    Example:
        >>> plain({"auc": float("nan"), "path": Path("logs"), "ratios": (8, 1, 1)})
        {'auc': None, 'path': 'logs', 'ratios': [8, 1, 1]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if hasattr(value, "item"):  # a number of numpy's or torch's
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
