"""Multiclass head: which one of these?"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from taskloom.heads.head import Head, register
from taskloom.heads.values import rates, target_values
from taskloom.metrics.multiclass import multiclass_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task


@register("multiclass")
class MulticlassHead(Head):
    r"""A score for each of C classes with cross-entropy; predicts the C probabilities.

    .. math:: p = \mathrm{softmax}(r), \qquad \ell = -\log p_y

    The scores begin at the logarithms of the classes' shares in training. Predictions are probabilities (B, C), in
    the order of the classes; a target stays one number, the code of its class. A row whose class is not among them
    (training never saw it) has a loss of 0 and counts as wrong in accuracy and F1.

    Args:
        task: its target is the code of a class: whole numbers or any others, without order.
        statistics: of the target on the training rows, with their values.
        classes: the codes; null takes those that the training rows have.
        arguments: those of Head.

    Raises:
        ConfigError: fewer than two classes, more than 1,000, or training rows with another code.
    """

    codes: Tensor
    shares: Tensor

    def __init__(
        self,
        task: Task,
        statistics: TargetStatistics,
        *args: Any,
        classes: Sequence[float] | None = None,
        **arguments: Any,
    ) -> None:
        self.classes = target_values(task, statistics, classes, "classes")
        super().__init__(task, statistics, *args, **arguments)
        shares = rates(statistics, self.classes)
        self.register_buffer("codes", torch.tensor(self.classes, dtype=torch.float32))
        self.register_buffer("shares", shares)
        with torch.no_grad():
            self.output_bias().copy_(shares.clamp_min(1e-4).log())

    def count_outputs(self, task: Task) -> int:
        """One output a class."""
        return len(self.classes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The task's name and the code of a class, for each class."""
        return tuple(f"{self.task.name}_{code:g}" for code in self.classes)

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Cross-entropy of each row (B,)."""
        return -raw.float().log_softmax(1).masked_fill(target != self.codes, 0).sum(1)

    def predict(self, raw: Tensor) -> Tensor:
        """Probabilities (B, C)."""
        return raw.float().softmax(1)

    def metrics(self) -> dict[str, MetricSpec]:
        """Macro AUC (main), accuracy, macro F1."""
        return multiclass_metrics(self.classes)

    def constant_prediction(self, n: int) -> Tensor:
        """The classes' shares in training, (n, C)."""
        return self.shares.expand(n, -1)
