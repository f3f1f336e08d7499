"""Binary head: did it happen?"""

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from taskloom.errors import ConfigError
from taskloom.heads.head import Head, register
from taskloom.metrics.binary import binary_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.ranges import Fraction, NonNegative, Positive
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task


@register("binary")
class BinaryHead(Head):
    r"""A logit r with cross-entropy; predicts the probability :math:`\sigma(r)`.

    .. math:: r = s\, (\mathrm{tower} + \mathrm{wide}), \qquad \ell = -y \log \sigma(r) - (1 - y) \log (1 - \sigma(r))

    The scale s puts what tasks share on one footing: a regression head reads scores in standard deviations of its
    target, and a yes or no that follows from such a score through logistic noise of one standard deviation has the
    logit :math:`\pi / \sqrt 3 \approx 1.81` times the score.

    Three options change the loss, with class weight w, smoothing ε and focal loss of exponent γ:

    .. math:: \ell = w^y \big( -\tilde y\, \sigma(-r)^\gamma \log \sigma(r)
              - (1 - \tilde y)\, \sigma(r)^\gamma \log \sigma(-r) \big), \qquad
              \tilde y = (1 - \varepsilon)\, y + \tfrac{\varepsilon}{2}

    They order rows as well as the plain loss does, or better, but what is predicted is then no longer a calibrated
    probability: a weight moves it towards the class that weighs more, smoothing and focal loss towards one half.
    Whatever the loss, the output begins where it would end if it read nothing: for the plain one, at the base rate.

    Sources: Lin et al. 2017, "Focal Loss for Dense Object Detection"; Szegedy et al. 2016, "Rethinking the Inception
    Architecture for Computer Vision" (smoothing); where focal loss ends: Charoenphakdee et al. 2021, "On Focal Loss
    for Class-Posterior Probability Estimation: A Theoretical Perspective", theorem 11. Deviation: Lin's α weighs the
    classes α and 1 - α; here it is w and 1, so that rows of 0 count as in the plain loss.

    Args:
        task: its target is 0 or 1.
        statistics: of the target on the training rows.
        scale: s > 0, the logits of a unit of score.
        loss: ``bce`` or ``focal``.
        gamma: γ >= 0 of ``focal``; null takes 2.
        label_smoothing: ε, from 0 to below 1; ``bce`` only.
        positive_weight: w > 0, or ``balanced``: the number of training rows of 0 for each row of 1.
        arguments: those of Head.

    Raises:
        ConfigError: options that contradict each other.
    """

    def __init__(
        self,
        task: Task,
        statistics: TargetStatistics,
        *args: Any,
        scale: Positive = 2.0,
        loss: Literal["bce", "focal"] = "bce",
        gamma: NonNegative | None = None,
        label_smoothing: Fraction = 0.0,
        positive_weight: Positive | Literal["balanced"] = 1.0,
        **arguments: Any,
    ) -> None:
        super().__init__(task, statistics, *args, **arguments)
        where = f"data.tasks.{task.name}.options"
        if loss == "bce" and gamma is not None:
            raise ConfigError(f"{where}.gamma: it is the exponent of the focal loss; set loss: focal, or leave it out")
        if loss == "focal" and label_smoothing:
            raise ConfigError(
                f"{where}.label_smoothing: it draws predictions towards one half, and so does loss: focal; take one"
            )
        self.scale, self.smoothing = scale, label_smoothing
        self.gamma = 0.0 if loss == "bce" else 2.0 if gamma is None else gamma
        rate = statistics.mean[0] if math.isfinite(statistics.mean[0]) else 0.5
        rate = min(max(rate, 1e-4), 1 - 1e-4)
        self.weight = (1 - rate) / rate if isinstance(positive_weight, str) else positive_weight
        with torch.no_grad():
            self.output_bias().fill_(self._end(rate) / scale)

    def _end(self, rate: float) -> float:
        """The logit that is best for rows of which nothing but the base rate is known."""
        share = self.weight * rate / (self.weight * rate + 1 - rate)
        share = min(max((1 - self.smoothing) * share + self.smoothing / 2, 1e-7), 1 - 1e-7)
        if not self.gamma:
            return math.log(share / (1 - share))
        low, high = -30.0, 30.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _class_share(middle, self.gamma) < share else (low, middle)
        return low

    def forward(self, h: Tensor) -> Tensor:
        """Representation (B, R) to logits (B, 1)."""
        return super().forward(h) * self.scale

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Weighted, smoothed or focal cross-entropy of each row (B,); the plain one by default."""
        r, y = raw.squeeze(1).float(), target.squeeze(1)
        if self.gamma:
            yes, no = functional.logsigmoid(r), functional.logsigmoid(-r)
            losses = -y * (self.gamma * no).exp() * yes - (1 - y) * (self.gamma * yes).exp() * no
        else:
            soft = y * (1 - self.smoothing) + self.smoothing / 2 if self.smoothing else y
            losses = functional.binary_cross_entropy_with_logits(r, soft, reduction="none")
        return losses if self.weight == 1 else losses * (1 + (self.weight - 1) * y)

    def predict(self, raw: Tensor) -> Tensor:
        """Probabilities (B,)."""
        return raw.squeeze(1).float().sigmoid()

    def metrics(self) -> dict[str, MetricSpec]:
        """AUC (main), log loss, average precision, calibration error, GAUC with its coverage."""
        return binary_metrics()


def _class_share(logit: float, gamma: float) -> float:
    """The share of ones among rows for which focal loss is least at this logit; it rises with the logit.

    Example:
        >>> _class_share(0.0, 2.0), round(_class_share(1.0, 0.0), 4)
        (0.5, 0.7311)
    """
    log_p, log_q = -math.log1p(math.exp(-logit)), -math.log1p(math.exp(logit))
    p, q = math.exp(log_p), math.exp(log_q)
    # The slopes of the two terms of the loss; at the best logit π and 1 - π make them cancel.
    of_one = q**gamma * (q - gamma * p * log_p)
    of_zero = p**gamma * (p - gamma * q * log_q)
    return of_zero / (of_one + of_zero)
