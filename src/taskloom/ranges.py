"""Types with a range, for the arguments that configs set.

An annotation such as ``strength: NonNegative`` is all that a class writes; before a run starts, the value in
its config is checked against it and a wrong one is reported with its config path.
"""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

NonNegative = Annotated[float, Ge(0)]
Positive = Annotated[float, Gt(0)]
Fraction = Annotated[float, Ge(0), Lt(1)]  # a dropout rate: 1 would drop everything
Share = Annotated[float, Ge(0), Le(1)]
PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]

__all__ = ["Fraction", "NonNegative", "NonNegativeInt", "Positive", "PositiveInt", "Share"]
