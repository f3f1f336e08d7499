"""The metrics of a multilabel task."""

from torchmetrics.classification import BinaryAveragePrecision

from taskloom.metrics.log_loss import LogLoss
from taskloom.metrics.macro_auc import MacroAUC
from taskloom.metrics.spec import MetricSpec, has_positive


def multilabel_metrics() -> dict[str, MetricSpec]:
    """Macro AUC over labels (the main one), micro average precision, and log loss.

    The last two take every pair of a row and a label for a case of its own.

    Example:
        >>> list(multilabel_metrics())
        ['macro_auc', 'micro_average_precision', 'log_loss']
    """
    return {
        "macro_auc": MetricSpec(MacroAUC(), True, main=True, ranks=True),
        "micro_average_precision": MetricSpec(
            BinaryAveragePrecision(thresholds=None, validate_args=False), True, ranks=True, defined=has_positive
        ),
        "log_loss": MetricSpec(LogLoss(), False),
    }
