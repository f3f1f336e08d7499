"""UserFiles: the base of readers whose files the user gets and names by data.source."""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import ClassVar

from taskloom.atomic import folder_beside
from taskloom.data.acquire import Raw, Say, extract
from taskloom.errors import DataError


class UserFiles:
    """A data set that nobody may pass on: the user gets it from its home page and says where it lies.

    A reader names its files by role and pattern; ``acquire`` looks for them in a folder (and below it), takes a single
    file, or unpacks a zip once into ``raw_dir/<name>-<digest>``.

    Example:
        >>> import tempfile
        >>> class Clicks(UserFiles):
        ...     name, home = "clicks", "https://example.org/clicks"
        ...     wanted = {"log": ("log_*.csv",), "users": ("users.csv",)}
        ...     optional = ("users",)
        >>> folder = Path(tempfile.mkdtemp())
        >>> for day in (2, 1):
        ...     _ = (folder / f"log_{day}.csv").write_text("user,click")
        >>> raw = Clicks().acquire(folder, folder / "raw", say=lambda line: None)
        >>> {role: [path.name for path in paths] for role, paths in Clicks().located(raw).items()}
        {'log': ['log_1.csv', 'log_2.csv'], 'users': []}
        >>> Clicks().acquire(None, folder / "raw")
        Traceback (most recent call last):
            ...
        taskloom.errors.DataError: clicks: its files are not fetched by Taskloom; get them from https://example.org/clicks
        and give data.source=<folder, zip or file> with log_*.csv
    """

    name: ClassVar[str]
    home: ClassVar[str]  # the page that a person gets the files from
    wanted: ClassVar[Mapping[str, tuple[str, ...]]]  # role -> patterns of file names
    optional: ClassVar[Sequence[str]] = ()  # roles that may be absent

    def acquire(self, source: str | Path | None, raw_dir: str | Path, say: Say = print) -> Raw:
        """The user's files; a zip is unpacked once.

        Args:
            source: a folder, a zip or a file.
            raw_dir: folder of raw data, where a zip is unpacked.
            say: takes one line for people.

        Raises:
            DataError: no source is given, it is not there, or lacks a file.
        """
        roles = [role for role in self.wanted if role not in self.optional]
        # Where every role is optional, the files come in one of several forms.
        needed = "; ".join(" or ".join(self.wanted[role]) for role in roles or self.wanted)
        if source is None:
            raise DataError(
                f"{self.name}: its files are not fetched by Taskloom; get them from {self.home} and give "
                f"data.source=<folder, zip or file> with {needed}"
            )
        path = Path(source).expanduser()
        if not path.exists():
            raise DataError(f"data.source: {path} is not there; give an existing folder, zip or file with {needed}")
        came_from = f"data.source={path}"
        if path.is_file() and path.suffix.lower() == ".zip":
            path = self._unpacked(path, Path(raw_dir), needed)
        raw = Raw(path, came_from, trusted=False)
        located = self.located(raw)
        for role, patterns in self.wanted.items():
            if role not in self.optional and not located[role]:
                raise DataError(
                    f"data.source: {source} holds no {' or '.join(patterns)} ({role} of {self.name}); get it from "
                    f"{self.home} or name another place"
                )
        say(f"{self.name}: raw files are from {came_from}")
        return raw

    def located(self, raw: Raw) -> dict[str, list[Path]]:
        """The files of each role, sorted by path; those that end in .gz too."""
        places = [raw.path] if raw.path.is_file() else sorted(path for path in raw.path.rglob("*") if path.is_file())
        return {role: [path for path in places if _fits(path.name, patterns)] for role, patterns in self.wanted.items()}

    def files(self, raw: Raw) -> list[Path]:
        """All files that ``read`` will look at."""
        return list(dict.fromkeys(path for paths in self.located(raw).values() for path in paths))

    def _unpacked(self, archive: Path, raw_dir: Path, needed: str) -> Path:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        target = raw_dir / f"{self.name}-{digest}"
        if not target.is_dir():
            if not zipfile.is_zipfile(archive):
                raise DataError(f"{archive}: not a zip, or one that is cut off; get it again, with {needed}")
            with folder_beside(target) as folder:
                extract(archive, lambda names: self._members(names, folder), folder)
        return target

    def _members(self, names: Sequence[str], folder: Path) -> dict[str, str]:
        """Members of a zip that fit a role, each with the place it is written to."""
        patterns = tuple(pattern for role in self.wanted.values() for pattern in role)
        chosen = [name for name in names if _fits(PurePosixPath(name).name, patterns)]
        for name in chosen:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        return {name: name for name in chosen}


def _fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a file's name fits a pattern, packed or not; what macOS adds to zips and folders does not."""
    plain = name.removesuffix(".gz")
    return not name.startswith("._") and any(fnmatch(name, pattern) or fnmatch(plain, pattern) for pattern in patterns)
