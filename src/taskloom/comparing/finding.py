"""Which run folders a person means by ``runs=``."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from taskloom.errors import RunError

LAST = "last"
_DEPTH = 5  # folders below a named one in which runs are looked for
_CREATED = re.compile(rb'"created":\s*"([^"]+)"')


def find_runs(words: str | None, logs: Path) -> tuple[list[Path], Path | None, list[str]]:
    """Run folders, the one sweep that they are, and what was asked for and is not there.

    Args:
        words: folders and patterns with commas between them: a run, a sweep, any folder that holds runs;
            ``last``, the latest multirun; None takes the latest multirun, or all runs where there is none.
        logs: where to look without a folder: ``logs/train``.

    Raises:
        RunError: nothing at all is there.
    """
    if words is None:
        latest = last_sweep(logs)
        words = str(latest) if latest else str(logs)
        if latest is None and not below(logs):
            raise RunError(f"no runs in {logs}; train some: python src/train.py -m model=single_task,soft_sharing")
        named = [words]
    else:
        named = _split(words)
    folders: dict[Path, None] = {}
    missing, sweeps = [], []
    for word in named:
        if word == LAST:
            latest = last_sweep(logs)
            if latest is None:
                missing.append(f"no multirun in {logs / 'multiruns'}: name a folder instead of last")
                continue
            places = [latest]
        else:
            path = Path(word).expanduser()
            places = [path] if path.exists() else [Path(found) for found in sorted(glob.glob(str(path)))]
        runs = [run for place in places for run in below(place.absolute())]
        if not runs:
            there = "there is no such folder" if not places else "no folder in it has a run.json"
            missing.append(f"no runs in {word}: {there}")
        sweeps += places
        folders |= dict.fromkeys(runs)
    if not folders:
        raise RunError("; ".join(missing) or "runs= names nothing: give a run folder, a sweep folder, or last")
    return list(folders), _one_sweep(sweeps), missing


def below(folder: Path, depth: int = _DEPTH) -> list[Path]:
    """The run folders at or below a folder, a run's own folders not searched."""
    if (folder / "run.json").is_file():
        return [folder]
    if depth == 0 or not folder.is_dir():
        return []
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [run for path in inside for run in below(path, depth - 1)]


def last_sweep(logs: Path) -> Path | None:
    """The multirun whose latest job began last."""
    began: dict[Path, str] = {}
    for file in logs.glob("multiruns/*/*/run.json"):
        with file.open("rb") as opened:
            created = _CREATED.search(opened.read(2000))  # it stands at the top
        word = created[1].decode() if created else ""
        began[file.parent.parent] = max(word, began.get(file.parent.parent, ""))
    return max(began, key=lambda folder: began[folder]) if began else None


def _one_sweep(places: Sequence[Path]) -> Path | None:
    """The sweep's folder, where that is what was named."""
    if len(places) != 1:
        return None
    folder = places[0].absolute()
    is_sweep = (folder / "sweep.json").is_file() or folder.parent.name == "multiruns"
    return folder if is_sweep and not (folder / "run.json").is_file() else None


def _split(words: str) -> list[str]:
    if Path(words).expanduser().exists():  # a folder's name may have commas
        return [words]
    return [word.strip().strip("'\"") for word in words.strip().strip("[]").split(",") if word.strip()]
