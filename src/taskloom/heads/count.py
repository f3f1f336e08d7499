"""Count head: how often?"""

from typing import Any

import torch
from torch import Tensor

from taskloom.errors import ConfigError
from taskloom.heads.head import Head, register
from taskloom.metrics.count import count_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task


@register("count")
class CountHead(Head):
    r"""The rate of a Poisson count, learnt through its logarithm.

    .. math:: \hat y = e^{\log \bar y + r}, \qquad \ell = 2 \Big( y \log \frac{y}{\hat y} - (y - \hat y) \Big)

    ȳ is the mean of the training rows, where the prediction begins. The loss is the unit deviance: the likelihood's
    part that the prediction can change, never below 0. It grows with the count's size, so that beside other tasks a
    count of hundreds wants a smaller weight.

    Args:
        task: its target is a number >= 0, a whole one as a rule.
        statistics: of the target on the training rows.
        arguments: those of Head.

    Raises:
        ConfigError: a negative target.
    """

    log_mean: Tensor

    def __init__(self, task: Task, statistics: TargetStatistics, *args: Any, **arguments: Any) -> None:
        super().__init__(task, statistics, *args, **arguments)
        if statistics.least and statistics.least[0] < 0:
            raise ConfigError(
                f"data.tasks.{task.name}.target: a count is >= 0, and training rows go down to "
                f"{statistics.least[0]:g}; take kind: regression, or another target"
            )
        # A count that is 0 on all training rows has no logarithm to begin at.
        self.register_buffer("log_mean", torch.tensor(statistics.mean, dtype=torch.float32).clamp_min(1e-6).log())
        with torch.no_grad():
            self.output_bias().zero_()

    def _log_rate(self, raw: Tensor) -> Tensor:
        return (raw.float() + self.log_mean).squeeze(1)

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Unit deviance of each row (B,)."""
        y, log_rate = target.squeeze(1), self._log_rate(raw)
        return 2 * (torch.xlogy(y, y) - y * log_rate - y + log_rate.exp())

    def predict(self, raw: Tensor) -> Tensor:
        """The expected count (B,)."""
        return self._log_rate(raw).exp()

    def metrics(self) -> dict[str, MetricSpec]:
        """Poisson deviance (main), RMSE, MAE."""
        return count_metrics()
