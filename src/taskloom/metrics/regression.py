"""The metrics of a regression task."""

from typing import Literal

from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

from taskloom.metrics.r2 import R2
from taskloom.metrics.spec import MetricSpec


def regression_metrics(main: Literal["rmse", "mae"] = "rmse") -> dict[str, MetricSpec]:
    """RMSE and MAE, both in the target's units, and R².

    Args:
        main: which of the first two judges the task: what its loss is after.

    Example:
        >>> [(name, spec.higher_is_better) for name, spec in regression_metrics().items()]
        [('rmse', False), ('mae', False), ('r2', True)]
    """
    return {
        "rmse": MetricSpec(MeanSquaredError(squared=False), False, main=main == "rmse"),
        "mae": MetricSpec(MeanAbsoluteError(), False, main=main == "mae"),
        "r2": MetricSpec(R2(), True),
    }
