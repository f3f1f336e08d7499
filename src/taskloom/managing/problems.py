"""What is wrong with a run folder, and what to do about it."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from taskloom.managing.disk import Contents
from taskloom.managing.found_run import Problem
from taskloom.sweeping.ledger import ENDED

_TRAIN, _RUNS = "python src/train.py", "python src/runs.py"
#: key of run.json: the checkpoints that ``prune=`` took away
FREED = "freed"


def shown(path: Path) -> str:
    """A path as a person in the working directory would type it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def delete(name: str) -> str:
    """The command that deletes what has this name."""
    return f"{_RUNS} name={quoted(name)} delete=true"


def quoted(text: str) -> str:
    """A word for the shell."""
    import shlex

    return shlex.quote(text)


def resume(folder: Path, sweep: Path | None) -> str:
    """The command that goes on with a run."""
    return f"{_TRAIN} -m resume={quoted(shown(sweep))}" if sweep else f"{_TRAIN} resume={quoted(shown(folder))}"


def run_problems(
    folder: Path,
    name: str,
    sweep: Path | None,
    state: str,
    record: Mapping[str, Any],
    reason: str,
    found: Contents,
) -> Iterator[Problem]:
    """What is wrong with a run.

    Args:
        folder: of the run.
        name: that ``name=`` takes.
        sweep: that it is a job of.
        state: see `FoundRun`.
        record: its run.json; empty where there is none.
        reason: what is wrong with run.json.
        found: in the folder.
    """
    if state in ("running", "starting", "pending"):
        return
    if state == "broken":
        again = f"; {resume(folder, sweep)} begins it anew" if sweep else ""
        yield Problem(reason or "no run.json: it ended before it began", delete(name) + again)
    elif state == "killed":
        held = "" if "checkpoints/last.ckpt" in found.files else ", from the beginning: it has no checkpoint"
        yield Problem("says that it is running, and no process does", f"{resume(folder, sweep)} goes on{held}")
    if state in ENDED:
        freed = record.get(FREED)
        yield from _missing(state, record, found.files, freed if isinstance(freed, list) else [], name)
    if "metrics.jsonl" in found.files and _torn(folder / "metrics.jsonl"):
        yield Problem("metrics.jsonl ends in the middle of a line", "readers leave that line out; nothing to do")
    if found.strays:
        names = ", ".join(str(path.relative_to(folder)) for path in found.strays[:3])
        more = f" and {len(found.strays) - 3} more" if len(found.strays) > 3 else ""
        yield Problem(
            f"left by an interrupted write: {names}{more}", f"{_RUNS} name={quoted(name)} prune=leftovers removes it"
        )


def sweep_problems(folder: Path, damage: str, missing: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with a sweep.

    Args:
        folder: of the sweep.
        damage: what is wrong with its sweep.json; empty where nothing is.
        missing: names of jobs that ended well once and whose folders are not there.
    """
    if damage:
        yield Problem(damage, f"its jobs are whole runs all the same; {delete(folder.name)} deletes all")
    if missing:
        names = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        yield Problem(f"done once, and their folders are gone: {names}", f"{resume(folder, folder)} repeats them")


def _missing(
    state: str, record: Mapping[str, Any], files: Collection[str], freed: Sequence[str], name: str
) -> Iterator[Problem]:
    """Files and numbers that a finished run must have."""
    absent = []
    if state == "done":
        if not isinstance(record.get("test"), Mapping):
            absent.append("test scores in run.json")
        absent += [file for file in ("metrics.jsonl", "predictions/test.parquet") if file not in files]
        # A sharded checkpoint is a folder of that name.
        there = any(file == "checkpoints/best.ckpt" or file.startswith("checkpoints/best.ckpt/") for file in files)
        if not there and "best.ckpt" not in freed:
            absent.append("checkpoints/best.ckpt")
    if absent:
        advice = f"its numbers stand, other things cannot be had again: keep it, or {delete(name)}"
        if "test scores in run.json" in absent:
            advice = delete(name)
        yield Problem(f"{state}, but without {', '.join(absent)}", advice)


def _torn(file: Path) -> bool:
    """Whether a file of lines ends within one."""
    try:
        with file.open("rb") as reader:
            if reader.seek(0, os.SEEK_END) == 0:
                return False
            reader.seek(-1, os.SEEK_END)
            return reader.read(1) != b"\n"
    except OSError:
        return False
