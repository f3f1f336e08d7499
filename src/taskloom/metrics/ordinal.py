"""The metrics of an ordinal task."""

from collections.abc import Sequence

from torch import Tensor
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

from taskloom.metrics.quadratic_kappa import QuadraticKappa
from taskloom.metrics.spec import MetricSpec


def several_values(target: Tensor) -> bool:
    """Defined where the target varies: agreement with one level alone is no agreement."""
    return target.numel() > 0 and bool((target != target[0]).any())


def ordinal_metrics(levels: Sequence[float]) -> dict[str, MetricSpec]:
    """RMSE (the main one) and MAE in the target's units, and quadratic kappa.

    Args:
        levels: the values of the target, rising.

    Example:
        >>> list(ordinal_metrics([1, 2, 3, 4, 5]))
        ['rmse', 'mae', 'kappa']
    """
    return {
        "rmse": MetricSpec(MeanSquaredError(squared=False), False, main=True),
        "mae": MetricSpec(MeanAbsoluteError(), False),
        "kappa": MetricSpec(QuadraticKappa(levels), True, defined=several_values),
    }
