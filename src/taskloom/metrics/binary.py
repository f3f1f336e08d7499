"""The metrics of a binary task."""

from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision, BinaryCalibrationError

from taskloom.metrics.grouped_auc import GroupedAUC, GroupedAUCCoverage
from taskloom.metrics.log_loss import LogLoss
from taskloom.metrics.spec import MetricSpec, both_classes, has_positive


def binary_metrics() -> dict[str, MetricSpec]:
    """AUC (the main one), log loss, average precision, calibration error, GAUC and its coverage.

    AUC and average precision are exact (a threshold at each distinct prediction, ties counted half in the
    AUC). Calibration error is Σ_b n_b/N |mean label − mean probability| over 15 bins of equal width, [j/15,
    (j+1)/15), probability 1 in a bin of its own. GAUC and coverage: see GroupedAUC.

    Example:
        >>> [name for name, spec in binary_metrics().items() if spec.ranks]
        ['auc', 'average_precision', 'gauc', 'gauc_coverage']
    """
    return {
        "auc": MetricSpec(
            BinaryAUROC(thresholds=None, validate_args=False),
            True,
            main=True,
            ranks=True,
            defined=both_classes,
        ),
        "log_loss": MetricSpec(LogLoss(), False),
        "average_precision": MetricSpec(
            BinaryAveragePrecision(thresholds=None, validate_args=False),
            True,
            ranks=True,
            defined=has_positive,
        ),
        "calibration_error": MetricSpec(BinaryCalibrationError(n_bins=15, norm="l1", validate_args=False), False),
        "gauc": MetricSpec(GroupedAUC(), True, grouped=True, ranks=True, defined=both_classes),
        "gauc_coverage": MetricSpec(GroupedAUCCoverage(), None, grouped=True, ranks=True),
    }
