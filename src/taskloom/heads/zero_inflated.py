"""Zero-inflated head: is there anything at all, and how much then?"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from taskloom.errors import ConfigError
from taskloom.heads.head import Head, register
from taskloom.metrics.spec import MetricSpec
from taskloom.metrics.zero_inflated import zero_inflated_metrics
from taskloom.ranges import Positive
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task

#: least spread, in deviations of the logs: below it one row's loss would be without bound
NARROWEST = 1e-2
#: the logarithm of the largest prediction where nobody has looked at the largest target
LARGEST_LOG = 80.0
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_ONE = math.log(math.expm1(1 - NARROWEST))  # where the spread is 1


@register("zero_inflated")
class ZeroInflatedHead(Head):
    r"""Nothing with probability 1 - p, otherwise a log-normal amount; predicts the expected amount.

    .. math:: p = \sigma(r_1), \quad \mu = m + t\, r_2, \quad \sigma = t\, \mathrm{softplus}(r_3), \qquad
              \hat y = p\, e^{\mu + \sigma^2 / 2}

    .. math:: \ell = -[y = 0] \log (1 - p) - [y > 0] \Big( \log p - \log \frac{\sigma}{t}
              - \frac{(\log y - \mu)^2}{2 \sigma^2} - \tfrac12 \log 2 \pi \Big)

    with m and t the mean and the deviation of log y over the training rows with y > 0. For spend and dwell time:
    most rows are 0, a few are large. The outputs begin at the share of positive rows, at m and at t. The wide part
    adds to the logit and to μ; its weight for the spread begins at 0.

    A prediction is kept at or below the largest target of the training rows: the mean of a log-normal grows with the
    exponential of its variance, and one row with a wide spread would outweigh all others. Rows are ordered by the
    expected amount, so that is also what the AUC of non-zero judges.

    Source: Wang, Liu & Miao 2019, "A Deep Probabilistic Model for Customer Lifetime Value Prediction". Deviations:
    log y is standardised, which takes log y + log t, that no output changes, out of the loss; the scale s of the
    logit (see BinaryHead); the bound of the predictions; a least spread of 0.01 t (theirs: 3e-4).

    Args:
        task: its target is a number >= 0.
        statistics: of the target on the training rows, with ``positive``; with ``percentiles`` for the bound.
        scale: s > 0, the logits of a unit of score; see BinaryHead.
        arguments: those of Head.

    Raises:
        ConfigError: a negative target, none that is positive, or one whose logs nobody has looked at.
    """

    log_mean: Tensor
    log_std: Tensor
    log_most: Tensor

    def __init__(
        self, task: Task, statistics: TargetStatistics, *args: Any, scale: Positive = 2.0, **arguments: Any
    ) -> None:
        super().__init__(task, statistics, *args, **arguments)
        where = f"data.tasks.{task.name}.target"
        if statistics.least and statistics.least[0] < 0:
            raise ConfigError(
                f"{where}: an amount is >= 0, and training rows go down to {statistics.least[0]:g}; take kind: "
                "regression, or another target"
            )
        if statistics.mean[0] == 0:
            raise ConfigError(f"{where}: it is 0 on all training rows; take another target, or leave the task out")
        if statistics.positive is None:
            raise ConfigError(
                f"task {task.name}: kind zero_inflated needs the statistics of log(target > 0); give them"
            )
        self.scale = scale
        positive = statistics.positive
        std = positive.std[0] if positive.std[0] > 0 else 1.0
        most = math.log(statistics.percentiles[-1]) if statistics.percentiles else LARGEST_LOG
        for name, value in (("log_mean", positive.mean[0]), ("log_std", std), ("log_most", most)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        share = min(max(positive.n / statistics.n, 1e-4), 1 - 1e-4)
        with torch.no_grad():
            self.output_bias().copy_(torch.tensor([math.log(share / (1 - share)) / scale, 0.0, 0.0]))
            if self.delta is not None:
                self.delta[2] = -1

    def count_outputs(self, task: Task) -> int:
        """A logit, a location and a spread."""
        return 3

    def _parts(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logit, location and spread (B,) each; the last two in deviations of the logs."""
        logit, location, spread = raw.float().unbind(1)
        return logit * self.scale, location, functional.softplus(spread + _ONE) + NARROWEST

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Negative log-likelihood of each row (B,), up to what no output changes."""
        logit, location, spread = self._parts(raw)
        y = target.squeeze(1)
        there = y > 0
        # The logarithm of 1 and not of 0: a nan that is masked later still spoils the gradient.
        z = (y.where(there, 1.0).log() - self.log_mean) / self.log_std
        amount = spread.log() + 0.5 * ((z - location) / spread).square() + _HALF_LOG_2PI
        return functional.binary_cross_entropy_with_logits(logit, there.float(), reduction="none") + amount.masked_fill(
            ~there, 0
        )

    def predict(self, raw: Tensor) -> Tensor:
        """The expected amount in the target's own units, (B,)."""
        logit, location, spread = self._parts(raw)
        log_amount = self.log_mean + self.log_std * location + 0.5 * (self.log_std * spread).square()
        return (functional.logsigmoid(logit) + log_amount).clamp_max(self.log_most).exp()

    def metrics(self) -> dict[str, MetricSpec]:
        """Normalised Gini (main), AUC of non-zero, RMSE, MAE."""
        return zero_inflated_metrics()
