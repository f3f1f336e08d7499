"""All runs and sweeps under a folder of logs."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskloom.errors import RunError
from taskloom.managing.disk import Contents, Size, contents
from taskloom.managing.found_run import FoundRun, Problem
from taskloom.managing.locks import alive
from taskloom.managing.problems import run_problems, sweep_problems
from taskloom.sweeping.ledger import ENDED, SWEEP, Ledger
from taskloom.tracking.run_folder import RunFolder

#: folder beside runs in which what is being deleted lies
TRASH = ".trash"
#: seconds within which a folder without run.json may be that of a run that is just starting
STARTING = 600


@dataclass(frozen=True)
class FoundSweep:
    """A multirun on disk.

    Args:
        folder: absolute.
        runs: its jobs, those that have not begun among them, in their order.
        own: what it takes beside its jobs.
        problems: what is wrong with it.
        record: its sweep.json; empty where that is absent or damaged.
        is_link: the folder lies elsewhere and is only linked to.
    """

    folder: Path
    runs: tuple[FoundRun, ...]
    own: Size = field(default_factory=Size)
    problems: tuple[Problem, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    is_link: bool = False


@dataclass(frozen=True)
class Found:
    """What lies under a folder of logs.

    Args:
        runs: single runs and the jobs of all sweeps.
        sweeps: by folder.
        leftovers: folders that an interrupted deletion left, and what they take.
    """

    runs: list[FoundRun]
    sweeps: dict[Path, FoundSweep]
    leftovers: dict[Path, int]


def find(logs: Path, debug: bool = False) -> Found:
    """Looks through ``train/runs`` and ``train/multiruns``, and with ``debug`` through ``debug`` as well.

    Args:
        logs: the folder of all logs; one that is not there holds nothing.
        debug: whether debug runs count.
    """
    found = Found([], {}, {})
    for room in ("train", "debug") if debug else ("train",):
        for folder, is_link in _folders(logs / room / "runs", found):
            run = read_run(folder, is_link=is_link)
            if run is not None:
                found.runs.append(run)
        for folder, is_link in _folders(logs / room / "multiruns", found):
            sweep = _read_sweep(folder, is_link, found)
            found.sweeps[folder] = sweep
            found.runs.extend(sweep.runs)
    return found


def read_run(
    folder: Path, sweep: Path | None = None, job: Mapping[str, Any] | None = None, is_link: bool = False
) -> FoundRun | None:
    """One run; None where the folder is gone.

    Args:
        folder: its.
        sweep: that it is a job of.
        job: what sweep.json says of it, and its ``event``, the last in the ledger.
        is_link: see `FoundRun`.
    """
    known = job or {}
    found = Contents() if is_link else contents(folder)
    run = RunFolder(folder)
    record: Mapping[str, Any] = {}
    reason = ""
    try:
        record = run.read()
        state, reason = str(record["state"]), str(record.get("reason") or "")
        if state not in ENDED and alive(folder):
            state = "running"
        elif state == "running":
            state = "killed"
    except RunError as error:
        if not folder.is_dir() and job is None:
            return None
        state, reason = _without_record(run, found, known, str(error))
    overrides = record.get("overrides") or known.get("overrides") or _noted_overrides(folder)
    name = f"{sweep.name}/{folder.name}" if sweep else folder.name
    problems = tuple(run_problems(folder, name, sweep, state, record, reason, found))
    return FoundRun(
        folder,
        state,
        record,
        tuple(str(override) for override in overrides) if isinstance(overrides, list | tuple) else (),
        reason,
        sweep,
        found.size,
        found.newest,
        problems if not is_link else (),
        is_link,
    )


def _without_record(run: RunFolder, found: Contents, job: Mapping[str, Any], error: str) -> tuple[str, str]:
    """State and reason of a folder whose run.json is absent or damaged."""
    if run.file.exists():
        return "broken", error
    if alive(run.path):
        return "running", ""
    if job:
        failed = job.get("event", {}).get("event") == "failed"
        return ("failed", str(job["event"].get("reason") or "")) if failed else ("pending", "")
    # A process makes its folder seconds before the run.json in it.
    newest = found.newest or _modified(run.path)
    return ("starting", "") if time.time() - newest < STARTING else ("broken", "")


def _read_sweep(folder: Path, is_link: bool, all_found: Found) -> FoundSweep:
    record, damage = _sweep_record(folder)
    events: dict[str, dict[str, Any]] = {}
    done = set()
    for event in Ledger(folder).events() if record else ():
        events[str(event.get("job"))] = event
        if event.get("event") in ENDED:
            done.add(str(event.get("job")))
    jobs = {}
    for job in record.get("jobs") or ():
        if isinstance(job, Mapping) and isinstance(job.get("name"), str):
            jobs[job["name"]] = {**job, "event": events.get(job["name"], {})}
    there = dict(_folders(folder, all_found))
    names = [*jobs, *(path.name for path in sorted(there) if path.name not in jobs)]
    runs = (read_run(folder / name, folder, jobs.get(name), there.get(folder / name, False)) for name in names)
    missing = [name for name in jobs if name in done and folder / name not in there]
    return FoundSweep(
        folder,
        tuple(run for run in runs if run is not None),
        Size() if is_link else contents(folder, [*(path.name for path in there), TRASH]).size,
        tuple(sweep_problems(folder, damage, missing)),
        record,
        is_link,
    )


def _sweep_record(folder: Path) -> tuple[Mapping[str, Any], str]:
    """What sweep.json says, and what is wrong with it. A multirun of earlier days has none."""
    if not (folder / SWEEP).exists():
        return {}, ""
    try:
        return Ledger(folder).read(), ""
    except RunError as error:
        return {}, str(error)


def _folders(parent: Path, found: Found) -> Iterator[tuple[Path, bool]]:
    """The folders directly in one, and whether each is a link; what lies in its trash goes to the leftovers."""
    try:
        entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name == TRASH and entry.is_dir(follow_symlinks=False):
            if any(Path(entry.path).iterdir()):
                found.leftovers[Path(entry.path)] = contents(Path(entry.path)).size.total
        elif not entry.name.startswith(".") and entry.is_dir():
            yield Path(entry.path), entry.is_symlink()


def _noted_overrides(folder: Path) -> list[str]:
    """The overrides of a run of earlier days, as Hydra wrote them down."""
    file = folder / ".hydra" / "overrides.yaml"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [line[2:].strip("'\"") for line in lines if line.startswith("- ")]


def _modified(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
