"""Downloads: a file at an address, or a Python package's wheel."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pooch
import requests

from taskloom.errors import DataError

Say = Callable[[str], None]
PIP = (sys.executable, "-m", "pip")
TIMEOUT = (10, 60)  # seconds to connect, seconds of silence: a machine without a network fails fast
LARGE = 20_000_000  # bytes of a download that is worth a line of progress
CHUNK = 1 << 17  # bytes that are written at a time


class UnreachableError(Exception):
    """One way did not lead to the files; the next one is tried."""


def download(address: str, md5: str | None, folder: Path, say: Say = print) -> Path:
    """The file at an address: with a progress bar where a person watches, else a line for each tenth.

    Raises:
        UnreachableError: the address does not answer with a whole file.
        DataError: it answered with another file than the one expected.
    """
    pooch.get_logger().setLevel("WARNING")
    progress = True if sys.stderr.isatty() else _Tenths(address.rsplit("/", 1)[-1], say)
    downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK, timeout=TIMEOUT)
    try:
        # Without a known hash pooch keeps whatever came, so that what is wrong is said in our own words.
        path = pooch.retrieve(address, None, fname="download.zip", path=folder, downloader=downloader)
    except (requests.RequestException, OSError) as error:
        raise UnreachableError(_reason(error)) from error
    found = pooch.file_hash(path, alg="md5") if md5 is not None else None
    if found != md5:
        raise DataError(
            f"{address}: the file that came has md5 {found}, expected {md5}; it is damaged or not the "
            "data set: try again, or get it elsewhere and give data.source=<zip, folder or file>"
        )
    return Path(path)


class _Tenths:
    """Progress of a large download where there is no terminal for a bar; in the form that pooch asks for."""

    def __init__(self, file: str, say: Say) -> None:
        self.file, self.say = file, say
        self.total = 0  # bytes, set by pooch; 0 where the address does not say
        self._came = self._said = 0

    def update(self, came: int) -> None:
        """So many bytes more."""
        self._came = min(self._came + came, self.total)
        tenth = 10 * self._came // self.total if self.total else 0
        if self.total >= LARGE and self._said < tenth < 10:
            self._said = tenth
            self.say(f"{self.file}: {10 * tenth}% of {self.total / 1e6:,.0f} MB")

    def reset(self) -> None:
        """Pooch starts to count anew when all is there."""
        self._came = 0

    def close(self) -> None:
        """Nothing is held open."""


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
