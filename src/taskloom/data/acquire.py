"""Fetches a data set's raw files once, by several ways tried in turn."""

import hashlib
import json
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from taskloom.atomic import file_beside, folder_beside
from taskloom.data.download import PIP, Say, UnreachableError, download, download_wheel
from taskloom.errors import DataError


@dataclass(frozen=True)
class Raw:
    """Raw files on this machine.

    Args:
        path: the folder that holds them, or the one file that the user named.
        came_from: where they were got, in words.
        trusted: True for what was downloaded, whose content must be right; False for the user's own, which
            may differ.
    """

    path: Path
    came_from: str
    trusted: bool


@dataclass(frozen=True)
class Origin:
    """Where a data set can be got.

    Args:
        name: the data set's name, and its folder within the raw folder.
        address: of the zip at its home page.
        wanted: names of files within an archive to {name in the archive: name of the file to be written},
            empty where the archive holds no copy.
        md5: of that zip; None where its publisher gives none, or changes the file: then its content is all
            there is to check.
        wheel: requirement of a Python package whose wheel holds a copy, such as ``recbole==1.2.1``; None where
            there is none.
    """

    name: str
    address: str
    wanted: Callable[[Sequence[str]], Mapping[str, str]]
    md5: str | None = None
    wheel: str | None = None


def acquire(
    origin: Origin,
    source: str | Path | None,
    raw_dir: Path,
    complete: Callable[[Path], bool],
    check: Callable[[Raw], None],
    say: Say = print,
    pip: Sequence[str] = PIP,
) -> Raw:
    """The raw files: the user's own where given, else fetched before, else from home, else from the wheel.

    Args:
        origin: where they can be got.
        source: a zip, folder or file of the user's; then no other way is tried.
        raw_dir: folder of raw data; this data set's stand in ``raw_dir/<name>``.
        complete: whether a folder holds all the files.
        check: raises DataError where a download's content is wrong; nothing is then kept.
        say: takes one line for people.
        pip: the command that runs pip.

    Raises:
        DataError: no way led to the files, or what was found is damaged.
    """
    if source is not None:
        return _from_user(origin, Path(source).expanduser(), raw_dir, complete, say)
    target = raw_dir / origin.name
    note = target / "came_from.txt"
    if complete(target):
        came_from = note.read_text(encoding="utf-8").strip() if note.exists() else "put there by hand"
        say(f"{origin.name}: raw files are in {target} ({came_from})")
        return Raw(target, came_from, trusted=True)

    ways: list[tuple[str, Callable[[Path], Path]]] = [
        (f"home page {origin.address}", lambda folder: download(origin.address, origin.md5, folder, say))
    ]
    if (wheel := origin.wheel) is not None:
        copy = f"copy in the wheel of {wheel} (downloaded with pip, not installed)"
        ways.append((copy, lambda folder: download_wheel(wheel, folder, pip)))
    failures = []
    for came_from, way in ways:
        say(f"{origin.name}: trying the {came_from}")
        with tempfile.TemporaryDirectory(prefix=f".{origin.name}.", dir=_made(raw_dir)) as download_dir:
            try:
                archive = way(Path(download_dir))
            except UnreachableError as reason:
                say(f"{origin.name}: not reached: {reason}")
                failures.append(f"the {came_from}: {reason}")
                continue
            with folder_beside(target) as folder:
                extract(archive, origin.wanted, folder)
                check(Raw(folder, came_from, trusted=True))
                (folder / note.name).write_text(came_from + "\n", encoding="utf-8")
                _clear(target, complete)
        say(f"{origin.name}: fetched from the {came_from} to {target}")
        return Raw(target, came_from, trusted=True)
    raise DataError(
        f"{origin.name} could not be fetched ({'; '.join(failures)}); get the data set elsewhere and give "
        "data.source=<zip, folder or file>"
    )


def _clear(target: Path, complete: Callable[[Path], bool]) -> None:
    """Removes an incomplete folder, which would stand in the way; a complete one stays."""
    if not complete(target):
        shutil.rmtree(target, ignore_errors=True)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _from_user(origin: Origin, source: Path, raw_dir: Path, complete: Callable[[Path], bool], say: Say) -> Raw:
    """A user's zip is unpacked to a folder named after its content; anything else is read where it lies."""
    came_from = f"data.source={source}"
    if not source.exists():
        raise DataError(f"data.source: {source} is not there; give an existing zip, folder or file")
    path = source
    if source.is_file() and (zipfile.is_zipfile(source) or source.suffix.lower() in (".zip", ".whl")):
        path = unpacked(source, origin.name, origin.wanted, raw_dir, complete)
    say(f"{origin.name}: raw files are from {came_from}")
    return Raw(path, came_from, trusted=False)


