"""Regression head: how much?"""

from typing import Any

import torch
from torch import Tensor

from taskloom.heads.head import Head, register
from taskloom.metrics.regression import regression_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task


@register("regression")
class RegressionHead(Head):
    r"""A number with squared error, learnt on the standardised target and predicted in its own units.

    .. math:: \ell = \Big(r - \frac{y - \mu}{\sigma}\Big)^2, \qquad \hat y = \mu + \sigma r

    with μ and σ from the training rows.

    Args:
        task: its target is a number.
        statistics: of the target on the training rows.
        arguments: those of Head.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, task: Task, statistics: TargetStatistics, *args: Any, **arguments: Any) -> None:
        super().__init__(task, statistics, *args, **arguments)
        std = torch.tensor(statistics.std, dtype=torch.float32)
        self.register_buffer("mean", torch.tensor(statistics.mean, dtype=torch.float32))
        self.register_buffer("std", torch.where(std > 0, std, torch.ones_like(std)))
        with torch.no_grad():
            self.output_bias().zero_()

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Squared error of each row (B,), in units of the target's standard deviation."""
        return (raw.float() - (target - self.mean) / self.std).squeeze(1).pow(2)

    def predict(self, raw: Tensor) -> Tensor:
        """The target in its own units, (B,)."""
        return (raw.float() * self.std + self.mean).squeeze(1)

    def metrics(self) -> dict[str, MetricSpec]:
        """RMSE (main), MAE, R²."""
        return regression_metrics()
