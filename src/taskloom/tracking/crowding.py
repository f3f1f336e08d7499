"""Crowding: whether other work shares the processors that the threads of a training wait for each other on."""

import math
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

#: of a second: a shorter epoch says nothing, because the system counts in hundredths
SHORTEST = 1.0
#: of a processor: what the system itself and an idle desktop take stays below
ENOUGH = 0.5


@dataclass(frozen=True)
class Reading:
    """Clocks, in seconds.

    Args:
        wall: of the wall.
        own: of the processors, that this process has had.
        all: of the processors that this process may run on, that whatever runs there has had.
        cpus: how many they are.
    """

    wall: float
    own: float
    all: float
    cpus: int


def read(stat: Path = Path("/proc/stat")) -> Reading | None:
    """The clocks now; None where the system does not tell (anything but Linux).

    Args:
        stat: the system's account, a line a processor.

    Example:
        >>> now = read()
        >>> now is None or now.all > 0
        True
    """
    try:
        lines = [line.split() for line in stat.read_text().splitlines()]
        mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return None
    # user, nice, system, (idle, waiting for a disk,) interrupts, soft interrupts, taken by other virtual machines
    busy = [sum(map(int, [*line[1:4], *line[6:9]])) for line in lines if line and line[0] in mine]
    if len(busy) < len(mine):
        return None
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Reading(time.monotonic(), used.ru_utime + used.ru_stime, sum(busy) / ticks, len(mine))


def crowding(begin: Reading, end: Reading, threads: int) -> str | None:
    """What to tell people whose training shares its processors with other work; None where there is nothing to tell.

    Threads of one operation wait for each other at its end, and spin while they do. Where other work takes one of their
    processors, all wait for the thread that has lost its own, at every operation: several times slower than with a
    thread less.

    Args:
        begin, end: the clocks at both ends of an epoch.
        threads: of the training.

    Example:
        >>> crowding(Reading(0, 0, 0, cpus=2), Reading(10, 10.4, 20, cpus=2), threads=2)
        'other work keeps 1.0 of 2 processors busy, and threads wait for each other: trainer.threads=1 should be faster'
    """
    seconds = end.wall - begin.wall
    if threads < 2 or seconds < SHORTEST:
        return None
    others = (end.all - begin.all - (end.own - begin.own)) / seconds
    if others + threads < end.cpus + ENOUGH:
        return None
    fewer = max(1, min(threads - 1, end.cpus - math.ceil(others - ENOUGH)))
    return (
        f"other work keeps {others:.1f} of {end.cpus} processors busy, and threads wait for each other: "
        f"trainer.threads={fewer} should be faster"
    )
