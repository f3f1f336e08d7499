"""The notation of search spaces, and what a trial of one has."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from taskloom.errors import ConfigError
from taskloom.sweeping.domain import Choice, Numbers, written
from taskloom.sweeping.read_space import read_space
from taskloom.sweeping.space import Space


def space(params: Mapping[str, Any] | None = None, *overrides: str, **choices: str) -> Space:
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return read_space(params or {}, parsed, choices)


class Highest:
    """A trial that takes the last choice and the highest number, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.asked[name] = tuple(choices)
        return choices[-1]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self.asked[name] = (low, high, step, log)
        return high

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.asked[name] = (low, high, step, log)
        return high


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("interval(0, 1)", Numbers(0.0, 1.0)),
        ("tag(log, interval(1e-4, 1e-1))", Numbers(1e-4, 1e-1, None, True)),
        ("int(interval(1, 8))", Numbers(1, 8)),
        ("tag(log, int(interval(1, 64)))", Numbers(1, 64, None, True)),
        ("range(1, 8)", Numbers(1, 7, 1)),  # as in a grid: the end is not part of it
        ("range(8, 0, -2)", Numbers(2, 8, 2)),
        ("range(0.1, 0.5, 0.2)", Numbers(0.1, 0.30000000000000004, 0.2)),
        ("choice(16, 32, 64)", Choice((16, 32, 64))),
        ("16,32", Choice((16, 32))),
        ("null,true,0.5,adam", Choice((None, True, 0.5, "adam"))),
        ("choice([8],[16,8])", Choice(("[8]", "[16,8]"))),
        ("choice(1,true)", Choice(("1", "true"))),  # equal in Python, and not in a config
    ],
)
def test_hydras_own_notation(text: str, domain: Choice | Numbers) -> None:
    (from_file,) = space({"a.b": text}).parameters
    (from_line,) = space({}, f"a.b={text}").parameters
    assert from_file.domain == from_line.domain == domain
    assert from_file.key == "a.b"


def test_a_value_goes_back_to_what_it_was_written_as() -> None:
    trial = Highest()
    searched = space({"a": "choice(x,[16,8])", "b": "null,true", "c": "interval(0,1e-5)", "+d": "int(interval(1,3))"})
    values = searched.suggest(trial)
    assert searched.overrides(values) == ["a=[16,8]", "b=true", "c=1e-05", "+d=3"]
    again = OverridesParser.create().parse_overrides(searched.overrides(values))
    assert [o.value() for o in again] == [[16, 8], True, 1e-5, 3]
    assert written(float("1e-05")) == "1e-05"


def test_an_integer_interval_has_both_ends() -> None:
    trial = Highest()
    space({"a": "int(interval(1,8))"}).suggest(trial)
    assert trial.asked == {"a": (1, 8, 1, False)}


BRANCHES = {
    "model": "choice(single, hard, soft)",
    "lr": "interval(0, 1)",
    "model=soft": {"model.strength": "interval(0, 1)"},
    "model=hard,soft": {"views": "choice(shared, per_task)", "views=per_task": {"tables": "range(2, 4)"}},
}


def test_a_conditional_parameter_is_there_under_its_condition_alone() -> None:
    searched = space(BRANCHES)
    assert set(searched.suggest(Highest())) == {"model", "lr", "model.strength", "views", "tables"}
    samples = [dict(line.split("=") for line in lines) for lines in searched.samples()]
    assert [sample["model"] for sample in samples[:3]] == ["single", "hard", "soft"]
    for sample in samples:
        assert ("model.strength" in sample) == (sample["model"] == "soft")
        assert ("views" in sample) == (sample["model"] != "single")
        assert ("tables" in sample) == (sample.get("views") == "per_task")
    # every choice and both ends of every interval stand in some sample
    seen = {(key, value) for sample in samples for key, value in sample.items()}
    assert {("views", "per_task"), ("tables", "2"), ("tables", "3"), ("model.strength", "1.0"), ("lr", "1.0")} <= seen
    assert len(samples) == len({tuple(sample.items()) for sample in samples})


def test_a_condition_on_what_is_fixed_is_settled_at_once() -> None:
    assert [p.name for p in space(BRANCHES, "model=single").parameters] == ["lr"]
    assert [p.name for p in space(BRANCHES, "model=soft").parameters] == ["lr", "model.strength", "views", "tables"]
    only = {"model=soft": {"model.strength": "interval(0, 1)"}, "lr": "interval(0, 1)"}
    assert [p.name for p in space(only, model="soft").parameters] == ["lr", "model.strength"]
    assert [p.name for p in space(only, model="hard").parameters] == ["lr"]


def test_the_same_key_under_two_conditions_is_two_parameters() -> None:
    searched = space(
        {"net": "choice(a,b)", "net=a": {"width": "choice(1,2)"}, "net=b": {"width": "int(interval(5,9))"}}
    )
    assert [p.name for p in searched.parameters] == ["net", "width [net=a]", "width [net=b]"]
    values = searched.suggest(Highest())
    assert searched.overrides(values) == ["net=b", "width=9"]


def test_the_command_line_stands_over_the_file() -> None:
    params = {"lr": "interval(0, 1)", "dim": "choice(1,2)"}
    searched = space(params, "lr=interval(0, 5)", "dim=7", "seed=3", "hydra.sweeper.n_trials=5")
    assert [(p.name, p.domain) for p in searched.parameters] == [("lr", Numbers(0.0, 5.0))]


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "There is nothing to search"),
        ({"lr": "intervall(0,1)"}, "hydra.sweeper.params.lr: cannot read 'intervall(0,1)'"),
        ({"lr": "interval(0,x)"}, "hydra.sweeper.params.lr: cannot read"),
        ({"lr": 0.1}, "hydra.sweeper.params.lr: 0.1 names no values to search"),
        ({"lr": ["a", "b"]}, "names no values to search; write choice(..)"),
        ({"lr": "0.1"}, "hydra.sweeper.params.lr: 0.1 is one value"),
        ({"lr": "interval(2,1)"}, "lr=interval(2,1): the interval ends below its start"),
        ({"lr": "tag(log, interval(0,1))"}, "a logarithmic interval starts above 0, got 0.0"),
        ({"n": "range(5,5)"}, "n=range(5,5): the range is empty"),
        ({"m=a": "interval(0,1)"}, "a condition has parameters under it"),
        ({"m=a": {"x": "interval(0,1)"}}, "the condition m=a is on m, which is neither searched by then nor a group"),
        ({"m": "choice(a,b)", "m=c": {"x": "interval(0,1)"}}, "never holds for c: m is one of a, b"),
        ({"m": "interval(0,1)", "m=0.5": {"x": "interval(0,1)"}}, "is on an interval; make it a choice"),
        ({"m": "choice(a,b)", "x": "range(1,3)", "m=a": {"x": "interval(0,1)"}}, "x is searched twice at once"),
    ],
)
def test_a_bad_space_is_refused_in_a_sentence(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        space(params)
    assert sentence in str(refused.value)
