"""Preflight of all jobs of a command line, each mistake told once with the place it comes from."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from taskloom.config.compose import Composed, Composer
from taskloom.config.locate import where
from taskloom.config.preflight import preflight
from taskloom.config.schema import COLLECTIONS, NODES
from taskloom.config.values import Problem
from taskloom.errors import ConfigError
from taskloom.sweeping.jobs import apart


def check(compose: Composer, jobs: Sequence[list[str]], conf: Path) -> list[Composed]:
    """Composes and checks all jobs, and gives their configs.

    Raises:
        ConfigError: every mistake, one a line; those of some jobs alone say of which.
    """
    found: dict[str, list[int]] = {}
    composed: list[Composed] = []
    # A tenth of a second each.
    watched = track(jobs, f"checking {len(jobs):,} jobs", transient=True, disable=len(jobs) < 50)
    for number, overrides in enumerate(watched):
        try:
            composed.append(compose.compose(overrides))
            sentences = list(_sentences(composed[-1], compose.command, conf))
        except ConfigError as error:
            sentences = [str(error)]
        for sentence in dict.fromkeys(sentences):
            found.setdefault(sentence, []).append(number)
    lines, names = [], [" ".join(parts) for parts in apart(jobs)]
    for sentence, numbers in found.items():
        which = f"job {numbers[0] + 1} ({names[numbers[0]]}): "
        more = f" (and in {len(numbers) - 1} more)" if len(numbers) > 1 else ""
        lines.append(sentence if len(numbers) == len(jobs) else which + sentence + more)
    if lines:
        raise ConfigError("\n".join(lines))
    return composed


def _sentences(composed: Composed, command: str, conf: Path) -> Iterator[str]:
    """What is wrong with one job, each with the file and line it comes from."""
    yield from (problem.text for problem in composed.problems)
    if not composed.config:
        return
    keys = [override.key_or_group for override in composed.overrides]
    sections = None
    if composed.problems:
        # Targets are imported, which takes seconds: only where there may be a further mistake.
        sections = {key.split(".")[0] for key in keys} & {*NODES, *COLLECTIONS}
    for problem in preflight(composed.config, sections):
        yield problem.text + _origin(problem, keys, conf, command, composed.choices)


def _origin(problem: Problem, keys: Sequence[str], conf: Path, command: str, choices: Any) -> str:
    path = problem.path
    if any(path == key or path.startswith((f"{key}.", f"{key}[")) for key in keys if key not in choices):
        return ""  # it stands in the command line
    place = where(conf, command, choices, path)
    return f" ({place})" if place else ""
