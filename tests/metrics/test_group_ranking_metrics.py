import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score
from torchmetrics.functional.retrieval import retrieval_reciprocal_rank
from torchmetrics.retrieval import RetrievalNormalizedDCG

from taskloom.metrics.group_ranking import GroupedMRR, GroupedNDCG, group_ranking_metrics
from taskloom.metrics.scoring import score


def rows(seed, n=300, groups=12, grades=4, ties=False):
    g = torch.Generator().manual_seed(seed)
    preds = torch.rand(n, generator=g, dtype=torch.float64)
    preds = (preds * 5).round() if ties else preds
    return preds, torch.randint(0, grades, (n,), generator=g).double(), torch.randint(0, groups, (n,), generator=g) * 7


def of(preds, target, group, labelled=None):
    labelled = torch.ones(len(preds), dtype=torch.bool) if labelled is None else labelled
    got = score("t", group_ranking_metrics(), preds, target, labelled, group)
    return {name.removeprefix("t/"): value for name, value in got.items()}


def computed(metric, preds, target, group):
    metric.update(preds, target, group)
    return metric.compute().item()


def by_group(preds, target, group):
    for g in group.unique():
        of = group == g
        if target[of].min() < target[of].max():
            yield preds[of], target[of]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_ndcg_agrees_with_scikit_learn(seed, k, ties):
    data = rows(seed, ties=ties)
    each = [ndcg_score(target[None], preds[None], k=k) for preds, target in by_group(*data)]
    assert computed(GroupedNDCG(k), *data) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("ties", [False, True])
def test_ndcg_agrees_with_torchmetrics_where_every_group_can_be_judged(ties):
    preds, target, group = rows(4, n=600, groups=10, ties=ties)
    theirs = RetrievalNormalizedDCG(top_k=10)
    theirs.update(preds.float(), target.long(), indexes=group)
    assert computed(GroupedNDCG(10), preds, target, group) == pytest.approx(theirs.compute().item(), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_mrr_agrees_with_torchmetrics(seed):
    preds, target, group = rows(seed, grades=2)
    each = [retrieval_reciprocal_rank(p.float(), t.long()).item() for p, t in by_group(preds, target, group)]
    assert computed(GroupedMRR(), preds, target, group) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("preds", [[0.5] * 5, [1, 1, 0, 0, 0], [2, 1, 1, 1, 0], [3, 3, 2, 2, 2]])
@pytest.mark.parametrize("target", [[0, 0, 1, 0, 0], [0, 1, 1, 0, 2], [0, 0, 0, 1, 1], [1, 0, 0, 0, 0]])
def test_mrr_of_equal_predictions_is_its_mean_over_all_orders(preds, target):
    ranks = []
    for order in itertools.permutations(range(5)):
        standing = sorted(order, key=lambda i: -preds[i])  # stable: ties as the permutation has them
        ranks.append(1 / (1 + next(place for place, i in enumerate(standing) if target[i] > 0)))
    got = computed(GroupedMRR(), torch.tensor(preds), torch.tensor(target), torch.full((5,), 3))
    assert got == pytest.approx(np.mean(ranks))


def test_mrr_leaves_out_groups_whose_rows_are_all_wanted():
    """The first wanted row of such a group is its first row in any order; in grades from 1 on all groups are such."""
    preds, target, group = rows(3)
    wanted = torch.tensor([1.0, 2.0, 3.0]).double()
    more = [torch.cat(x) for x in ((preds, wanted), (target, wanted), (group, torch.full((3,), 900)))]
    assert of(*more)["mrr"] == of(preds, target, group)["mrr"]
    grades = of(preds, target + 1, group)
    assert math.isnan(grades["mrr"])
    assert grades["group_coverage"] == 1
    assert 0 < grades["ndcg_at_10"] < 1


def test_a_constant_gains_nothing_from_the_order_of_the_rows():
    preds, target, group = rows(0)
    first = target.argsort(descending=True)
    constant = torch.zeros_like(preds)
    assert of(constant, target[first], group[first]) == pytest.approx(of(constant, target, group), rel=1e-12)


def test_groups_whose_rows_are_all_equally_relevant_are_left_out():
    preds, target, group = rows(1)
    more = torch.tensor([900, 900, 901, 902])
    equal = torch.tensor([2.0, 2.0, 0.0, 1.0], dtype=torch.float64)
    joined = [torch.cat(x) for x in ((preds, torch.rand(4).double()), (target, equal), (group, more))]
    before, after = of(preds, target, group), of(*joined)
    assert (after["ndcg_at_10"], after["mrr"]) == (before["ndcg_at_10"], before["mrr"])
    assert (before["group_coverage"], after["group_coverage"]) == (1, 12 / 15)


def test_nothing_to_order_is_no_number_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = of(torch.rand(4), torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([1, 1, 2, 2]))
        assert math.isnan(got["ndcg_at_10"])
        assert math.isnan(got["mrr"])
        assert got["group_coverage"] == 0
        got = of(torch.rand(2), torch.ones(2), torch.tensor([1, 2]))
        assert math.isnan(got["ndcg_at_10"])


def test_unlabelled_rows_stand_in_nobody_s_way():
    preds, target, group = rows(2)
    labelled = torch.rand(300, generator=torch.Generator().manual_seed(0)) < 0.5
    alone = of(preds[labelled], target[labelled], group[labelled])
    preds[~labelled], target[~labelled] = 99, math.nan
    assert of(preds, target, group, labelled) == alone


def test_one_metric_is_the_main_one_and_every_direction_is_right():
    specs = group_ranking_metrics()
    assert [name for name, spec in specs.items() if spec.main] == ["ndcg_at_10"]
    assert [spec.higher_is_better for spec in specs.values()] == [True, True, None]
