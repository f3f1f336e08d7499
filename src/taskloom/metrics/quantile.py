"""The metrics of a quantile task."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torchmetrics.regression import MeanAbsoluteError

from taskloom.metrics.interval import Coverage, Width
from taskloom.metrics.pinball import Pinball
from taskloom.metrics.spec import MetricSpec


class MedianError(MeanAbsoluteError):
    """MAE of one of the predicted quantiles.

    Args:
        place: which column is the median.
    """

    def __init__(self, place: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.place = place

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in quantiles (N, Q) and targets (N,)."""
        super().update(preds[:, self.place].contiguous(), target)


def quantile_metrics(quantiles: Sequence[float]) -> dict[str, MetricSpec]:
    """Mean pinball loss (the main one), coverage and width of the outer interval, MAE of the median.

    Coverage and width are left out where there is one quantile, the MAE where 0.5 is not among them.

    Args:
        quantiles: Q of them, rising.

    Example:
        >>> list(quantile_metrics([0.1, 0.5, 0.9])), list(quantile_metrics([0.9]))
        (['pinball', 'mae', 'coverage', 'width'], ['pinball'])
    """
    quantiles, n = tuple(quantiles), len(quantiles)
    specs = {"pinball": MetricSpec(Pinball(quantiles), False, main=True, columns=n)}
    if 0.5 in quantiles:
        specs["mae"] = MetricSpec(MedianError(quantiles.index(0.5)), False, columns=n)
    if n > 1:
        specs["coverage"] = MetricSpec(Coverage(), None, columns=n)
        specs["width"] = MetricSpec(Width(), None, columns=n)
    return specs