def unpacked(
    archive: Path,
    name: str,
    wanted: Callable[[Sequence[str]], Mapping[str, str]],
    raw_dir: Path,
    complete: Callable[[Path], bool],
) -> Path:
    """The folder with an archive's wanted files, named after the archive's content and unpacked once.

    An archive whose place, size and time of change are as they were is not even read again.

    Args:
        archive: a zip of the user's.
        name: of the data set.
        wanted: as in :class:`Origin`.
        raw_dir: the folder is ``raw_dir/<name>_<digest>``.
        complete: whether a folder holds all the files.

    Raises:
        DataError: the archive is damaged or does not hold the files.
    """
    note = "unpacked_from.json"
    stat_now = archive.stat()
    seen = {"archive": str(archive.resolve()), "size": stat_now.st_size, "mtime_ns": stat_now.st_mtime_ns}
    for folder in raw_dir.glob(f"{name}_*"):
        if complete(folder) and _noted(folder / note) == seen:
            return folder
    with archive.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()[:16]
    path = raw_dir / f"{name}_{digest}"
    if not complete(path):
        with folder_beside(path) as folder:
            extract(archive, wanted, folder)
            _clear(path, complete)
    with file_beside(path / note) as file:
        file.write_text(json.dumps(seen), encoding="utf-8")
    return path


def _noted(file: Path) -> object:
    """What a note says, None where there is none that can be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def copy_in_archive(names: Sequence[str], files: Sequence[str], also: Sequence[str] = ()) -> dict[str, str]:
    """The members of an archive that make up a copy: files that lie beside each other, the ones nearest to its top.

    Args:
        names: of all members.
        files: that the copy needs.
        also: files that are taken along where they lie beside them, such as a licence.

    Returns:
        {member: name of the file to be written}, empty where there is no copy; see ``Origin.wanted``.

    Example:
        >>> copy_in_archive(["x/a/f.csv", "x/f.csv", "x/README"], ["f.csv"], ["README", "NOTES"])
        {'x/f.csv': 'f.csv', 'x/README': 'README'}
    """
    there = set(names)
    for name in sorted(names, key=lambda name: (name.count("/"), name)):
        folder = PurePosixPath(name).parent
        found = {str(folder / file): file for file in files}
        if PurePosixPath(name).name == files[0] and found.keys() <= there:
            return found | {str(folder / file): file for file in also if str(folder / file) in there}
    return {}


def copy_in_folder(folder: Path, files: Sequence[str]) -> list[Path] | None:
    """The files of a copy in a folder or in one of the folders within it; None where there is none."""
    if not folder.is_dir():
        return None
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if all((place / file).is_file() for file in files):
            return [place / file for file in files]
    return None


def extract(archive: Path, wanted: Callable[[Sequence[str]], Mapping[str, str]], folder: Path) -> None:
    """Writes an archive's wanted files into a folder.

    Raises:
        DataError: the archive is damaged, lacks them, or has a member that would be written elsewhere.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                if _leaves(info):
                    raise DataError(
                        f"{archive}: its member {info.filename!r} would be written outside its folder; "
                        "nothing was unpacked: get the archive from a place you trust"
                    )
            names = wanted([info.filename for info in opened.infolist() if not info.is_dir()])
            if not names:
                raise DataError(f"{archive}: the archive does not hold the data set's files; give another one")
            for name, written in names.items():
                with opened.open(name) as source, (folder / written).open("wb") as out:
                    shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        # zipfile raises all of these on damaged bytes.
        raise DataError(
            f"{archive}: the archive is damaged or cut off ({error}); get it again and try once more"
        ) from error


def _leaves(info: zipfile.ZipInfo) -> bool:
    """Whether a member names a place outside the folder, or is a link to anywhere."""
    name = info.filename
    windows = PureWindowsPath(name)
    outside = ".." in windows.parts or ".." in PurePosixPath(name).parts
    link = stat.S_ISLNK(info.external_attr >> 16)
    return outside or link or name.startswith(("/", "\\")) or bool(windows.drive)
