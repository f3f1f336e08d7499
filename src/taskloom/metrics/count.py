"""The metrics of a count task."""

from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

from taskloom.metrics.poisson_deviance import PoissonDeviance
from taskloom.metrics.spec import MetricSpec


def count_metrics() -> dict[str, MetricSpec]:
    """Poisson deviance (the main one), RMSE and MAE.

    Example:
        >>> list(count_metrics())
        ['deviance', 'rmse', 'mae']
    """
    return {
        "deviance": MetricSpec(PoissonDeviance(), False, main=True),
        "rmse": MetricSpec(MeanSquaredError(squared=False), False),
        "mae": MetricSpec(MeanAbsoluteError(), False),
    }
