"""Conditions on runs, such as ``like/auc > 0.79 and not model = single_task``: read here, never run as Python."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from taskloom.errors import ConfigError
from taskloom.managing.found_run import FoundRun, Value

_TOKEN = re.compile(r"\s*(?:(?P<sign><=|>=|==|!=|<|>|=|\(|\))|(?P<text>'[^']*'|\"[^\"]*\")|(?P<word>[^\s<>=!()'\"]+))")
_SIGNS: dict[str, Callable[[object, object], bool]] = {
    "<": operator.lt,  # type: ignore[dict-item]
    "<=": operator.le,  # type: ignore[dict-item]
    ">": operator.gt,  # type: ignore[dict-item]
    ">=": operator.ge,  # type: ignore[dict-item]
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_HOW = "write a name, a comparison and a value, such as 'like/auc > 0.79 and seed = 1'"
Test = Callable[[FoundRun], bool | None]


@dataclass(frozen=True)
class Condition:
    """A condition that has been read.

    Args:
        text: as it was written.
        names: the scores and settings in it.
        test: True, False, or None where a run lacks what it asks for.
    """

    text: str
    names: tuple[str, ...]
    test: Test


def read_condition(text: str) -> Condition:
    """Reads comparisons joined by ``and``, ``or``, ``not`` and brackets.

    A comparison with something that a run does not have is neither true nor false, and does not pick the run;
    ``= null`` asks for just that. Words need no quotes.

    Raises:
        ConfigError: it cannot be read.

    Example:
        >>> from pathlib import Path
        >>> run = FoundRun(Path("run"), "done", {"test": {"like/auc": 0.8}, "seed": 3})
        >>> [read_condition(text).test(run) for text in ("like/auc > 0.79", "not seed = 3", "buy/auc > 0")]
        [True, False, None]
    """
    reader = _Reader(text)
    test = reader.either()
    if reader.here is not None:
        raise reader.error(f"cannot go on at {reader.here!r}")
    return Condition(text, tuple(dict.fromkeys(reader.names)), test)


class _Reader:
    """Reads from left to right; ``not`` binds closest, then ``and``, then ``or``."""

    def __init__(self, text: str) -> None:
        self.text, self.names = text, list[str]()
        self.tokens: list[str] = []
        end = 0
        stripped = text.rstrip()
        while end < len(stripped):
            match = _TOKEN.match(stripped, end)
            if match is None:
                raise self.error(f"cannot read {stripped[end:].strip()!r}")
            self.tokens.append(match[0].strip())
            end = match.end()
        self.place = 0

    @property
    def here(self) -> str | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def error(self, what: str) -> ConfigError:
        return ConfigError(f"where={self.text!r}: {what}; {_HOW}")

    def take(self) -> str:
        token = self.here
        if token is None:
            raise self.error("it ends too early")
        self.place += 1
        return token

    def either(self) -> Test:
        tests = [self.both()]
        while self.here == "or":
            self.take()
            tests.append(self.both())
        return tests[0] if len(tests) == 1 else lambda run: _any([test(run) for test in tests])

    def both(self) -> Test:
        tests = [self.single()]
        while self.here == "and":
            self.take()
            tests.append(self.single())
        return tests[0] if len(tests) == 1 else lambda run: _not(_any([_not(test(run)) for test in tests]))

    def single(self) -> Test:
        token = self.take()
        if token == "not":
            inner = self.single()
            return lambda run: _not(inner(run))
        if token == "(":
            inner = self.either()
            if self.take() != ")":
                raise self.error("a bracket is not closed")
            return inner
        sign = self.take()
        if sign not in _SIGNS or token in _SIGNS or token == ")":
            raise self.error(f"{token} {sign} is no comparison")
        value = self.take()
        if value in _SIGNS or value in ("(", ")"):
            raise self.error(f"{token} {sign} lacks its value")
        self.names.append(token)
        return _comparison(token, sign, _constant(value))


def _comparison(name: str, sign: str, wanted: Value) -> Test:
    compare = _SIGNS[sign]

    def test(run: FoundRun) -> bool | None:
        value = run.value(name)
        if wanted is None:
            return compare(value, None) if sign in ("=", "==", "!=") else None
        if value is None:
            return None
        if isinstance(value, str) != isinstance(wanted, str):
            return compare(str(value), str(wanted)) if sign in ("=", "==", "!=") else None
        return compare(value, wanted)

    return test


def _constant(token: str) -> Value:
    if token[0] in "'\"":
        return token[1:-1]
    words: dict[str, Value] = {"null": None, "true": True, "false": False}
    if token in words:
        return words[token]
    try:
        return float(token)
    except ValueError:
        return token


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _any(values: list[bool | None]) -> bool | None:
    if any(values):
        return True
    return None if None in values else False
