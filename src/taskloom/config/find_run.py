"""Which run a person means by a folder, or by ``last``."""

from collections.abc import Collection
from pathlib import Path

from taskloom.errors import RunError
from taskloom.sweeping.ledger import Ledger
from taskloom.tracking.run_folder import RunFolder

LAST = "last"


def find_run(name: str, logs: Path, states: Collection[str]) -> Path:
    """The folder of a run.

    Args:
        name: a folder, relative to the working directory; or ``last``, the latest run in one of the states.
        logs: where ``last`` looks: its ``runs`` and its ``multiruns``.
        states: of run.json.

    Raises:
        RunError: the folder holds no run, or no run is in one of the states.
    """
    if name != LAST:
        return RunFolder.open(Path(name).expanduser()).path
    created: dict[Path, str] = {}
    for file in [*logs.glob("runs/*/run.json"), *logs.glob("multiruns/*/*/run.json")]:
        try:
            record = RunFolder(file.parent).read()
        except RunError:  # a record that is damaged is not what `last` means
            continue
        if record["state"] in states:
            created[file.parent] = str(record.get("created", ""))
    if not created:
        raise RunError(f"no run in {logs} is {' or '.join(states)}; name a run folder instead of last")
    return max(created, key=lambda folder: created[folder])


def find_sweep(logs: Path) -> Path:
    """The folder of the latest sweep.

    Args:
        logs: whose ``multiruns`` are looked at.

    Raises:
        RunError: there is none.
    """
    created: dict[Path, str] = {}
    for file in logs.glob("multiruns/*/sweep.json"):
        try:
            created[file.parent] = str(Ledger(file.parent).read().get("created", ""))
        except RunError:
            continue
    if not created:
        raise RunError(f"no sweep in {logs / 'multiruns'}; name its folder instead of last")
    return max(created, key=lambda folder: created[folder])
