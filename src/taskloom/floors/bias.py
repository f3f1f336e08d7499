"""User-plus-item bias."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from taskloom.floors.floor import RatingFloor, Ratings, Say, require_rows


class Bias(RatingFloor):
    r"""The mean, plus what is the user's own and what is the item's own.

    .. math:: \hat y = \mu + b_u + b_i, \quad \min_b \sum (y - \hat y)^2 + d \, (\sum_u b_u^2 + \sum_i b_i^2)

    solved by turns, each half in closed form: a bias is the sum of its rows' residuals over (their number +
    d). Ids without training rows, 0 among them, have no bias.

    Source: Koren, Bell & Volinsky 2009, "Matrix factorization techniques for recommender systems", eq. 3.

    Args:
        dampings: candidates for d >= 0, in rows; the one with the least error on validation rows is taken
            (the middle one where there are none).
        sweeps: turns; the biases stand still well before 30.

    Example:
        >>> ids, one = torch.tensor([1, 2]), torch.tensor([1, 1])
        >>> train = Ratings(ids, one, torch.tensor([1.0, 3.0]))
        >>> Bias(dampings=[0.0]).fit(train, train).predict(ids, one)
        tensor([1., 3.])
    """

    name = "bias"

    def __init__(self, dampings: Sequence[float] = (0.5, 1, 2, 4, 8, 16), sweeps: int = 30) -> None:
        self.dampings = [float(d) for d in dampings]
        self.sweeps = sweeps

    @property
    def settings(self) -> dict[str, Any]:
        """The candidates and the sweeps."""
        return {"dampings": self.dampings, "sweeps": self.sweeps}

    def fit(self, train: Ratings, val: Ratings, say: Say = print) -> "Bias":
        """Solve for every damping and keep the one that predicts the validation rows best."""
        require_rows(self.name, train)
        candidates = [self._solve(train, damping) for damping in self.dampings]
        if len(val) == 0:
            self.parameters = candidates[len(candidates) // 2]
            return self
        best = math.inf
        for parameters in candidates:
            error = float((_predict(parameters, val.user, val.item) - val.value).square().mean())
            if error < best:
                best, self.parameters = error, parameters
        return self

    def predict(self, user: Tensor, item: Tensor) -> Tensor:
        """Mean plus biases, (N,)."""
        return _predict(self.parameters, user, item).float()

    def _solve(self, train: Ratings, damping: float) -> dict[str, Tensor]:
        mean = train.value.double().mean()
        rest = train.value.double() - mean
        users, items = (_divisor(ids, damping) for ids in (train.user, train.item))
        user, item = torch.zeros_like(users), torch.zeros_like(items)
        for _ in range(self.sweeps):
            item = torch.zeros_like(item).index_add_(0, train.item, rest - user[train.user]) / items
            user = torch.zeros_like(user).index_add_(0, train.user, rest - item[train.item]) / users
        return {"mean": mean, "user": user, "item": item}


def _divisor(ids: Tensor, damping: float) -> Tensor:
    rows = ids.bincount().double()
    divisor = rows + damping
    divisor[rows == 0] = math.inf
    divisor[0] = math.inf  # x / inf = 0: no bias for the unknown and for ids without rows
    return divisor


def _predict(parameters: dict[str, Tensor], user: Tensor, item: Tensor) -> Tensor:
    user = known(user, len(parameters["user"]))
    item = known(item, len(parameters["item"]))
    return parameters["mean"] + parameters["user"][user] + parameters["item"][item]


def known(ids: Tensor, size: int) -> Tensor:
    """The ids, 0 (unknown) for those beyond a table of this size: ids that no training row had."""
    return ids.masked_fill(ids >= size, 0)
