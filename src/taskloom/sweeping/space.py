"""Space: the hyper-parameters of a search, in Hydra's own notation, and which of them a trial has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException

from taskloom.errors import ConfigError

Value = bool | int | float | str | None
_WHERE = "hydra.sweeper.params"


class Trial(Protocol):
    """Optuna's trial, as far as a space needs it."""

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """One of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number, both ends included."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number, both ends included."""


@dataclass(frozen=True)
class Choice:
    """One of several values; what is neither a number, a boolean nor null stands as it does in an override."""

    values: tuple[Value, ...]

    def suggest(self, trial: Trial, name: str) -> Value:
        """A trial's value."""
        return trial.suggest_categorical(name, self.values)

    def corners(self) -> tuple[Value, ...]:
        """Values that stand for all."""
        return self.values


@dataclass(frozen=True)
class Numbers:
    """Numbers from ``low`` to ``high``, both included; in steps, or by their logarithm."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> Value:
        """A trial's value."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def corners(self) -> tuple[Value, ...]:
        """Values that stand for all."""
        return (self.low, self.high) if self.low != self.high else (self.low,)


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
                        f"{_WHERE}: {parameter.key} is searched twice at once: as {parameter.name} as well; make its "
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
                if _bare(other.key) == condition.key:
                    corners = other.domain.corners()
                    found[other.name] = next((c for c in corners if written(c) in condition.values), corners[0])
        return found

    def _holds(self, parameter: Parameter, values: Mapping[str, Value]) -> bool:
        chosen = {_bare(p.key): written(values[p.name]) for p in self.parameters if p.name in values}
        return all(chosen.get(condition.key) in condition.values for condition in parameter.conditions)


def read_space(params: Mapping[str, Any], overrides: Sequence[Override], choices: Mapping[str, Any]) -> Space:
    """The space that a sweeper's ``params`` and a command line describe together.

    An override that lists values or an interval is a parameter; one that sets a key takes it out of ``params``.

    Args:
        params: of ``hydra.sweeper``: a key of the config and its values in Hydra's notation, or a condition
            ``key=value,value`` and the same again, for parameters that exist under that condition alone.
        overrides: of the command line, understood by Hydra's parser.
        choices: the member chosen in each group, for conditions on groups that are not searched.

    Raises:
        ConfigError: a parameter that cannot be read or has no values, or a condition on what is not known.
    """
    given = {_bare(override.key_or_group): override for override in overrides if not _of_hydra(override)}
    found: list[tuple[str, tuple[Condition, ...], Override]] = [
        (o.get_key_element(), (), o) for o in given.values() if o.is_sweep_override()
    ]
    found += [each for each in _read_section(params, (), _WHERE) if _bare(each[0]) not in given]
    fixed = {str(group): written(member) for group, member in choices.items()}
    fixed |= {key: _one_value(o) for key, o in given.items() if not o.is_sweep_override() and not o.is_delete()}
    found.sort(key=lambda each: len(each[1]))  # what others depend on comes first
    several = {key for key, _, _ in found if sum(other == key for other, _, _ in found) > 1}
    parameters: list[Parameter] = []
    for key, conditions, override in found:
        still_open = _still_open(conditions, parameters, fixed)
        if still_open is not None:
            name = _bare(key) + (f" [{' '.join(map(str, conditions))}]" if key in several and conditions else "")
            parameters.append(Parameter(name, key, _domain(override), still_open))
    if not parameters:
        raise ConfigError(
            "There is nothing to search: choose a search with sweep=<name>, or name values such as "
            "'optimizer.lr=tag(log, interval(1e-4, 1e-1))'"
        )
    space = Space(parameters)
    space.samples()
    return space


