"""Ranking metrics: where the wanted items stand among all candidates."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def ranks(scores: Tensor, wanted: Tensor, candidate: Tensor, seed: int = 0) -> Tensor:
    """The rank of each wanted item of one user among the candidates, from 1.

    Ties are broken by chance, by a fixed seed: a model that scores all items alike gains nothing from the order in
    which they are stored.

    Args:
        scores: float (I,) of all items.
        wanted: int64 (M,) places of the wanted items, each a candidate.
        candidate: bool (I,) items that can be recommended.
        seed: of the ties.

    Returns:
        int64 (M,).

    Example:
        >>> scores = torch.tensor([0.1, 0.9, 0.5])
        >>> ranks(scores, torch.tensor([2]), torch.tensor([True, True, True])).tolist()
        [2]
        >>> ranks(scores, torch.tensor([2]), torch.tensor([True, False, True])).tolist()
        [1]
    """
    tie = torch.rand(len(scores), generator=torch.Generator().manual_seed(seed)).to(scores.device)
    mine, mine_tie = scores[wanted, None], tie[wanted, None]
    ahead = (scores > mine) | ((scores == mine) & (tie > mine_tie))
    return (ahead & candidate).sum(1) + 1


def ranking_metrics(found: Sequence[Tensor], missed: Sequence[int], at: Sequence[int]) -> dict[str, float]:
    r"""NDCG, recall and MRR at k, each the mean over users.

    .. math:: \mathrm{NDCG@k} = \frac{\sum_{r \le k} 1 / \log_2(r + 1)}{\sum_{j=1}^{\min(k, M)} 1 / \log_2(j + 1)},
       \quad \mathrm{recall@k} = \frac{|\{r \le k\}|}{M}, \quad \mathrm{MRR@k} = \frac{1}{\min r} \text{ if } \min r
       \le k, \text{ else } 0

    over the ranks r of a user's M wanted items; one that is no candidate (training never saw it) counts as missed.

    Source: Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques". On the whole catalogue and
    not on sampled items, which reorder models: Krichene & Rendle 2020, "On sampled metrics for item recommendation".

    Args:
        found: of each user, the ranks of those wanted items that are candidates.
        missed: of each user, how many wanted items are none.
        at: the cut-offs k.

    Example:
        >>> ranking_metrics([torch.tensor([1]), torch.tensor([3])], [0, 0], at=[2])
        {'ndcg@2': 0.5, 'recall@2': 0.5, 'mrr@2': 0.5}
    """
    values: dict[str, float] = {}
    for k in at:
        ndcg, recall, mrr = [], [], []
        for rank, lost in zip(found, missed, strict=True):
            hits = [int(r) for r in rank if r <= k]
            wanted = len(rank) + lost
            ideal = sum(1 / math.log2(j + 1) for j in range(1, min(k, wanted) + 1))
            ndcg.append(sum(1 / math.log2(r + 1) for r in hits) / ideal)
            recall.append(len(hits) / wanted)
            mrr.append(1 / min(hits) if hits else 0.0)
        for name, each in (("ndcg", ndcg), ("recall", recall), ("mrr", mrr)):
            values[f"{name}@{k}"] = math.fsum(each) / len(each) if each else math.nan
    return values
