"""The metrics of a zero-inflated task."""

from torch import Tensor
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

from taskloom.metrics.gini import NormalisedGini
from taskloom.metrics.macro_auc import MacroAUC
from taskloom.metrics.spec import MetricSpec, both_classes


class NonzeroAUC(MacroAUC):
    """AUC of the rows above 0 against those that are 0, by the predicted amount.

    Example:
        >>> import torch
        >>> metric = NonzeroAUC()
        >>> metric.update(torch.tensor([0.1, 5.0, 3.0]), torch.tensor([0.0, 7.0, 0.0]))
        >>> metric.compute().item()
        1.0
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in scores (N,) of any scale and amounts >= 0 (N,)."""
        super().update(preds[:, None], (target > 0)[:, None])


def varies(target: Tensor) -> bool:
    """Defined where not all targets are equal."""
    return target.numel() > 0 and bool((target != target[0]).any())


def zero_inflated_metrics() -> dict[str, MetricSpec]:
    """Normalised Gini (the main one), AUC of non-zero, RMSE and MAE.

    Gini and AUC read the order of the predicted amounts. Gini is the main one, as in the paper that the head comes
    from: RMSE is decided by the few largest rows, and what is predicted is used to order by.

    Example:
        >>> [name for name, spec in zero_inflated_metrics().items() if spec.ranks]
        ['gini', 'auc_nonzero']
    """
    return {
        "gini": MetricSpec(NormalisedGini(), True, main=True, ranks=True, defined=varies),
        "auc_nonzero": MetricSpec(NonzeroAUC(), True, ranks=True, defined=both_classes),
        "rmse": MetricSpec(MeanSquaredError(squared=False), False),
        "mae": MetricSpec(MeanAbsoluteError(), False),
    }
