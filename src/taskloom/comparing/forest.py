"""A small forest of random trees, enough to say how much each setting matters; numpy alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class _Tree:
    """Nodes of one tree: the column asked, the threshold, the children; a leaf has column −1 and its value."""

    column: NDArray[np.int64]
    threshold: Array
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Array

    def predict(self, x: Array) -> Array:
        node = np.zeros(len(x), np.int64)
        while True:
            column = self.column[node]
            inner = column >= 0
            if not inner.any():
                return self.value[node]
            goes_left = x[np.arange(len(x)), np.maximum(column, 0)] <= self.threshold[node]
            node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)


def permutation_shares(x: Array, y: Array, groups: list[list[int]], trees: int = 64, seed: int = 0) -> Array:
    r"""Each setting's share of the variance, by shuffling it among rows that a tree has not seen.

    .. math:: S_j = \frac{\operatorname{E}[(y - f(x_{\pi j}))^2] - \operatorname{E}[(y - f(x))^2]}
              {2 \operatorname{Var} y}

    which for a forest f that has learnt the function is the total Sobol index of setting j: what it explains alone and
    together with others. Sources: Breiman 2001, "Random forests"; Geurts, Ernst & Wehenkel 2006, "Extremely randomized
    trees"; Gregorutti, Michel & Saint-Pierre 2017, "Correlation and variable importance in random forests".
    Deviations: thresholds are drawn at random, one a column and node, as in extremely randomised trees, on bootstrap
    samples as in random forests.

    Args:
        x: (n, columns) numbers.
        y: (n,).
        groups: the columns of each setting.
        trees: how many.
        seed: of the forest.

    Returns:
        Shares, (trees, settings); their mean over trees is the estimate.
    """
    generator = np.random.default_rng(seed)
    n, variance = len(y), float(y.var())
    rows = np.zeros((trees, len(groups)))
    for number in range(trees):
        taken = generator.integers(0, n, n)
        unseen = np.setdiff1d(np.arange(n), taken)
        if len(unseen) < 2 or variance == 0:
            continue
        tree = _grow(x[taken], y[taken], generator)
        base = np.mean((y[unseen] - tree.predict(x[unseen])) ** 2)
        for place, columns in enumerate(groups):
            shuffled = x[unseen].copy()
            shuffled[:, columns] = x[generator.permutation(unseen)][:, columns]
            worse = np.mean((y[unseen] - tree.predict(shuffled)) ** 2)
            rows[number, place] = (worse - base) / (2 * variance)
    return rows


def _grow(x: Array, y: Array, generator: np.random.Generator, smallest: int = 2) -> _Tree:
    column: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []

    def node(rows: NDArray[np.int64]) -> int:
        place = len(column)
        column.append(-1)
        threshold.append(0.0)
        left.append(0)
        right.append(0)
        value.append(float(y[rows].mean()))
        if len(rows) < 2 * smallest:
            return place
        part, target = x[rows], y[rows] - value[place]
        low, high = part.min(0), part.max(0)
        cut = low + generator.random(x.shape[1]) * (high - low)
        goes_left = part <= cut
        n_left = goes_left.sum(0)
        n_right = len(rows) - n_left
        sums = target @ goes_left
        gain = np.where(
            (high > low) & (n_left >= smallest) & (n_right >= smallest),
            sums**2 / np.maximum(n_left, 1) + sums**2 / np.maximum(n_right, 1),
            -1.0,
        )
        best = int(gain.argmax())
        if gain[best] <= 0:
            return place
        column[place], threshold[place] = best, float(cut[best])
        side = goes_left[:, best]
        left[place] = node(rows[side])
        right[place] = node(rows[~side])
        return place

    node(np.arange(len(y)))
    return _Tree(np.array(column), np.array(threshold), np.array(left), np.array(right), np.array(value))
