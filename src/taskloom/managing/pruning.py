"""Freeing the disk of what a run can do without: checkpoints of finished runs, leftovers of interrupted writes."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from taskloom.errors import RunError
from taskloom.managing.deletion import empty, outside
from taskloom.managing.disk import contents
from taskloom.managing.found_run import FoundRun
from taskloom.managing.listing import Found
from taskloom.managing.locks import mine
from taskloom.managing.problems import FREED, shown
from taskloom.sweeping.ledger import ENDED
from taskloom.tracking.run_folder import RunFolder

_CHECKPOINTS = {"last": ("last.ckpt",), "checkpoints": ("last.ckpt", "best.ckpt")}


@dataclass(frozen=True)
class Waste:
    """Files and folders that can go.

    Args:
        paths: absolute.
        bytes: that they take.
        run: whose they are; None for what an interrupted deletion left.
    """

    paths: tuple[Path, ...]
    bytes: int
    run: FoundRun | None = None


def checkpoints(runs: Iterable[FoundRun], what: str, logs: Path) -> tuple[list[Waste], list[tuple[Path, str]]]:
    """Checkpoints of finished runs: ``last`` (needed to resume alone) or all ``checkpoints``.

    Returns:
        What can go, and which runs are left alone and why.
    """
    go, stay = [], []
    for run in runs:
        places = [run.folder / "checkpoints" / name for name in _CHECKPOINTS[what]]
        paths = tuple(path for path in places if path.exists())
        why = "" if run.state in ENDED else f"it is {run.state}, and goes on from its checkpoints"
        why = why or (outside(run.folder, logs) if paths else "")
        if why and (paths or run.is_link):
            stay.append((run.folder, why))
        elif paths:
            go.append(Waste(paths, sum(_bytes(path) for path in paths), run))
    return go, stay


def leftovers(found: Found, runs: Iterable[FoundRun], logs: Path) -> list[Waste]:
    """What interrupted writes left in folders where nobody works, and interrupted deletions beside them."""
    go = [Waste((place,), size) for place, size in found.leftovers.items() if not outside(place, logs)]
    for run in runs:
        if run.state not in ("running", "starting", "pending") and not outside(run.folder, logs):
            paths = tuple(contents(run.folder).strays)
            if paths:
                go.append(Waste(paths, sum(_bytes(path) for path in paths), run))
    return go


def prune(waste: Waste) -> None:
    """Removes it; a run's record says first which of its checkpoints go.

    Raises:
        RunError: a process has begun to work in the folder, or the system does not let us.
    """
    if waste.run is None:
        for place in waste.paths:
            for folder in sorted(place.iterdir()) if place.is_dir() else ():
                empty(place, folder)
        return
    run = RunFolder(waste.run.folder)
    try:
        with mine(run.path):
            gone = [path.name for path in waste.paths if path.name in _CHECKPOINTS["checkpoints"]]
            if gone:
                run.amend(lambda record: {FREED: sorted({*(record.get(FREED) or []), *gone})})
            for path in waste.paths:
                _remove(path)
    except OSError as error:
        raise RunError(f"{shown(run.path)}: {error.strerror or error}") from None


def _bytes(path: Path) -> int:
    try:
        return contents(path).size.total if path.is_dir() else path.lstat().st_size
    except OSError:
        return 0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
