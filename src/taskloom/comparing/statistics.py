r"""Means over seeds, their intervals, and whether a difference is more than noise.

Student's t throughout, with n − 1 degrees of freedom. Its distribution comes from scipy.special, which imports in a
third of the time of scipy.stats; the numbers are the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: a difference with a corrected p of this or more is within noise
LEVEL = 0.05
_EXACT = 1e-12  # relative: a spread below this is the rounding of floats


@dataclass(frozen=True)
class Mean:
    """A mean over n values.

    Args:
        mean: of the values.
        std: their standard deviation, with n − 1 below; None for one value.
        se: the standard error of the mean, std / √n; None for one value.
        low: lower end of the 95 % interval of the mean; None for one value.
        high: its upper end.
        n: how many values.
    """

    mean: float
    std: float | None
    se: float | None
    low: float | None
    high: float | None
    n: int


def mean_of(values: Sequence[float]) -> Mean:
    """The mean, its standard error, and its 95 % interval by t.

    Args:
        values: one a seed; at least one.

    Example:
        >>> found = mean_of([0.70, 0.72, 0.74])
        >>> round(found.mean, 4), round(found.se, 4), round(found.low, 3), round(found.high, 3)
        (0.72, 0.0115, 0.67, 0.77)
    """
    n = len(values)
    mean = sum(value / n for value in values)
    if n < 2:
        return Mean(mean, None, None, None, None, n)
    std = math.hypot(*(value - mean for value in values)) / math.sqrt(n - 1)  # no overflow, whatever diverged
    se = std / math.sqrt(n)
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.975)) * se
    return Mean(mean, std, se, mean - half, mean + half, n)


def paired_p(differences: Sequence[float], scale: float = 1.0) -> float | None:
    """Two-sided p of a paired t-test: the chance of such a mean difference where there is none.

    Args:
        differences: one a seed; None comes back for fewer than two.
        scale: size of the values, against which a spread counts as rounding.

    Example:
        >>> round(paired_p([0.02, 0.03, 0.01]), 4)
        0.0742
    """
    found = mean_of(differences) if len(differences) > 1 else None
    if found is None or found.se is None:
        return None
    if found.se <= _EXACT * scale:  # each seed says the same
        return float(abs(found.mean) <= _EXACT * scale)
    return _two_sided(found.mean / found.se, found.n - 1)


def welch_p(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Two-sided p of Welch's t-test, for seeds that are not the same (Welch 1947).

    Args:
        a: values of one configuration; None comes back for fewer than two.
        b: of the other.
    """
    if len(a) < 2 or len(b) < 2:
        return None
    one, two = mean_of(a), mean_of(b)
    assert one.se is not None
    assert two.se is not None
    variance = one.se * one.se + two.se * two.se
    scale = max(abs(one.mean), abs(two.mean), 1e-300)
    if math.sqrt(variance) <= _EXACT * scale:
        return float(abs(one.mean - two.mean) <= _EXACT * scale)
    share = one.se * one.se / variance
    freedom = 1 / (share * share / (one.n - 1) + (1 - share) * (1 - share) / (two.n - 1))
    return _two_sided((one.mean - two.mean) / math.sqrt(variance), freedom)


def difference_p(a: Mapping[object, float], b: Mapping[object, float]) -> float | None:
    """Whether two configurations differ: paired where they have two seeds in common, else by Welch's test.

    Args:
        a: values by seed (by all that pairs two runs).
        b: of the other.

    Returns:
        p, or None where there are too few values to say anything.
    """
    common = [key for key in a if key in b]
    if len(common) > 1:
        scale = max(*(abs(a[key]) for key in common), *(abs(b[key]) for key in common), 1e-300)
        return paired_p([a[key] - b[key] for key in common], scale)
    return welch_p(list(a.values()), list(b.values()))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """p of several comparisons, raised so that all of them together err as rarely as one would (Holm 1979).

    Args:
        p: of each comparison; None for one that could not be made, which stays None and counts for nothing.

    Example:
        >>> holm([0.01, None, 0.04, 0.03])
        [0.03, None, 0.06, 0.06]
    """
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    raised: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * value))
        raised[place] = highest
    return raised


def _two_sided(t: float, freedom: float) -> float | None:
    from scipy.special import stdtr

    p = float(2 * stdtr(freedom, -abs(t)))
    return p if p == p else None
