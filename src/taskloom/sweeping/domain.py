"""Domain: the values of one hyper-parameter, read from Hydra's notation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer

from taskloom.errors import ConfigError

Value = bool | int | float | str | None


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


def read_domain(override: Override) -> Choice | Numbers:
    """The values that an override lists, or between which it lets a search choose.

    Raises:
        ConfigError: it has none, or its ends do not go together.
    """
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
        values = listed_values(override)
        if not values:
            raise ConfigError(f"{line}: the choice is empty")
        return Choice(tuple(values))
    if numbers.low > numbers.high:
        raise ConfigError(f"{line}: the interval ends below its start; swap the two")
    if numbers.log and numbers.low <= 0:
        raise ConfigError(f"{line}: a logarithmic interval starts above 0, got {numbers.low}")
    return numbers


def listed_values(override: Override) -> list[Value]:
    """The values of a choice; as they are written where two of them would be equal, such as 1 and true."""
    texts = list(override.sweep_string_iterator())
    raw = list(override.sweep_iterator(Transformer.identity))
    values: list[Value] = [
        v if v is None or isinstance(v, bool | int | float) else text for v, text in zip(raw, texts, strict=True)
    ]
    if any(a == b for i, a in enumerate(values) for b in values[:i]):
        return [*dict.fromkeys(written(value) for value in values)]
    return values


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


def shown(value: Any) -> str:
    """A value for people.

    Example:
        >>> shown(0.00123456), shown(16), shown(None), shown("[64, 32]")
        ('0.001235', '16', 'null', '[64, 32]')
    """
    return f"{value:.4g}" if isinstance(value, float) else written(value)
