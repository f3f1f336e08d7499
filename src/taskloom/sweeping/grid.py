"""The jobs of a grid: those left to do, by way of a launcher."""

import sys
from collections.abc import Sequence
from typing import Any, Protocol

from taskloom.sweeping.ledger import ENDED, Ledger
from taskloom.sweeping.sweep_job import SweepJob


class Launcher(Protocol):
    """Hydra's launchers, as far as a sweep needs them."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Runs all jobs and gives what they returned."""


def run_jobs(ledger: Ledger, launcher: Launcher) -> list[Any]:
    """Runs every job of a sweep that has not ended, and gives what they returned.

    Args:
        ledger: the sweep's.
        launcher: ours, which give a job's result as it ends, or any other of Hydra's.
    """
    states = ledger.states()
    todo = [job for job in ledger.jobs if states[job.name] not in (*ENDED, "running")]
    if not todo:
        return []
    lines = [job_line(job) for job in todo]
    if hasattr(launcher, "stream"):
        returns = []
        for number, returned in launcher.stream(iter(lines)):
            returns.append(returned)
            ended = returned.return_value
            if isinstance(ended, dict) and ended.get("state") == "failed" and not ended.get("folder"):
                ledger.log(todo[number], "failed", ended["reason"])  # its process died, and could not say so
        return returns
    try:
        return list(launcher.launch(lines, 0))
    except (
        Exception
    ) as error:  # of a job that left no result, such as one that a cluster killed: the ledger tells of it
        print(f"the launcher ended early: {type(error).__name__}: {error}", file=sys.stderr)
        return []


def job_line(job: SweepJob) -> list[str]:
    """The overrides that a launcher composes a job's config from."""
    return [*job.overrides, f"hydra.sweep.subdir={job.name}"]
