"""Multilabel head: which of these, any number of them?"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from taskloom.errors import ConfigError
from taskloom.heads.head import Head, register
from taskloom.metrics.multilabel import multilabel_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.ranges import Positive
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task


@register("multilabel")
class MultilabelHead(Head):
    r"""A logit for each of t labels, each a yes or no of its own; predicts t probabilities.

    .. math:: \ell = -\frac{1}{t} \sum_j y_j \log \sigma(r_j) + (1 - y_j) \log (1 - \sigma(r_j))

    The mean over labels makes the task weigh as much as a binary one, however many labels it has. A row counts where
    it has all of its labels. Each output begins at the log odds of its label's base rate.

    Args:
        task: its targets are two columns or more of 0 and 1.
        statistics: of the targets on the training rows.
        scale: s > 0, the logits of a unit of score; see BinaryHead.
        arguments: those of Head.

    Raises:
        ConfigError: one target column, or values other than 0 and 1.
    """

    n_targets = None

    def __init__(
        self, task: Task, statistics: TargetStatistics, *args: Any, scale: Positive = 2.0, **arguments: Any
    ) -> None:
        if len(task.targets) < 2:
            raise ConfigError(
                f"data.tasks.{task.name}.target: a multilabel task has a list of target columns, got "
                f"{task.targets[0]}; list two or more, or take kind: binary"
            )
        wrong = [f"{value:g}" for value in statistics.values if value not in (0, 1)]
        if wrong or (statistics.least and not statistics.values):
            raise ConfigError(
                f"data.tasks.{task.name}.target: a label must be 0 or 1, found {wrong[0] if wrong else 'many values'}; "
                "compare it with something"
            )
        super().__init__(task, statistics, *args, **arguments)
        self.scale = scale
        rates = torch.tensor(statistics.mean, dtype=torch.float32).nan_to_num(0.5)
        with torch.no_grad():
            self.output_bias().copy_(torch.logit(rates.clamp(1e-4, 1 - 1e-4)) / scale)

    def forward(self, h: Tensor) -> Tensor:
        """Representation (B, R) to logits (B, t)."""
        return super().forward(h) * self.scale

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Cross-entropy of each row, the mean over its labels, (B,)."""
        return functional.binary_cross_entropy_with_logits(raw.float(), target, reduction="none").mean(1)

    def predict(self, raw: Tensor) -> Tensor:
        """Probabilities (B, t)."""
        return raw.float().sigmoid()

    def metrics(self) -> dict[str, MetricSpec]:
        """Macro AUC (main), micro average precision, log loss."""
        return multilabel_metrics()
