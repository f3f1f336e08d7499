"""SweepJob: one job of a sweep, as its ledger has it."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep.

    Args:
        number: its place, from 0.
        name: of its folder.
        overrides: its command line, without what only the sweep itself is told by.
        label: what sets it apart, for people.
    """

    number: int
    name: str
    overrides: tuple[str, ...]
    label: str

    def title(self, of: int | None) -> str:
        """What people call it: its place among all jobs; in a search, where nobody knows how many, its folder.

        Args:
            of: how many jobs the sweep has; None where nobody knows.

        Example:
            >>> job = SweepJob(5, "trial-0005", (), "optimizer.lr=0.1")
            >>> job.title(8), job.title(None)
            ('job 6 of 8', 'trial-0005')
        """
        return f"job {self.number + 1} of {of}" if of else self.name


def is_job(entry: Any) -> bool:
    """Whether an entry of a ledger has all that a job has."""
    known = {field.name for field in fields(SweepJob)}
    return isinstance(entry, dict) and known <= entry.keys() and isinstance(entry["overrides"], list)
