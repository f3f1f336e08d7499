"""Poisson deviance of a predicted rate."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from taskloom.metrics.log_loss import EPSILON


class PoissonDeviance(Metric):
    r"""Mean unit deviance of counts under predicted rates.

    .. math:: \frac{2}{N} \sum_i y_i \log \frac{y_i}{p_i} - (y_i - p_i), \qquad 0 \log 0 = 0

    Rates are kept at ε = 1.2e-7 or above, as probabilities are in the log loss: a linear predictor may say less than
    0, and torchmetrics' TweedieDevianceScore would end the run there. NaN where there are no rows.

    Example:
        >>> metric = PoissonDeviance()
        >>> metric.update(torch.tensor([1., 2.]), torch.tensor([0., 2.]))
        >>> metric.compute().item()
        1.0
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    n: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("n", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in rates (N,) and counts >= 0 (N,)."""
        rate, y = preds.double().clamp_min(EPSILON), target.double()
        self.total += 2 * (torch.xlogy(y, y / rate) - (y - rate)).sum()
        self.n += len(y)

    def compute(self) -> Tensor:
        """The mean over all rows so far, a scalar."""
        return self.total / self.n