def written(value: Value) -> str:
    """A value as it stands in an override.

    Example:
        >>> [written(value) for value in (None, True, 1e-05, 16, "[64, 32]")]
        ['null', 'true', '1e-05', '16', '[64, 32]']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else str(value)


def _read_section(
    section: Mapping[str, Any], conditions: tuple[Condition, ...], where: str
) -> Iterator[tuple[str, tuple[Condition, ...], Override]]:
    for key, value in section.items():
        path = f"{where}.{key}"
        if "=" in key:
            if not isinstance(value, Mapping):
                raise ConfigError(f"{path}: a condition has parameters under it, got {value!r}")
            yield from _read_section(value, (*conditions, _condition(key, path)), path)
        elif not isinstance(value, str):
            raise ConfigError(
                f"{path}: {value!r} names no values to search; write choice(..), range(..), interval(..) or "
                "tag(log, interval(..)), or take it out and set the key itself"
            )
        else:
            yield key, conditions, _understood(f"{key}={value}", path)


def _understood(line: str, path: str) -> Override:
    """An override that lists values.

    Raises:
        ConfigError: it cannot be read, or it does not.
    """
    key, _, text = line.partition("=")
    try:
        override = OverridesParser.create().parse_overrides([line])[0]
        if override.is_sweep_override() and override.is_discrete_sweep():
            list(override.sweep_string_iterator())
    except HydraException as error:
        raise ConfigError(
            f"{path}: cannot read {text!r} ({str(error).splitlines()[0]}); write choice(a,b), range(1,8), "
            "interval(0.1,0.9), int(interval(1,8)) or tag(log, interval(1e-4,1e-1))"
        ) from None
    if not override.is_sweep_override():
        raise ConfigError(
            f"{path}: {text} is one value; write choice(..) of several, or take it out and set {_bare(key)} itself"
        )
    return override


def _condition(text: str, path: str) -> Condition:
    try:
        override = OverridesParser.create().parse_overrides([text])[0]
    except HydraException:
        raise ConfigError(f"{path}: cannot read the condition; write key=value or key=value,value") from None
    key = override.key_or_group
    if not override.is_sweep_override():
        return Condition(key, (_one_value(override),))
    if not override.is_discrete_sweep():
        raise ConfigError(f"{path}: a condition names values, one or several: key=value,value")
    return Condition(key, tuple(written(value) for value in _values(override)))


def _still_open(
    conditions: Sequence[Condition], parameters: Sequence[Parameter], fixed: Mapping[str, str]
) -> tuple[Condition, ...] | None:
    """The conditions that hold for some trials and not for others; None where one holds for none."""
    found = []
    for condition in conditions:
        if not _settled(condition, parameters, fixed):
            found.append(condition)
        elif fixed[condition.key] not in condition.values:
            return None
    return tuple(found)


def _settled(condition: Condition, parameters: Sequence[Parameter], fixed: Mapping[str, str]) -> bool:
    """Whether a condition holds or not for all trials alike.

    Raises:
        ConfigError: it is on a key that is neither searched nor a group, or on a value that the key never has.
    """
    parents = [parameter for parameter in parameters if _bare(parameter.key) == condition.key]
    if not parents:
        if condition.key in fixed:
            return True
        raise ConfigError(
            f"{_WHERE}: the condition {condition} is on {condition.key}, which is neither searched by then nor a "
            "group; put its own choice(..) into the params, outside of its own condition"
        )
    for parent in parents:
        if isinstance(parent.domain, Numbers):
            raise ConfigError(f"{_WHERE}: the condition {condition} is on an interval; make it a choice(..)")
    known = [written(value) for parent in parents for value in parent.domain.corners()]
    for value in condition.values:
        if value not in known:
            raise ConfigError(
                f"{_WHERE}: the condition {condition} never holds for {value}: {condition.key} is one of "
                f"{', '.join(dict.fromkeys(known))}"
            )
    return False


def _domain(override: Override) -> Choice | Numbers:
    value, line = override.value(), override.input_line
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        numbers = Numbers(value.start, value.end, None, "log" in value.tags)
    elif isinstance(value, RangeSweep):
        steps: list[float] = list(value.range())
        if not steps:
            raise ConfigError(f"{line}: the range is empty; its end is not part of it")
        step = None if "log" in value.tags else abs(value.step)
        numbers = Numbers(min(steps), max(steps), step, "log" in value.tags)
    else:
        values = _values(override)
        if not values:
            raise ConfigError(f"{line}: the choice is empty")
        return Choice(tuple(values))
    if numbers.low > numbers.high:
        raise ConfigError(f"{line}: the interval ends below its start; swap the two")
    if numbers.log and numbers.low <= 0:
        raise ConfigError(f"{line}: a logarithmic interval starts above 0, got {numbers.low}")
    return numbers


def _values(override: Override) -> list[Value]:
    """The values of a choice; as they are written where two of them would be equal, such as 1 and true."""
    texts = list(override.sweep_string_iterator())
    raw = list(override.sweep_iterator(Transformer.identity))
    values: list[Value] = [
        v if v is None or isinstance(v, bool | int | float) else text for v, text in zip(raw, texts, strict=True)
    ]
    if any(a == b for i, a in enumerate(values) for b in values[:i]):
        return [*dict.fromkeys(written(value) for value in values)]
    return values


def _one_value(override: Override) -> str:
    value = override.value()
    return written(value) if value is None or isinstance(value, bool | int | float) else str(value)


def _bare(key: str) -> str:
    return key.lstrip("+~")


def _of_hydra(override: Override) -> bool:
    return override.key_or_group.startswith(("hydra.", "hydra/"))
