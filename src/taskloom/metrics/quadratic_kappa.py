"""Quadratic kappa of a predicted level."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassCohenKappa


class QuadraticKappa(MulticlassCohenKappa):
    r"""Agreement of predicted and true levels beyond chance, far misses weighing by the square of their distance.

    .. math:: \kappa = 1 - \frac{\sum_{ij} (i - j)^2 O_{ij}}{\sum_{ij} (i - j)^2 E_{ij}}

    O counts the rows whose level is i and whose predicted level is j; E is what the two margins alone would give. A
    prediction between two levels is taken for the nearer one (the lower one of two equally near), so that predictors
    of an expected level can be judged. 0 for a constant prediction; NaN where target and prediction are one level.

    Source: Cohen 1968, "Weighted kappa". The arithmetic is torchmetrics'.

    Args:
        levels: the values of the target, rising.

    Example:
        >>> metric = QuadraticKappa([1, 2, 3])
        >>> metric.update(torch.tensor([1.2, 2.9, 2.1]), torch.tensor([1., 3., 3.]))
        >>> round(metric.compute().item(), 4)
        0.8
    """

    higher_is_better = True
    halfway: Tensor

    def __init__(self, levels: Sequence[float], **kwargs: Any) -> None:
        super().__init__(len(levels), weights="quadratic", validate_args=False, **kwargs)
        values = torch.tensor(levels, dtype=torch.float64)
        self.register_buffer("halfway", (values[1:] + values[:-1]) / 2)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in predictions (N,) and levels (N,), in the target's units."""
        super().update(*(torch.bucketize(x.double(), self.halfway.double()) for x in (preds, target)))
