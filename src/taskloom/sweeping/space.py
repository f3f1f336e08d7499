"""Space: the hyper-parameters of a search, and which of them a trial has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from taskloom.errors import ConfigError
from taskloom.sweeping.domain import Choice, Numbers, Trial, Value, written

WHERE = "hydra.sweeper.params"


@dataclass(frozen=True)
class Condition:
    """``key=value,value``: what a parameter depends on."""

    key: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.values)}"


@dataclass(frozen=True)
class Parameter:
    """One hyper-parameter.

    Args:
        name: Optuna's for it: the key, and the conditions behind it where the key is searched under several.
        key: of the config, ``+`` before it where the config lacks it.
        domain: its values.
        conditions: all of which must hold.
    """

    name: str
    key: str
    domain: Choice | Numbers
    conditions: tuple[Condition, ...] = ()


class Space:
    """The parameters of a search; a trial has those whose conditions hold.

    Args:
        parameters: those that others depend on first.

    Example:
        >>> from taskloom.sweeping.read_space import read_space
        >>> space = read_space(
        ...     {
        ...         "model": "choice(hard_sharing, soft_sharing)",
        ...         "optimizer.lr": "tag(log, interval(1e-4, 1e-2))",
        ...         "model=soft_sharing": {"model.strength": "interval(0, 1)"},
        ...     },
        ...     [],
        ...     {},
        ... )
        >>> for overrides in space.samples():
        ...     print(overrides)
        ['model=hard_sharing', 'optimizer.lr=0.0001']
        ['model=soft_sharing', 'optimizer.lr=0.0001', 'model.strength=0.0']
        ['model=hard_sharing', 'optimizer.lr=0.01']
        ['model=soft_sharing', 'optimizer.lr=0.0001', 'model.strength=1.0']
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = tuple(parameters)

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """A trial's values by parameter name."""
        values: dict[str, Value] = {}
        for parameter in self.parameters:
            if self._holds(parameter, values):
                values[parameter.name] = parameter.domain.suggest(trial, parameter.name)
        return values

    def overrides(self, values: Mapping[str, Value]) -> list[str]:
        """The overrides of a trial's values.

        Raises:
            ConfigError: two parameters set the same key.
        """
        lines: dict[str, str] = {}
        for parameter in self.parameters:
            if parameter.name in values:
                if parameter.key in lines:
                    raise ConfigError(
                        f"{WHERE}: {parameter.key} is searched twice at once: as {parameter.name} as well; make its "
                        "conditions exclude each other, or leave one out"
                    )
                lines[parameter.key] = f"{parameter.key}={written(values[parameter.name])}"
        return list(lines.values())

    def samples(self) -> list[list[str]]:
        """Points that stand for all: the first one, then each choice and each end of an interval once."""
        found: dict[tuple[str, ...], None] = {}
        for wanted in [{}, *self._each_corner()]:
            values: dict[str, Value] = {}
            for parameter in self.parameters:
                if self._holds(parameter, values):
                    values[parameter.name] = wanted.get(parameter.name, parameter.domain.corners()[0])
            found[tuple(self.overrides(values))] = None
        return [list(lines) for lines in found]

    def __str__(self) -> str:
        return "\n".join(
            f"{parameter.name}: {parameter.domain} if {' and '.join(map(str, parameter.conditions)) or 'always'}"
            for parameter in self.parameters
        )

    def _each_corner(self) -> Iterator[dict[str, Value]]:
        for parameter in self.parameters:
            for value in parameter.domain.corners():
                yield self._reaching(parameter) | {parameter.name: value}

    def _reaching(self, parameter: Parameter) -> dict[str, Value]:
        """Values with which a parameter's conditions hold."""
        found: dict[str, Value] = {}
        for condition in parameter.conditions:
            for other in self.parameters:
                if bare(other.key) == condition.key:
                    corners = other.domain.corners()
                    found[other.name] = next((c for c in corners if written(c) in condition.values), corners[0])
        return found

    def _holds(self, parameter: Parameter, values: Mapping[str, Value]) -> bool:
        chosen = {bare(p.key): written(values[p.name]) for p in self.parameters if p.name in values}
        return all(chosen.get(condition.key) in condition.values for condition in parameter.conditions)


def bare(key: str) -> str:
    """A key without the sign that adds it.

    Example:
        >>> bare("+optimizer.amsgrad")
        'optimizer.amsgrad'
    """
    return key.lstrip("+~")
