"""Fetches a data set's raw files once, by several ways tried in turn."""

import hashlib
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import pooch
import requests

from taskloom.atomic import folder_beside
from taskloom.errors import DataError

Say = Callable[[str], None]
PIP = (sys.executable, "-m", "pip")
TIMEOUT = (10, 60)  # seconds to connect, seconds of silence: a machine without a network fails fast


class UnreachableError(Exception):
    """One way did not lead to the files; the next one is tried."""


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
        md5: of that zip.
        wheel: requirement of a Python package whose wheel holds a copy, such as ``recbole==1.2.1``.
        wanted: names of files within an archive to {name in the archive: name of the file to be written},
            empty where the archive holds no copy.
    """

    name: str
    address: str
    md5: str
    wheel: str
    wanted: Callable[[Sequence[str]], Mapping[str, str]]


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
        (f"home page {origin.address}", lambda folder: download(origin.address, origin.md5, folder)),
        (
            f"copy in the wheel of {origin.wheel} (downloaded with pip, not installed)",
            lambda folder: download_wheel(origin.wheel, folder, pip),
        ),
    ]
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
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
        path = raw_dir / f"{origin.name}_{digest}"
        if not complete(path):
            with folder_beside(path) as folder:
                extract(source, origin.wanted, folder)
                _clear(path, complete)
    say(f"{origin.name}: raw files are from {came_from}")
    return Raw(path, came_from, trusted=False)


def download(address: str, md5: str, folder: Path) -> Path:
    """The file at an address, with a progress bar where a person watches.

    Raises:
        UnreachableError: the address does not answer with a whole file.
        DataError: it answered with another file than the one expected.
    """
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)
    try:
        # Without a known hash pooch keeps whatever came, so that what is wrong is said in our own words.
        path = pooch.retrieve(address, None, fname="download.zip", path=folder, downloader=downloader)
    except (requests.RequestException, OSError) as error:
        raise UnreachableError(_reason(error)) from error
    found = pooch.file_hash(path, alg="md5")
    if found != md5:
        raise DataError(
            f"{address}: the file that came has md5 {found}, expected {md5}; it is damaged or not the "
            "data set: try again, or get it elsewhere and give data.source=<zip, folder or file>"
        )
    return Path(path)


def _reason(error: BaseException) -> str:
    """What went wrong on the net, without the library's inner names."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"it answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error) or type(error).__name__


def download_wheel(requirement: str, folder: Path, pip: Sequence[str] = PIP) -> Path:
    """A package's wheel, downloaded without being installed.

    Raises:
        UnreachableError: pip is missing or does not find the package.
    """
    command = [*pip, "download", requirement, "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--disable-pip-version-check", "--timeout", "10", "--retries", "1"]
    watched = sys.stderr.isatty()
    try:
        done = subprocess.run(
            command, stdout=None if watched else subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise UnreachableError(f"pip could not be started: {error}") from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.strip().splitlines() if line] or ["no wheel came"]
        raise UnreachableError("pip says: " + lines[-1].removeprefix("ERROR: "))
    return wheels[0]


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
