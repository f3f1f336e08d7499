"""``where=`` and ``tag=``: which of the runs. Conditions are those of ``python src/runs.py``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from taskloom.comparing.reading import SCORE, Run
from taskloom.comparing.settings import Value
from taskloom.config.suggest import unknown_key
from taskloom.errors import ConfigError
from taskloom.managing.condition import read_condition

_OWN = ("state", "name", "created", "seed", SCORE)


def keep(runs: Sequence[Run], where: str | None, tag: str | None = None) -> list[Run]:
    """The runs for which a condition holds.

    Args:
        runs: to choose from.
        where: comparisons such as ``backbone = fm and optimizer.lr <= 1e-3``, joined by and, or, not and brackets.
            Names are config groups, config keys, test metrics (``like/auc``), ``val/score``, state, name, created,
            seed.
        tag: a word that they have.

    Raises:
        ConfigError: it cannot be read, or no run has what it names.
    """
    if tag:
        words = sorted({word for run in runs for word in run.tags})
        if tag not in words:
            raise ConfigError(f"tag={tag}: no run has it; the tags are {', '.join(words) or 'none'}")
        runs = [run for run in runs if tag in run.tags]
    if not where:
        return list(runs)
    condition = read_condition(where)
    names = {*_OWN, *names_of(runs), *(name for run in runs for name in run.test)}
    for name in condition.names:
        if name not in names:
            raise ConfigError(f"where: {unknown_key(name, [n for n in names if '.' not in n], names)}")
    return [run for run in runs if condition.test(cast(Any, _Values(run)))]


def names_of(runs: Iterable[Run]) -> set[str]:
    """All settings that any of the runs has."""
    return {key for run in runs for keys in (run.choices, run.settings) for key in keys}


@dataclass(frozen=True)
class _Values:
    """A run as conditions ask it."""

    run: Run

    def value(self, name: str) -> Value:
        run = self.run
        if name in ("state", "name", "created", "seed"):
            return getattr(run, name)
        if name == SCORE:
            return run.val.get("score")
        return run.test[name] if name in run.test else run.get(name)
