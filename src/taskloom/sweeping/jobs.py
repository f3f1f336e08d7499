"""The jobs of a multirun: every combination of the values that its overrides list."""

import hashlib
import itertools
import re
from collections.abc import Sequence

from hydra.core.override_parser.types import Override

from taskloom.errors import ConfigError

_LONGEST = 96  # leaves room for checkpoints' names where a path may have 260 characters


def list_jobs(overrides: Sequence[Override]) -> list[list[str]]:
    """The overrides of each job, the last list varying fastest: the order in which Hydra runs them.

    Args:
        overrides: understood by Hydra's parser.

    Raises:
        ConfigError: a sweep over a continuous interval, which only a search can walk.
    """
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [override.input_line or f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise ConfigError(
                f"{override.input_line}: an interval has no list of values: name some, or "
                "search it with hydra/sweeper=optuna"
            )
    return [list(job) for job in itertools.product(*values.values())]


def apart(jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """What sets each job apart: its overrides without those that all jobs have.

    Example:
        >>> apart([["model=near", "seed=1", "tasks=[like]"], ["model=near", "seed=2", "tasks=[like]"]])
        [['seed=1'], ['seed=2']]
    """
    common = set.intersection(*map(set, jobs))
    return [[override for override in job if override not in common] for job in jobs]


def folder_name(parts: Sequence[str]) -> str:
    """The name of a job's folder: what sets it apart, safe on any file system.

    Args:
        parts: overrides that the job does not have in common with all others.

    Example:
        >>> folder_name(["model=soft_sharing", "seed=1", "data.source=/a b/c.zip"])
        'model-soft_sharing_seed-1_data.source--a-b-c.zip'
        >>> folder_name([])
        'job'
    """
    safe = "_".join(re.sub(r"[^\w.-]", "-", part.lstrip("+~")) for part in parts)
    if len(safe) > _LONGEST:
        safe = f"{safe[:_LONGEST]}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:8]}"
    return safe.strip("_.-") or "job"
