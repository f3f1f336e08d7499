"""Deleting run folders, so that an interruption at any point leaves a run whole or none."""

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from taskloom.errors import RunError
from taskloom.managing.found_run import FoundRun
from taskloom.managing.listing import TRASH, Found
from taskloom.managing.locks import mine
from taskloom.managing.problems import shown
from taskloom.tracking.run_folder import RunFolder

_ALIVE = ("running", "starting")


@dataclass(frozen=True)
class Target:
    """A folder that is to go: a run's, or a whole sweep's.

    Args:
        folder: absolute.
        runs: that are in it, in the sweep's order; one where it is a run's own.
        bytes: that it takes.
    """

    folder: Path
    runs: tuple[FoundRun, ...]
    bytes: int


def targets(found: Found, selected: Iterable[FoundRun], logs: Path) -> tuple[list[Target], list[tuple[Path, str]]]:
    """What deleting the selected runs means: a sweep goes as a whole where all of its jobs are selected.

    Args:
        found: what there is.
        selected: runs to delete.
        logs: outside which nothing is touched.

    Returns:
        What is to go, and what is left alone and why.
    """
    go: list[Target] = []
    stay: list[tuple[Path, str]] = []
    chosen = {run.folder: run for run in selected}
    for sweep in found.sweeps.values():
        if not sweep.runs or not all(run.folder in chosen for run in sweep.runs):
            continue
        for run in sweep.runs:
            del chosen[run.folder]
        alive = [run for run in sweep.runs if run.state in _ALIVE]
        why = f"its job {alive[0].folder.name} is {alive[0].state}" if alive else outside(sweep.folder, logs)
        if why:
            stay.append((sweep.folder, why))
        else:
            total = sweep.own.total + sum(run.size.total for run in sweep.runs)
            go.append(Target(sweep.folder, sweep.runs, total))
    for run in chosen.values():
        if run.state == "pending":
            continue  # nothing is there yet
        why = f"it is {run.state}" if run.state in _ALIVE else outside(run.folder, logs)
        if why:
            stay.append((run.folder, why))
        else:
            go.append(Target(run.folder, (run,), run.size.total))
    return go, stay


def outside(folder: Path, logs: Path) -> str:
    """Why a folder is none of ours: it is not under the logs, or only linked to. Empty where it is."""
    if folder.is_symlink():
        return f"it is a link to {folder.resolve()}: remove that yourself"
    if folder.resolve() != logs.resolve() / folder.relative_to(logs):
        return f"it lies outside {shown(logs)}: remove it yourself"
    return ""


def remove(target: Target) -> bool:
    """Deletes a folder: out of sight first, under a name that nothing takes for a run, then file by file.

    Returns:
        False where it was gone already.

    Raises:
        RunError: a process has begun to work in it, or the system does not let us.
    """
    place = target.folder.parent / TRASH
    away = place / f"{target.folder.name}.{uuid.uuid4().hex[:8]}"
    try:
        with ExitStack() as stack:
            for run in target.runs:
                if run.folder.is_dir():
                    stack.enter_context(mine(run.folder))
                    stack.enter_context(RunFolder(run.folder).alone())
            for folder, _, _ in os.walk(target.folder):
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise RunError(f"{shown(Path(folder))} may not be written to; nothing of it was deleted")
            place.mkdir(exist_ok=True)
            os.rename(target.folder, away)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunError(f"{shown(target.folder)} cannot be deleted ({error.strerror or error})") from None
    finally:
        _drop_empty(place)
    empty(place, away)
    return True


def empty(place: Path, folder: Path) -> None:
    """Deletes what lies in a trash folder, and that folder too where nothing else is in it.

    Raises:
        RunError: the system does not let us.
    """
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise RunError(
            f"{shown(folder)} cannot be deleted whole ({error.strerror or error}); "
            "python src/runs.py prune=leftovers tries again"
        ) from None
    finally:
        _drop_empty(place)


def unsent(runs: Iterable[FoundRun]) -> Iterator[FoundRun]:
    """Those whose W&B data is here alone: kept offline and never sent."""
    for run in runs:
        wandb = run.record.get("wandb")
        if isinstance(wandb, dict) and wandb.get("mode") == "offline":
            folder = run.folder / str(wandb.get("dir") or "wandb")
            if any(folder.glob("run-*.wandb")) and not any(folder.glob("*.synced")):
                yield run


def _drop_empty(place: Path) -> None:
    with suppress(OSError):
        place.rmdir()
