import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.metrics.ranking import ranking_metrics, ranks


@given(st.integers(2, 30), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_ranks_are_those_of_a_sorted_list(n, seed):
    g = torch.Generator().manual_seed(seed)
    scores = torch.randperm(n, generator=g).float()
    candidate = torch.rand(n, generator=g) < 0.7
    candidate[0] = True
    order = [i for i in scores.argsort(descending=True).tolist() if candidate[i]]
    wanted = torch.tensor([i for i in range(n) if candidate[i]][:3])
    assert ranks(scores, wanted, candidate).tolist() == [order.index(int(i)) + 1 for i in wanted]


def test_equal_scores_gain_nothing_from_the_order_of_the_items():
    n = 400
    everything = torch.ones(n, dtype=torch.bool)
    mean = torch.stack(
        [ranks(torch.zeros(n), torch.tensor([0]), everything, seed).float() for seed in range(200)]
    ).mean()
    assert abs(float(mean) - n / 2) < 30


def test_known_answers():
    found = [torch.tensor([1, 4]), torch.tensor([2]), torch.tensor([], dtype=torch.int64)]
    values = ranking_metrics(found, missed=[0, 1, 1], at=[3])
    second = 1 / math.log2(3)
    ndcg = [1 / (1 + second), second / (1 + second), 0]
    assert values == {
        "ndcg@3": pytest.approx(sum(ndcg) / 3),
        "recall@3": pytest.approx((1 / 2 + 1 / 2 + 0) / 3),
        "mrr@3": pytest.approx((1 + 1 / 2 + 0) / 3),
    }


def test_nobody_to_rank_for_is_not_a_number():
    assert math.isnan(ranking_metrics([], [], at=[10])["ndcg@10"])
