"""What the annotations of classes can say of a value."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
import torch
from annotated_types import MinLen

from taskloom.config.values import check_value
from taskloom.ranges import NonNegative, PositiveInt, Share


@dataclass
class Section:
    size: PositiveInt
    mode: Literal["a", "b"] = "a"


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 3),
        (float, 3),
        (float | None, None),
        (PositiveInt | Share, 0.5),
        (str | list[str], ["a"]),
        (list[int], []),
        (tuple[float, ...], [1, 2.5]),
        (dict[str, PositiveInt], {"a": 1}),
        (Section, {"size": 1}),
        (dict[str, Section], {"x": {"size": 1, "mode": "b"}}),
        (torch.Tensor, "what no config can spell passes"),
        (int, {"_target_": "an.object"}),
        (Any, object()),
        (Literal[0, None], None),
        (float | torch.Tensor, 0.1),
    ],
)
def test_right(annotation: Any, value: Any) -> None:
    assert check_value(annotation, value, "x") == []


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, True, "x must be an integer, got true"),
        (float, "1", "x must be a number, got '1'"),
        (bool, 1, "x must be true or false, got 1"),
        (str, 1, "x must be text, got 1"),
        (float | torch.Tensor, "abc", "x must be a number, got 'abc'"),
        (PositiveInt | None, 0, "x must be >= 1, got 0"),
        (PositiveInt | None, "a", "x must be an integer or null, got 'a'"),
        (Share, 1.5, "x must be <= 1, got 1.5"),
        (list[str] | None, "like", "x must be a list of texts or null, got 'like'; write x=[like]"),
        (list[int], {}, "x must be a list of integers, got {}"),
        (list[PositiveInt], [1, -1], "x[1] must be >= 1, got -1"),
        (dict[str, int], {"a": "b"}, "x.a must be an integer, got 'b'"),
        (Section, {"size": 1, "mod": "a"}, "Unknown key x.mod: did you mean mode?"),
        (Section, {}, "x.size is missing: add x.size=<integer>"),
        (Section | None, {"size": 0}, "x.size must be >= 1, got 0"),
        (Section, 3, "x must be a mapping, got 3"),
        (Literal[0, 1], False, "x must be 0 or 1, got false"),
        (NonNegative, float("nan"), "x must be >= 0, got nan"),
        (Annotated[list[int], MinLen(1)], [], "x must have at least 1 entry, got []"),
    ],
)
def test_wrong(annotation: Any, value: Any, message: str) -> None:
    (problem,) = check_value(annotation, value, "x")
    assert problem.text.startswith(message)
