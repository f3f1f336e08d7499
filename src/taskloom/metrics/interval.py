"""The interval between the outer quantiles: how often it holds the target, and how wide it is."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class _Interval(Metric):
    """A mean over rows; NaN where there are none."""

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    total: Tensor
    n: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("n", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        """The mean over all rows so far, a scalar."""
        return self.total / self.n


class Coverage(_Interval):
    """Share of the rows whose target lies between the first and the last of their quantiles, or on one of them.

    Right is the distance of the two quantiles' shares: 0.8 for 0.1 and 0.9; more is no better.

    Example:
        >>> metric = Coverage()
        >>> metric.update(torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]), torch.tensor([3.0, 4.0]))
        >>> metric.compute().item()
        0.5
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in rising quantiles (N, Q) and targets (N,)."""
        self.total += ((preds[:, 0] <= target) & (target <= preds[:, -1])).sum()
        self.n += len(target)


class Width(_Interval):
    """Mean distance of the first and the last quantile, in the target's units; less is better at equal coverage.

    Example:
        >>> metric = Width()
        >>> metric.update(torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 5.0]]), torch.tensor([3.0, 4.0]))
        >>> metric.compute().item()
        3.0
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in rising quantiles (N, Q); the targets (N,) are not looked at."""
        self.total += (preds[:, -1] - preds[:, 0]).double().sum()
        self.n += len(preds)
