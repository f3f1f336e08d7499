"""What a folder takes on the disk, and by what."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

_PARTS = ("checkpoints", "predictions", "wandb")
#: names that `taskloom.atomic` writes under before it renames
STRAY = re.compile(r"\..+\.[0-9a-f]{8}\.part")


@dataclass(frozen=True)
class Size:
    """Bytes by what they are for; links count as nothing.

    Example:
        >>> (Size(checkpoints=2, rest=1) + Size(rest=1)).total
        4
    """

    checkpoints: int = 0
    predictions: int = 0
    wandb: int = 0
    rest: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.checkpoints + self.predictions + self.wandb + self.rest

    def __add__(self, other: Self) -> "Size":
        return Size(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@dataclass
class Contents:
    """What a walk through a folder finds.

    Args:
        size: of its files.
        newest: when one of them was last written, in Unix seconds; 0 where there is none.
        strays: files and folders that an interrupted write left.
        files: names of the files, relative to the folder.
    """

    size: Size = field(default_factory=Size)
    newest: float = 0.0
    strays: list[Path] = field(default_factory=list)
    files: set[str] = field(default_factory=set)


def contents(folder: Path, leave: Iterable[str] = ()) -> Contents:
    """Walks through a folder. Links are not followed; what vanishes meanwhile is not there.

    Args:
        folder: of a run, or another one.
        leave: names of folders directly in it that are left out.
    """
    found = Contents()
    sizes = dict.fromkeys((*_PARTS, "rest"), 0)
    skipped = set(leave)

    def walk(path: str, below: str, part: str, stray: bool) -> None:
        try:
            entries = list(os.scandir(path))
        except OSError:
            return
        for entry in entries:
            name = below + entry.name
            is_stray = stray
            if not stray and STRAY.fullmatch(entry.name):
                found.strays.append(Path(entry.path))
                is_stray = True
            try:
                if entry.is_dir(follow_symlinks=False):
                    if below or entry.name not in skipped:
                        inner = part or (entry.name if entry.name in _PARTS else "rest")
                        walk(entry.path, f"{name}/", inner, is_stray)
                elif not entry.is_symlink():
                    status = entry.stat(follow_symlinks=False)
                    sizes[part or "rest"] += status.st_size
                    found.newest = max(found.newest, status.st_mtime)
                    if not is_stray:
                        found.files.add(name)
            except OSError:
                continue

    walk(os.fspath(folder), "", "", stray=False)
    found.size = Size(**sizes)
    return found
