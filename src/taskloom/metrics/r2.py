"""R², the share of the target's variance that a prediction explains."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class R2(Metric):
    r"""Coefficient of determination, exact and free of the target's unit.

    .. math:: 1 - \frac{\sum_i (y_i - \hat y_i)^2}{\sum_i (y_i - \bar y)^2}

    torchmetrics has an R², but one that takes a sum of squares below 1e-4 for zero and then answers 1 or 0:
    for targets of a small unit, or all alike, a number that nobody measured. Here it is NaN where the target
    does not vary, and otherwise computed from deviations in float64.

    Example:
        >>> metric = R2()
        >>> metric.update(torch.tensor([1e-4, 2e-4, 2e-4]), torch.tensor([1e-4, 2e-4, 3e-4]))
        >>> round(metric.compute().item(), 4)
        0.5
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
        """Take in predictions (N,) and targets (N,), in the target's units."""
        self.preds.append(preds.double())
        self.target.append(target.double())

    def compute(self) -> Tensor:
        """R² over all rows so far, a scalar."""
        preds, target = dim_zero_cat(self.preds), dim_zero_cat(self.target)
        if bool((target == target[0]).all()):
            return torch.full((), torch.nan, dtype=torch.float64)
        residual = (target - preds).square().sum()
        return 1 - residual / (target - target.mean()).square().sum()
