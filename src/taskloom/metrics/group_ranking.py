"""Ranking within groups: do the wanted rows of a user stand in front of the user's other rows?"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from taskloom.metrics.grouped_auc import GroupedMetric
from taskloom.metrics.spec import MetricSpec, both_classes
from taskloom.metrics.zero_inflated import varies


class _ByGroup(GroupedMetric):
    """What is judged are the groups that have rows of different relevance: the others are in order anyhow."""

    higher_is_better: bool | None = True

    def _rows(self) -> tuple[Tensor, Tensor, Tensor]:
        _, group = dim_zero_cat(self.group).unique(return_inverse=True)
        return dim_zero_cat(self.preds), dim_zero_cat(self.target).double(), group

    @staticmethod
    def _judged(target: Tensor, group: Tensor) -> Tensor:
        """Bool (G,)."""
        zeros = target.new_zeros(int(group.max()) + 1)
        most = zeros.scatter_reduce(0, group, target, "amax", include_self=False)
        return most > zeros.scatter_reduce(0, group, target, "amin", include_self=False)


class GroupedNDCG(_ByGroup):
    r"""NDCG at k within groups, the mean over groups.

    .. math:: \frac{\sum_{r=1}^{k} y_{(r)} / \log_2 (r + 1)}{\sum_{r=1}^{k} y_{[r]} / \log_2 (r + 1)}

    with y in the order of the predictions above and in its own, falling, below. Rows with equal predictions share the
    mean of their places' discounts, so that the order in which they are stored counts for nothing. Groups whose rows
    are all equally relevant are left out; NaN where no group is left.

    Source: Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques"; ties: McSherry & Najork
    2008, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores".

    Args:
        k: places that count.

    Example:
        >>> metric = GroupedNDCG(k=1)
        >>> metric.update(torch.tensor([3.0, 1.0, 2.0, 5.0, 4.0]), torch.tensor([0.0, 1.0, 2.0, 1.0, 0.0]),
        ...               torch.tensor([7, 7, 7, 9, 9]))
        >>> metric.compute().item()
        0.5
    """

    def __init__(self, k: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.k = k

    def compute(self) -> Tensor:
        """The mean over the groups of all rows so far, a scalar."""
        preds, target, group = self._rows()
        order, place, tie = _ranked(preds, group)
        best, _, _ = _ranked(target, group)  # the places of a group are the same in any order
        discount = ((place + 2).double().log2().reciprocal()).masked_fill(place >= self.k, 0)
        shared = (tie.new_zeros(int(tie.max()) + 1).double().index_add(0, tie, discount) / tie.bincount())[tie]
        zeros = target.new_zeros(int(group.max()) + 1)
        gain = zeros.index_add(0, group[order], target[order] * shared)
        ideal = zeros.index_add(0, group[best], target[best] * discount)
        return (gain / ideal)[self._judged(target, group)].mean()


class GroupedMRR(_ByGroup):
    r"""Reciprocal rank of a group's first row with y > 0, the mean over groups.

    Rows with equal predictions stand in every order equally often: where r of m such rows, from place s + 1 on, are
    relevant, the first of them has place s + f with probability

    .. math:: \binom{m - f}{r - 1} \Big/ \binom{m}{r}

    Groups whose rows are all relevant, or none of them, are left out: whatever the order, the first is found at once or
    never. NaN where no group is left, as where every row has y > 0 (grades from 1 on).

    Source: Voorhees 1999, "The TREC-8 Question Answering Track Report"; ties: McSherry & Najork 2008.

    Example:
        >>> metric = GroupedMRR()
        >>> metric.update(torch.tensor([3.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0]), torch.tensor([7, 7, 7]))
        >>> round(metric.compute().item(), 4)  # second or third
        0.4167
    """

    def compute(self) -> Tensor:
        """The mean over the groups of all rows so far, a scalar."""
        preds, target, group = self._rows()
        order, place, tie = _ranked(preds, group)
        judged = self._judged((target > 0).double(), group)
        group, relevant = group[order], (target[order] > 0).double()
        m, n = tie.bincount(), len(tie)
        r = relevant.new_zeros(len(m)).index_add(0, tie, relevant)
        first = place.new_full((int(group.max()) + 1,), n)
        first = first.scatter_reduce(0, group, tie.masked_fill(r[tie] == 0, n), "amin")
        rows = tie == first[group]
        start = place.new_full((len(m),), n).scatter_reduce(0, tie, place, "amin")
        tie, place, group = tie[rows], place[rows], group[rows]
        size, hits, f = m[tie].double(), r[tie], (place - start[tie] + 1).double()
        possible = f <= size - hits + 1
        chance = (_log_choose(size - f, hits - 1) - _log_choose(size, hits)).exp().masked_fill(~possible, 0)
        found = relevant.new_zeros(len(first)).index_add(0, group, chance / (place + 1))
        return found[judged].mean()


class GroupCoverage(_ByGroup):
    """Share of the groups that have rows of different relevance: those that NDCG speaks for.

    MRR speaks for those of them that have a row with y = 0, too: all of them where relevance is 0 or 1.

    Example:
        >>> metric = GroupCoverage()
        >>> metric.update(torch.zeros(4), torch.tensor([0.0, 1.0, 1.0, 1.0]), torch.tensor([7, 7, 9, 9]))
        >>> metric.compute().item()
        0.5
    """

    higher_is_better = None

    def compute(self) -> Tensor:
        """The share over all rows so far, a scalar."""
        _, target, group = self._rows()
        return self._judged(target, group).double().mean()


def group_ranking_metrics() -> dict[str, MetricSpec]:
    """NDCG at 10 (the main one) and MRR within groups, and the share of groups that NDCG speaks for.

    Example:
        >>> list(group_ranking_metrics())
        ['ndcg_at_10', 'mrr', 'group_coverage']
    """
    return {
        "ndcg_at_10": MetricSpec(GroupedNDCG(k=10), True, main=True, grouped=True, ranks=True, defined=varies),
        "mrr": MetricSpec(GroupedMRR(), True, grouped=True, ranks=True, defined=both_classes),
        "group_coverage": MetricSpec(GroupCoverage(), None, grouped=True, ranks=True),
    }


def _ranked(preds: Tensor, group: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows group by group, in each by falling prediction.

    Returns:
        int64 (N,) each: the order; of each row in it the place in its group, from 0, and the number of its tie.
    """
    order = preds.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    rows = group.bincount()
    place = torch.arange(len(group), device=group.device) - (rows.cumsum(0) - rows)[group[order]]
    opens = place == 0
    opens[1:] |= preds[order][1:] != preds[order][:-1]
    return order, place, opens.cumsum(0) - 1


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma((n - k + 1).clamp_min(1))
