"""Binary head: did it happen?"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from taskloom.heads.head import Head, register
from taskloom.metrics.binary import binary_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.ranges import Positive
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task


@register("binary")
class BinaryHead(Head):
    r"""A logit r with cross-entropy; predicts the probability :math:`\sigma(r)`.

    .. math:: r = s\, (\mathrm{tower} + \mathrm{wide}), \qquad \ell = -y \log \sigma(r) - (1 - y) \log (1 - \sigma(r))

    The output begins at the log odds of the base rate. The scale s puts what tasks share on one footing: a regression
    head reads scores in standard deviations of its target, and a yes or no that follows from such a score through
    logistic noise of one standard deviation has the logit :math:`\pi / \sqrt 3 \approx 1.81` times the score.

    Args:
        task: its target is 0 or 1.
        statistics: of the target on the training rows.
        scale: s > 0, the logits of a unit of score.
        arguments: those of Head.
    """

    def __init__(
        self, task: Task, statistics: TargetStatistics, *args: Any, scale: Positive = 2.0, **arguments: Any
    ) -> None:
        super().__init__(task, statistics, *args, **arguments)
        self.scale = scale
        rate = torch.tensor(statistics.mean, dtype=torch.float32)
        with torch.no_grad():
            self.output_bias().copy_(torch.logit(rate.nan_to_num(0.5).clamp(1e-4, 1 - 1e-4)) / scale)

    def forward(self, h: Tensor) -> Tensor:
        """Representation (B, R) to logits (B, 1)."""
        return super().forward(h) * self.scale

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Cross-entropy of each row (B,)."""
        return functional.binary_cross_entropy_with_logits(raw.squeeze(1).float(), target.squeeze(1), reduction="none")

    def predict(self, raw: Tensor) -> Tensor:
        """Probabilities (B,)."""
        return raw.squeeze(1).float().sigmoid()

    def metrics(self) -> dict[str, MetricSpec]:
        """AUC (main), log loss, average precision, calibration error, GAUC with its coverage."""
        return binary_metrics()
