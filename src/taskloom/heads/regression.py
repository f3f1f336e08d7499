"""Regression head: how much?"""

from typing import Any, Literal

import torch
from torch import Tensor

from taskloom.errors import ConfigError
from taskloom.heads.head import Head, register
from taskloom.metrics.regression import regression_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task

Transform = Literal["none", "log1p"]


@register("regression")
class RegressionHead(Head):
    r"""A number with squared error, learnt on the standardised target and predicted in its own units.

    .. math:: \ell = \Big(r - \frac{g(y) - \mu}{\sigma}\Big)^2, \qquad \hat y = g^{-1}(\mu + \sigma r)

    with g the transform, μ and σ those of g(y) on the training rows. Where g is log(1 + y), seconds and money with a
    long tail are learnt by their order of magnitude; the prediction is then rather the target's median than its mean,
    and is kept at 0 or above.

    Args:
        task: its target is a number, >= 0 under log1p.
        statistics: of the target on the training rows; with ``transformed`` under log1p.
        transform: g: ``none`` learns the target as it is, ``log1p`` learns log(1 + y).
        arguments: those of Head.

    Raises:
        ConfigError: log1p of a target that has negative values, or whose log nobody has looked at.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, task: Task, statistics: TargetStatistics, *args: Any, transform: Transform = "none", **arguments: Any
    ) -> None:
        super().__init__(task, statistics, *args, **arguments)
        self.transform = transform
        learnt = statistics if transform == "none" else _of_logs(task, statistics)
        std = torch.tensor(learnt.std, dtype=torch.float32)
        self.register_buffer("mean", torch.tensor(learnt.mean, dtype=torch.float32))
        self.register_buffer("std", torch.where(std > 0, std, torch.ones_like(std)))
        with torch.no_grad():
            self.output_bias().zero_()

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Squared error of each row (B,), in standard deviations of the transformed target."""
        y = target.log1p() if self.transform == "log1p" else target
        return (raw.float() - (y - self.mean) / self.std).squeeze(1).pow(2)

    def predict(self, raw: Tensor) -> Tensor:
        """The target in its own units, (B,)."""
        y = (raw.float() * self.std + self.mean).squeeze(1)
        return y.expm1().clamp_min(0) if self.transform == "log1p" else y

    def metrics(self) -> dict[str, MetricSpec]:
        """RMSE (main), MAE, R², in the target's own units."""
        return regression_metrics()


def _of_logs(task: Task, statistics: TargetStatistics) -> TargetStatistics:
    if statistics.least and statistics.least[0] < 0:
        raise ConfigError(
            f"data.tasks.{task.name}.options.transform: log1p needs a target >= 0, and training rows go down to "
            f"{statistics.least[0]:g}; take transform: none, or another target"
        )
    if statistics.transformed is None:
        raise ConfigError(f"task {task.name}: transform log1p needs the statistics of log(1 + target); give them")
    return statistics.transformed
