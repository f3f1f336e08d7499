"""Files and folders that are there whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A temporary folder beside ``target``, renamed to it when the block ends well.

    When the block raises, the temporary folder is removed and ``target`` is as it was. A process that is
    killed leaves its temporary folder behind, whose name nobody takes for ``target``. When another process
    put a folder there first, that one stays: both hold the same content by construction.

    Args:
        target: where the folder is to stand; its parents are made.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> with folder_beside(root / "done") as folder:
        ...     _ = (folder / "file").write_text("whole")
        >>> sorted(path.name for path in root.iterdir())
        ['done']
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.part"
    temporary.mkdir()
    try:
        yield temporary
        try:
            os.replace(temporary, target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def file_beside(target: Path) -> Iterator[Path]:
    """A path beside ``target`` to write to; when the block ends well it is on the disk, then renamed to it.

    When the block raises, what was written is removed and ``target`` is as it was. A process that is killed leaves
    the old file or the new one, and maybe a temporary file whose name nobody takes for ``target``.

    Args:
        target: the file; its parents are made.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "run.json"
        >>> with file_beside(target) as path:
        ...     _ = path.write_text("{}")
        >>> [path.name for path in target.parent.iterdir()]
        ['run.json']
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def open_at_line_start(path: Path) -> RawIOBase:
    """A file to append whole lines to, each handed to the system as it is written.

    Where it ends in the middle of a line (the machine lost power), the next one starts on a line of its own.

    Args:
        path: the file; it and its parents are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab", buffering=0)
    if file.tell() > 0:
        with path.open("rb") as reader:
            reader.seek(-1, 2)
            if reader.read(1) != b"\n":
                file.write(b"\n")
    return file
