"""Pinball loss of predicted quantiles."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class Pinball(Metric):
    r"""Mean pinball loss over rows and quantiles, in the target's units.

    .. math:: \frac{1}{N Q} \sum_{ij} \max\big(\tau_j (y_i - q_{ij}),\ (\tau_j - 1)(y_i - q_{ij})\big)

    Half the MAE for the median alone. NaN where there are no rows.

    Source: Koenker & Bassett 1978, "Regression Quantiles".

    Args:
        quantiles: τ, Q of them.

    Example:
        >>> metric = Pinball([0.5, 0.9])
        >>> metric.update(torch.tensor([[1.0, 3.0]]), torch.tensor([2.0]))  # 0.5 * 1 and 0.1 * 1
        >>> round(metric.compute().item(), 4)
        0.3
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    n: Tensor
    quantiles: Tensor

    def __init__(self, quantiles: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.register_buffer("quantiles", torch.tensor(quantiles, dtype=torch.float64))
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("n", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in quantiles (N, Q) and targets (N,), in the target's units."""
        share, short = self.quantiles.double(), target.double()[:, None] - preds.double()
        self.total += torch.maximum(share * short, (share - 1) * short).sum()
        self.n += preds.numel()

    def compute(self) -> Tensor:
        """The mean over all rows so far, a scalar."""
        return self.total / self.n
