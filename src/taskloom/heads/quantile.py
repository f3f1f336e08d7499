"""Quantile head: how much at least, and at most?"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, Lt
from torch import Tensor

from taskloom.errors import ConfigError
from taskloom.heads.head import Head, register
from taskloom.heads.values import of_logs, quantiles_of
from taskloom.metrics.quantile import quantile_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task


@register("quantile")
class QuantileHead(Head):
    r"""Q quantiles of a number, with the pinball loss; predicts them all, rising.

    .. math:: q = \mathrm{sort}(r), \qquad z = \frac{g(y) - \mu}{\sigma}, \qquad
              \ell = \frac{1}{Q} \sum_j \max\big(\tau_j (z - q_j),\ (\tau_j - 1)(z - q_j)\big), \qquad
              \hat y_j = g^{-1}(\mu + \sigma q_j)

    with g the transform, μ and σ those of g(y) on the training rows. The outputs are put in order before they meet the
    loss, so that quantiles cannot cross, in training or later: sorting never makes the sum of the losses larger. They
    begin at the quantiles of the training rows, which are also what the constant predictor says.

    Predictions are (B, Q), in columns that are named after the quantiles, such as ``dwell_0.9``; a target stays one
    number.

    Sources: Koenker & Bassett 1978, "Regression Quantiles"; sorting: Chernozhukov, Fernández-Val & Galichon 2010,
    "Quantile and Probability Curves Without Crossing". Deviation: they sort once the model is fitted, not in the loss.

    Args:
        task: its target is a number, >= 0 under log1p.
        statistics: of the target on the training rows, with ``percentiles`` (without them: a normal distribution's);
            with ``transformed`` under log1p.
        quantiles: τ, each between 0 and 1, in any order.
        transform: g: ``none`` or ``log1p``, for a long tail; quantiles stay what they are under it.
        arguments: those of Head.

    Raises:
        ConfigError: no quantile, one that is not between 0 and 1, or one twice; log1p of what has no log.
    """

    mean: Tensor
    std: Tensor
    shares: Tensor

    def __init__(
        self,
        task: Task,
        statistics: TargetStatistics,
        *args: Any,
        quantiles: Sequence[Annotated[float, Gt(0), Lt(1)]] = (0.1, 0.5, 0.9),
        transform: Literal["none", "log1p"] = "none",
        **arguments: Any,
    ) -> None:
        self.quantiles = tuple(sorted(float(q) for q in quantiles))
        if (
            not self.quantiles
            or len(set(self.quantiles)) < len(self.quantiles)
            or not 0 < min(quantiles) <= max(quantiles) < 1
        ):
            raise ConfigError(
                f"data.tasks.{task.name}.options.quantiles: give one or more numbers between 0 and 1, each once, as in "
                f"[0.1, 0.5, 0.9]; got {list(quantiles)}"
            )
        super().__init__(task, statistics, *args, **arguments)
        self.transform = transform
        learnt = statistics if transform == "none" else of_logs(task, statistics)
        std = torch.tensor(learnt.std, dtype=torch.float32)
        self.register_buffer("mean", torch.tensor(learnt.mean, dtype=torch.float32))
        self.register_buffer("std", torch.where(std > 0, std, torch.ones_like(std)))
        self.register_buffer("shares", torch.tensor(self.quantiles, dtype=torch.float32))
        begin = (quantiles_of(learnt, self.quantiles) - self.mean) / self.std
        self.constant = self._own_units(begin)
        with torch.no_grad():
            self.output_bias().copy_(begin)

    def count_outputs(self, task: Task) -> int:
        """One output a quantile."""
        return len(self.quantiles)

    @property
    def columns(self) -> tuple[str, ...]:
        """The task's name and a quantile, for each quantile."""
        return tuple(f"{self.task.name}_{q:g}" for q in self.quantiles)

    def _own_units(self, q: Tensor) -> Tensor:
        y = q * self.std + self.mean
        return y.expm1().clamp_min(0) if self.transform == "log1p" else y

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Pinball loss of each row, the mean over its quantiles, (B,), in deviations of the transformed target."""
        y = target.log1p() if self.transform == "log1p" else target
        short = (y - self.mean) / self.std - raw.float().sort(1).values
        return torch.maximum(self.shares * short, (self.shares - 1) * short).mean(1)

    def predict(self, raw: Tensor) -> Tensor:
        """The quantiles in the target's own units, rising, (B, Q)."""
        return self._own_units(raw.float().sort(1).values)

    def metrics(self) -> dict[str, MetricSpec]:
        """Mean pinball loss (main), coverage and width of the outer interval, MAE of the median."""
        return quantile_metrics(self.quantiles)

    def constant_prediction(self, n: int) -> Tensor:
        """The quantiles of the training rows, (n, Q)."""
        return self.constant.expand(n, -1)
