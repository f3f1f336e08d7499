"""The metrics of a regression task."""

from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

from taskloom.metrics.r2 import R2
from taskloom.metrics.spec import MetricSpec


def regression_metrics() -> dict[str, MetricSpec]:
    """RMSE (the main one) and MAE, both in the target's units, and R².

    Example:
        >>> [(name, spec.higher_is_better) for name, spec in regression_metrics().items()]
        [('rmse', False), ('mae', False), ('r2', True)]
    """
    return {
        "rmse": MetricSpec(MeanSquaredError(squared=False), False, main=True),
        "mae": MetricSpec(MeanAbsoluteError(), False),
        "r2": MetricSpec(R2(), True),
    }
