"""Words that people give to runs, kept in run.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taskloom.errors import RunError
from taskloom.managing.found_run import FoundRun
from taskloom.tracking.run_folder import RunFolder


def change_tags(
    runs: Sequence[FoundRun], add: Sequence[str], remove: Sequence[str]
) -> tuple[int, list[tuple[Path, str]]]:
    """Adds and removes words; a run that is running keeps what it writes meanwhile.

    Args:
        runs: whose tags they are.
        add: words that all of them get.
        remove: words that none of them has afterwards.

    Returns:
        How many runs have other tags than before, and which could not be changed and why.
    """
    changed, refused = 0, []
    for run in runs:
        try:
            changed += _change(RunFolder(run.folder), add, remove)
        except (RunError, OSError) as error:
            refused.append((run.folder, str(error)))
    return changed, refused


def _change(folder: RunFolder, add: Sequence[str], remove: Sequence[str]) -> bool:
    changed = False

    def change(record: dict[str, Any]) -> dict[str, Any]:
        nonlocal changed
        before = record.get("tags") or []
        after = [tag for tag in dict.fromkeys([*map(str, before), *add]) if tag not in remove]
        changed = after != before
        return {"tags": after} if changed else {}

    folder.amend(change)
    return changed
