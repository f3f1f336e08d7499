"""W&B's files on this machine: where they lie, and the commands that send them or show them in a terminal."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

#: of a sweep's folder: a link to each of the folders that W&B made for its jobs, because its commands look into one
LINKS = ".wandb"
_OFFLINE = "offline-run-*"


def link_to_sweep(directory: Path, sweep: Path) -> None:
    """Makes a run of W&B's known to the sweep that it is a job of; where there are no links, nothing is lost.

    Args:
        directory: W&B's folder of the run.
        sweep: the sweep's folder.
    """
    with suppress(OSError):
        links = sweep / LINKS
        links.mkdir(exist_ok=True)
        (links / directory.name).symlink_to(Path("..") / directory.relative_to(sweep))


def is_offline(files: Path) -> bool:
    """Whether there are runs that W&B's server has not been told of, as far as this folder knows."""
    return any(path.is_dir() for path in files.glob(_OFFLINE))


def sync_command(files: Sequence[str], online: bool = False) -> str:
    """The one command that sends all of these to W&B; what was sent before is left out by it.

    Args:
        files: folders as a person would name them here.
        online: the runs were online, and not all of them arrived.

    Example:
        >>> sync_command(["logs/train/runs/a b/wandb"])
        "wandb sync 'logs/train/runs/a b/wandb'"
    """
    return " ".join(["wandb sync", *(["--include-online"] if online else []), *map(shlex.quote, files)])


def folders_to_sync(runs: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Path]:
    """The fewest folders that a sync of these runs has to name: a sweep's own, where it has links, else each run's.

    Args:
        runs: run folders with their run.json; those that W&B knows nothing of are left out.
    """
    found: dict[Path, None] = {}
    for folder, record in runs:
        directory = (record.get("wandb") or {}).get("dir")
        if directory:
            links = folder.parent / LINKS  # a sweep's folder may have been moved since
            found[links if record.get("sweep") and links.is_dir() else (folder / directory).parent] = None
    return list(found)
