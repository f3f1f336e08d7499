"""The metrics of a multiclass task."""

from collections.abc import Sequence

from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from taskloom.metrics.macro_auc import MacroAUC
from taskloom.metrics.spec import MetricSpec


def multiclass_metrics(classes: Sequence[float]) -> dict[str, MetricSpec]:
    """Macro AUC (the main one), accuracy and macro F1, of probabilities (N, C).

    The predicted class is the most likely one. Macro F1 is the mean over the classes that occur among targets or
    predicted classes. A class that training never saw has no probability: its rows are wrong, and it counts in F1.
    Macro AUC (see MacroAUC) judges the classes that training saw.

    Args:
        classes: the C values of the target.

    Example:
        >>> [name for name, spec in multiclass_metrics([0, 1, 2]).items() if spec.main]
        ['macro_auc']
    """
    classes = tuple(classes)
    n = len(classes) + 1  # what training never saw has the number C
    accuracy = MulticlassAccuracy(n, average="micro", validate_args=False)
    f1 = MulticlassF1Score(n, average="macro", validate_args=False)
    return {
        "macro_auc": MetricSpec(MacroAUC(), True, main=True, ranks=True, classes=classes),
        "accuracy": MetricSpec(accuracy, True, classes=classes),
        "macro_f1": MetricSpec(f1, True, classes=classes),
    }
