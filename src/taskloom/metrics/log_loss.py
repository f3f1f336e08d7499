"""Log loss of a binary prediction."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

# Heads compute in float32, where a sigmoid reaches 1 exactly: a probability is kept this far from 0 and 1.
EPSILON = torch.finfo(torch.float32).eps


class LogLoss(Metric):
    r"""Mean negative log-likelihood of labels 0 and 1, in nats.

    .. math:: -\frac{1}{N} \sum_i y_i \log p_i + (1 - y_i) \log(1 - p_i)

    As scikit-learn's ``log_loss`` does for float32 predictions, p is kept within [ε, 1 − ε], ε = 1.2e-7, so
    that one certain and wrong prediction costs 15.9 and not infinity. NaN where there are no rows.

    Example:
        >>> metric = LogLoss()
        >>> metric.update(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
        >>> round(metric.compute().item(), 4)
        0.6931
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
        """Take in probabilities (N,) and labels 0 or 1 (N,), or both (N, t): every entry is a case."""
        p = preds.double().clamp(EPSILON, 1 - EPSILON)
        y = target.double()
        self.total += -(y * p.log() + (1 - y) * (-p).log1p()).sum()
        self.n += p.numel()

    def compute(self) -> Tensor:
        """The mean over all rows so far, a scalar."""
        return self.total / self.n
