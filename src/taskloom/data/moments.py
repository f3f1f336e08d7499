"""Mean and deviation of numbers that come some at a time."""

import math

import numpy as np
from numpy.typing import NDArray


class Moments:
    r"""Mean and population deviation, combined chunk by chunk without loss of figures.

    .. math:: n = n_a + n_b,\quad \bar x = \bar x_a + \delta \tfrac{n_b}{n},\quad
       M = M_a + M_b + \delta^2 \tfrac{n_a n_b}{n},\quad \delta = \bar x_b - \bar x_a

    Source: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".

    Example:
        >>> moments = Moments()
        >>> moments.add(np.array([1.0, np.nan])); moments.add(np.array([3.0]))
        >>> moments.n, moments.mean, moments.std
        (2, 2.0, 1.0)
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Takes in some numbers; those that are not finite are left out."""
        known = values[np.isfinite(values)]
        if len(known) == 0:
            return
        mean, n = float(known.mean()), len(known)
        delta, total = mean - self.mean, self.n + n
        self._squares += float(((known - mean) ** 2).sum()) + delta**2 * self.n * n / total
        self.mean += delta * n / total
        self.n = total

    @property
    def std(self) -> float:
        """Population deviation; 0 where there are no numbers."""
        return math.sqrt(self._squares / self.n) if self.n else 0.0
