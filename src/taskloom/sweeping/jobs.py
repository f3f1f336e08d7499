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
            raise ConfigError(
                f"{override.input_line}: an interval has no list of values; name some, or use range(...)"
            )
    return [list(job) for job in itertools.product(*values.values())]


def label(overrides: Sequence[str]) -> str:
    """A job's overrides in one piece, without those of Hydra's own.

    Example:
        >>> label(["model=soft_sharing", "seed=1", "hydra.verbose=true"])
        'model=soft_sharing seed=1'
    """
    return " ".join(override for override in overrides if not override.startswith("hydra"))
