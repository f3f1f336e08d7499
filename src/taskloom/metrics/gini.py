"""Normalised Gini: how well predictions find those who make up most of the total."""

from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class NormalisedGini(Metric):
    r"""The area between the target's share and the rows' share, rows taken in the predictions' order, over the best.

    .. math:: \frac{\sum_i (R_i - \bar R)\, y_i}{\sum_i (S_i - \bar S)\, y_i}

    with R the ranks of the predictions and S those of the targets; what is equal shares the mean of its ranks. 1 is
    the right order, 0 a constant prediction, -1 the reverse order. Only the order of the
    predictions counts, and rows count by their amount. NaN where the target does not vary.

    Source: Wang, Liu & Miao 2019, "A Deep Probabilistic Model for Customer Lifetime Value Prediction", section 4.
    Deviations: none; the area between two Lorenz curves is written as a sum over ranks.

    Example:
        >>> import torch
        >>> metric = NormalisedGini()
        >>> metric.update(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 0.0, 9.0, 3.0]))
        >>> round(metric.compute().item(), 4)  # 9 (0.5) + 3 (1.5), over 9 (1.5) + 3 (0.5) - 0
        0.6
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("preds", [], dist_reduce_fx="cat")
        self.add_state("target", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in scores (N,) of any scale and amounts >= 0 (N,)."""
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Tensor:
        """The ratio over all rows so far, a scalar."""
        target = dim_zero_cat(self.target).double()
        best = (_centred_ranks(target) * target).sum()
        return (_centred_ranks(dim_zero_cat(self.preds)) * target).sum() / best


def _centred_ranks(values: Tensor) -> Tensor:
    """Ranks less their mean, float64 (N,); equal values share the mean of theirs."""
    _, place, times = values.unique(return_inverse=True, return_counts=True)
    return (times.cumsum(0) - (times - 1) / 2)[place].double() - (len(values) + 1) / 2
