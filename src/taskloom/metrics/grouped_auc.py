"""GAUC: how well the rows of one user are ordered, and how many rows that speaks for."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def auc_by_group(preds: Tensor, target: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    r"""AUC within each group, by ranks.

    .. math:: A_g = \frac{\sum_{i \in g, y_i = 1} \mathrm{rank}_g(i) - P_g (P_g + 1) / 2}{P_g N_g}

    Tied predictions share the mean of their ranks, so a tied pair of a positive and a negative counts half.

    Args:
        preds: scores (N,), N > 0.
        target: labels 0 or 1 (N,).
        group: int64 (N,), any ids in any order.

    Returns:
        AUC float64 (G,), NaN where a group lacks a class; rows int64 (G,); G distinct groups in rising order.

    Example:
        >>> auc, rows = auc_by_group(torch.tensor([.1, .9, .5, .5]), torch.tensor([0, 1, 0, 1]),
        ...                          torch.tensor([7, 7, 3, 3]))
        >>> auc.tolist(), rows.tolist()
        ([0.5, 1.0], [2, 2])
    """
    _, group = group.unique(return_inverse=True)
    order = preds.argsort(stable=True)
    order = order[group[order].argsort(stable=True)]
    preds, target, group = preds[order], (target[order] > 0).double(), group[order]
    rows = group.bincount()
    starts = rows.cumsum(0) - rows

    n = len(preds)
    position = torch.arange(n, device=preds.device)
    opens = torch.ones(n, dtype=torch.bool, device=preds.device)
    opens[1:] = (preds[1:] != preds[:-1]) | (group[1:] != group[:-1])
    tie = opens.cumsum(0) - 1
    first = position[opens]
    rank = first[tie] + (tie.bincount()[tie] + 1) / 2 - starts[group]

    sums = torch.zeros(2, len(rows), dtype=torch.float64, device=preds.device)
    sums.index_add_(1, group, torch.stack((target * rank.double(), target)))
    rank_sum, positives = sums
    pairs = positives * (rows - positives)
    auc = (rank_sum - positives * (positives + 1) / 2) / pairs
    return auc.masked_fill(pairs == 0, torch.nan), rows


class GroupedMetric(Metric):
    """Keeps all rows: groups cannot be judged before their last row is in."""

    is_differentiable = False
    full_state_update = False
    preds: list[Tensor]
    target: list[Tensor]
    group: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("preds", "target", "group"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor, group: Tensor) -> None:
        """Take in scores (N,), labels 0 or 1 (N,) and groups int64 (N,)."""
        self.preds.append(preds)
        self.target.append(target)
        self.group.append(group)

    def _auc_by_group(self) -> tuple[Tensor, Tensor]:
        return auc_by_group(dim_zero_cat(self.preds), dim_zero_cat(self.target), dim_zero_cat(self.group))


class GroupedAUC(GroupedMetric):
    r"""Mean of the AUC within groups, each group weighted by its rows.

    .. math:: \mathrm{GAUC} = \frac{\sum_g n_g A_g}{\sum_g n_g}

    over the groups that have both classes; the others have no order to judge. NaN where no group has both.

    Source: Zhu et al. 2017, "Optimized cost per click in Taobao display advertising" (there weighted by
    impressions, which rows are).

    Example:
        >>> metric = GroupedAUC()
        >>> scores, groups = torch.tensor([.2, .8, .6, .4]), torch.tensor([1, 1, 2, 2])
        >>> metric.update(scores, torch.tensor([0, 1, 0, 1]), groups)
        >>> metric.compute().item()
        0.5
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """The weighted mean over all rows so far, a scalar."""
        auc, rows = self._auc_by_group()
        judged = ~auc.isnan()
        return (auc[judged] * rows[judged]).sum() / rows[judged].sum()


class GroupedAUCCoverage(GroupedMetric):
    """Share of the rows that lie in groups with both classes: the rows that GAUC speaks for.

    Example:
        >>> metric = GroupedAUCCoverage()
        >>> scores, groups = torch.tensor([.2, .8, .6, .4]), torch.tensor([1, 1, 2, 2])
        >>> metric.update(scores, torch.tensor([0, 1, 1, 1]), groups)
        >>> metric.compute().item()
        0.5
    """

    higher_is_better = None

    def compute(self) -> Tensor:
        """The share over all rows so far, a scalar between 0 and 1."""
        auc, rows = self._auc_by_group()
        return rows[~auc.isnan()].sum() / rows.sum()
