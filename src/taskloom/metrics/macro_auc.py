"""Macro AUC: the AUC of each label or class, averaged."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from taskloom.metrics.grouped_auc import auc_by_group


class MacroAUC(Metric):
    r"""Mean of the AUC of each column, over the columns that have both classes.

    .. math:: \frac{1}{\lvert J \rvert} \sum_{j \in J} \mathrm{AUC}(p_{\cdot j}, y_{\cdot j}),
              \qquad J = \{ j : 0 < \textstyle\sum_i y_{ij} < N \}

    The columns are the labels of a multilabel task or, one against the rest, the classes of a multiclass one.
    torchmetrics counts a column without a positive row as an AUC of 0, which nobody measured; here it is left out,
    and the mean is NaN where no column is left.

    Source: Hand & Till 2001, "A simple generalisation of the area under the ROC curve for multiple class
    classification problems", section 2 (one against the rest). Deviations: columns that cannot be judged are left out.

    Example:
        >>> metric = MacroAUC()
        >>> preds = torch.tensor([[.1, .9, .2], [.8, .4, .3], [.6, .5, .1]])
        >>> metric.update(preds, torch.tensor([[0, 1, 0], [1, 0, 0], [0, 1, 0]]))
        >>> metric.compute().item()
        1.0
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("preds", [], dist_reduce_fx="cat")
        self.add_state("target", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take in scores (N, C), and labels 0 or 1 (N, C) or class numbers (N,); a number >= C is none of them."""
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Tensor:
        """The mean over the columns of all rows so far, a scalar."""
        preds, target = dim_zero_cat(self.preds), dim_zero_cat(self.target)
        one_group = torch.zeros(len(preds), dtype=torch.int64, device=preds.device)
        columns = [
            auc_by_group(preds[:, j], target == j if target.dim() == 1 else target[:, j], one_group)[0]
            for j in range(preds.shape[1])
        ]
        return torch.cat(columns).nanmean()
