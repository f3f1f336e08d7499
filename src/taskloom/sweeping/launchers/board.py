"""Board: which jobs of a sweep are under way, and how the others ended, on the terminal of the command."""

import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

REDRAWS_PER_SECOND = 2


@dataclass(frozen=True)
class Entry:
    """A job, in the words that people know it by.

    Args:
        title: such as ``job 2 of 8``.
        label: what sets it apart.
        folder: of the run.
    """

    title: str
    label: str
    folder: str

    def __str__(self) -> str:
        return self.title


@dataclass
class Board:
    """Prints a line as a job begins and as it ends; in a terminal, a live count and the jobs under way below them.

    Args:
        jobs: how many this command is going to run; None where nobody knows.
        workers: how many run at once.
        file: where to; None is standard output.
    """

    jobs: int | None
    workers: int
    file: IO[str] | None = None
    running: dict[int, tuple[Entry, float]] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    lasted: list[float] = field(default_factory=list)  # seconds of each job that came to its end

    def __enter__(self) -> Self:
        self.console = Console(file=self.file or sys.stdout)
        self.live = None
        if self.console.is_terminal:
            self.live = Live(
                get_renderable=self.render,
                console=self.console,
                refresh_per_second=REDRAWS_PER_SECOND,
                transient=True,
            )
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def begin(self, place: int, entry: Entry) -> None:
        """A job begins."""
        self.running[place] = entry, time.monotonic()
        if self.live is None:  # else it stands below
            self.say(f"{entry} begins: {entry.label}")

    def end(self, place: int, returned: dict[str, Any]) -> None:
        """A job has ended.

        Args:
            place: of the job.
            returned: ``state`` and, where it failed, ``reason``.
        """
        entry, began = self.running.pop(place)
        seconds = time.monotonic() - began
        state = str(returned.get("state", "done"))
        self.ended[state] += 1
        if state == "failed":
            log = f" ({entry.folder}/output.log)" if entry.folder else ""
            self.say(f"{entry} failed after {spell(seconds)}: {entry.label}: {returned.get('reason')}{log}")
        elif state == "elsewhere":
            self.say(f"{entry} is another process's: {entry.label}")
        else:
            self.lasted.append(seconds)
            self.say(f"{entry} {state} in {spell(seconds)}: {entry.label}")

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def render(self) -> Group:
        """The live part: counts, the time left, and a line a job under way."""
        now = time.monotonic()
        lines = [Text(self.counts(now), style="bold", no_wrap=True, overflow="ellipsis")]
        for entry, began in list(self.running.values()):
            words = f"  {entry}  {spell(now - began)}  {entry.label}"
            lines.append(Text(words, no_wrap=True, overflow="ellipsis"))
        return Group(*lines)

    def counts(self, now: float) -> str:
        """How many jobs are in which state, and about how long the rest will take."""
        parts = [f"{count} {state}" for state, count in self.ended.items()]
        parts.append(f"{len(self.running)} running")
        if self.jobs is not None:
            waiting = max(0, self.jobs - self.ended.total() - len(self.running))
            parts.append(f"{waiting} waiting")
            if self.lasted:
                parts.append(f"about {spell(self.seconds_left(waiting, now))} left")
        return ", ".join(parts)

    def seconds_left(self, waiting: int, now: float) -> float:
        """From how long the jobs that came to their end took; each of the others is taken to last as long."""
        mean = statistics.fmean(self.lasted)
        under_way = [max(0.0, mean - (now - began)) for _, began in list(self.running.values())]
        return max([(waiting * mean + sum(under_way)) / self.workers, *under_way])


def spell(seconds: float) -> str:
    """A duration for people.

    Example:
        >>> [spell(s) for s in (0.42, 31.8, 250, 7500)]
        ['0.4 s', '32 s', '4 min 10 s', '2 h 5 min']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
