"""The jobs of a multirun: every combination of the values that its overrides list."""

import itertools
from collections.abc import Sequence

from hydra.core.override_parser.types import Override

from taskloom.errors import ConfigError


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
            raise ConfigError(f"{override.input_line}: an interval has no list of values; name some, or use range(...)")
    return [list(job) for job in itertools.product(*values.values())]


def labels(jobs: Sequence[Sequence[str]]) -> list[str]:
    """What sets each job apart: its overrides without those that all jobs have.

    Example:
        >>> labels([["model=near", "seed=1", "tasks=[like]"], ["model=near", "seed=2", "tasks=[like]"]])
        ['seed=1', 'seed=2']
    """
    common = set.intersection(*map(set, jobs))
    return [" ".join(override for override in job if override not in common) for job in jobs]


def common_keys(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The keys that are the same in all jobs, so that no folder needs to be named after them.

    Example:
        >>> common_keys([["model=near", "+seed=1"], ["model=near", "+seed=2"]])
        ['model']
    """
    common = set.intersection(*map(set, jobs))
    return [override.partition("=")[0].lstrip("+~") for override in jobs[0] if override in common]
