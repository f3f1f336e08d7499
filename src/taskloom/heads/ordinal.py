"""Ordinal head: how far up a scale?"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from taskloom.heads.head import Head, register
from taskloom.heads.values import rates, target_values
from taskloom.metrics.ordinal import ordinal_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.ranges import Positive
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task


@register("ordinal")
class OrdinalHead(Head):
    r"""One of L ordered levels :math:`l_1 < ... < l_L`, learnt as L - 1 questions "is it above l_j?".

    CORN asks each question of the rows that are at least at its level, with an output :math:`r_j` of its own, so
    that the probabilities of being above a level can only fall:

    .. math:: P(y > l_j) = \prod_{i \le j} \sigma(r_i), \qquad
              \ell = -\sum_{j:\, y \ge l_j} [y > l_j] \log \sigma(r_j) + [y = l_j] \log (1 - \sigma(r_j))

    CORAL asks all rows, with one score and a threshold a question, :math:`r_j = f + b_j`; the thresholds fall at the
    optimum (its theorem 1):

    .. math:: P(y > l_j) = \sigma(r_j), \qquad
              \ell = -\sum_j [y > l_j] \log \sigma(r_j) + [y \le l_j] \log (1 - \sigma(r_j))

    Both begin at the shares of the levels in training. The prediction is the expected level,
    :math:`l_1 + \sum_j (l_{j+1} - l_j) P(y > l_j)`, which suits RMSE, or the most likely level.

    Sources: CORN: Shi, Cao & Raschka 2021, "Deep neural networks for rank-consistent ordinal regression based on
    conditional probabilities"; CORAL: Cao, Mirjalili & Raschka 2020, "Rank consistent ordinal regression for neural
    networks with application to age estimation". Deviations: the loss is summed over a row's questions and averaged
    over rows (CORN: over questions), the row's log-likelihood; the papers predict one level, by the number of
    questions answered with more than 0.5.

    Args:
        task: its target is a number, one of few that have an order.
        statistics: of the target on the training rows, with their values.
        method: ``corn`` or ``coral``.
        levels: the values of the target; null takes those that the training rows have.
        prediction: ``expected`` or ``most_likely``.
        scale: s > 0, the logits of a unit of score; see BinaryHead.
        arguments: those of Head.

    Raises:
        ConfigError: fewer than two levels, more than 1,000, or training rows with another value.
    """

    values: Tensor
    gaps: Tensor

    def __init__(
        self,
        task: Task,
        statistics: TargetStatistics,
        *args: Any,
        method: Literal["corn", "coral"] = "corn",
        levels: Sequence[float] | None = None,
        prediction: Literal["expected", "most_likely"] = "expected",
        scale: Positive = 2.0,
        **arguments: Any,
    ) -> None:
        self.method, self.prediction, self.scale = method, prediction, scale
        self.levels = target_values(task, statistics, levels, "levels")
        super().__init__(task, statistics, *args, **arguments)
        self.register_buffer("values", torch.tensor(self.levels, dtype=torch.float32))
        self.register_buffer("gaps", self.values.diff())
        above = rates(statistics, self.levels).flip(0).cumsum(0).flip(0)  # P(y >= l_j)
        asked = above[:-1] if method == "corn" else torch.ones(len(self.levels) - 1)
        logits = torch.logit((above[1:] / asked).nan_to_num(0.5).clamp(1e-4, 1 - 1e-4))
        self.thresholds = nn.Parameter(logits) if method == "coral" else None
        with torch.no_grad():
            self.output_bias().copy_(torch.zeros(1) if method == "coral" else logits / scale)
        self.n_raw = len(self.levels) - 1

    def count_outputs(self, task: Task) -> int:
        """One output a question (CORN), or one score for all of them (CORAL)."""
        return len(self.levels) - 1 if self.method == "corn" else 1

    def forward(self, h: Tensor) -> Tensor:
        """Representation (B, R) to logits (B, L - 1)."""
        raw = super().forward(h) * self.scale
        return raw if self.thresholds is None else raw.float() + self.thresholds.float()

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Negative log-likelihood of each row's answers (B,)."""
        above = target > self.values[:-1]
        losses = functional.binary_cross_entropy_with_logits(raw.float(), above.float(), reduction="none")
        return (losses.masked_fill(target < self.values[:-1], 0) if self.method == "corn" else losses).sum(1)

    def above(self, raw: Tensor) -> Tensor:
        """P(y > l_j), (B, L - 1)."""
        return functional.logsigmoid(raw.float()).cumsum(1).exp() if self.method == "corn" else raw.float().sigmoid()

    def predict(self, raw: Tensor) -> Tensor:
        """The expected or the most likely level, in the target's own units, (B,)."""
        above = self.above(raw)
        if self.prediction == "expected":
            return self.values[0] + above @ self.gaps
        edges = functional.pad(functional.pad(above, (1, 0), value=1.0), (0, 1))
        return self.values[(edges[:, :-1] - edges[:, 1:]).argmax(1)]

    def metrics(self) -> dict[str, MetricSpec]:
        """RMSE (main), MAE, quadratic kappa."""
        return ordinal_metrics(self.levels)
