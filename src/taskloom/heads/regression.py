"""Regression head: how much?"""

from typing import Any, Literal

import torch
from torch import Tensor

from taskloom.errors import ConfigError
from taskloom.heads.head import Head, register
from taskloom.heads.values import of_logs, quantiles_of
from taskloom.metrics.regression import regression_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.ranges import Positive
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task

Transform = Literal["none", "log1p"]


@register("regression")
class RegressionHead(Head):
    r"""A number, learnt on the standardised target and predicted in its own units.

    .. math:: e = r - \frac{g(y) - \mu}{\sigma}, \qquad \hat y = g^{-1}(\mu + \sigma r), \qquad
              \ell = e^2 \;(\text{mse}), \quad \lvert e \rvert \;(\text{mae}), \quad
              \begin{cases} e^2 & \lvert e \rvert \le \delta \\
              2 \delta \lvert e \rvert - \delta^2 & \text{else} \end{cases} \;(\text{huber})

    with g the transform, μ and σ those of g(y) on the training rows. Where g is log(1 + y), seconds and money with a
    long tail are learnt by their order of magnitude; the prediction is then rather the target's median than its mean,
    and is kept at 0 or above.

    Squared error is after the mean, absolute error after the median: with ``mae`` the output and the constant
    predictor begin at the median of the training rows, and MAE is the main metric. Huber's loss is after the mean of
    what is not far off, and is judged by RMSE like the squared error.

    Source: Huber 1964, "Robust Estimation of a Location Parameter". Deviation: twice his loss, so that it is the
    squared error for large δ.

    Args:
        task: its target is a number, >= 0 under log1p.
        statistics: of the target on the training rows; with ``transformed`` under log1p, ``percentiles`` for mae
            (without them the median is that of a normal distribution).
        transform: g: ``none`` learns the target as it is, ``log1p`` learns log(1 + y).
        loss: ``mse``, ``mae`` or ``huber``.
        delta: δ > 0 of ``huber``, in standard deviations of the transformed target; null takes 1.
        arguments: those of Head.

    Raises:
        ConfigError: log1p of a target that has negative values, or whose log nobody has looked at; delta without
            huber.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        task: Task,
        statistics: TargetStatistics,
        *args: Any,
        transform: Transform = "none",
        loss: Literal["mse", "mae", "huber"] = "mse",
        delta: Positive | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(task, statistics, *args, **arguments)
        if delta is not None and loss != "huber":
            raise ConfigError(
                f"data.tasks.{task.name}.options.delta: it is where Huber's loss turns linear; set loss: huber, or "
                "leave it out"
            )
        self.transform, self.by, self.turn = transform, loss, 1.0 if delta is None else delta
        learnt = statistics if transform == "none" else of_logs(task, statistics)
        std = torch.tensor(learnt.std, dtype=torch.float32)
        self.register_buffer("mean", torch.tensor(learnt.mean, dtype=torch.float32))
        self.register_buffer("std", torch.where(std > 0, std, torch.ones_like(std)))
        with torch.no_grad():
            if loss == "mae":
                self.output_bias().copy_((quantiles_of(learnt, [0.5]) - self.mean) / self.std)
                self.constant.copy_(quantiles_of(statistics, [0.5]))
            else:
                self.output_bias().zero_()

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Error of each row (B,), in standard deviations of the transformed target: squared, absolute or Huber's."""
        y = target.log1p() if self.transform == "log1p" else target
        error = (raw.float() - (y - self.mean) / self.std).squeeze(1)
        if self.by == "mse":
            return error.pow(2)
        if self.by == "mae":
            return error.abs()
        far = error.abs()
        near = far.clamp_max(self.turn)
        return near * (2 * far - near)

    def predict(self, raw: Tensor) -> Tensor:
        """The target in its own units, (B,)."""
        y = (raw.float() * self.std + self.mean).squeeze(1)
        return y.expm1().clamp_min(0) if self.transform == "log1p" else y

    def metrics(self) -> dict[str, MetricSpec]:
        """RMSE (main), MAE (main where the loss is mae), R², in the target's own units."""
        return regression_metrics(main="mae" if self.by == "mae" else "rmse")
