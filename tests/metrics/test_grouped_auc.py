import torch

from taskloom.metrics.grouped_auc import GroupedAUC, GroupedAUCCoverage, auc_by_group


def test_groups_weigh_by_their_rows_and_one_class_groups_are_left_out():
    # Group 5: AUC 1 on 2 rows. Group 9: a tie and a win of two pairs = .75 on 3 rows. Group 7: no negative.
    scores = torch.tensor([0.9, 0.1, 0.5, 0.5, 0.2, 0.3])
    target = torch.tensor([1, 0, 1, 0, 0, 1])
    group = torch.tensor([5, 5, 9, 9, 9, 7])
    gauc, coverage = GroupedAUC(), GroupedAUCCoverage()
    for rows in ([0, 3, 5], [1, 2, 4]):  # groups come in parts
        for metric in (gauc, coverage):
            metric.update(scores[rows], target[rows], group[rows])
    assert gauc.compute().item() == (2 * 1 + 3 * 0.75) / 5
    torch.testing.assert_close(coverage.compute().double(), torch.tensor(5 / 6, dtype=torch.float64), rtol=1e-6, atol=0)


def test_a_rising_change_of_scale_within_a_group_changes_nothing():
    g = torch.Generator().manual_seed(0)
    scores = torch.rand(500, generator=g, dtype=torch.float64).mul(20).round()
    target, group = torch.randint(0, 2, (500,), generator=g), torch.randint(0, 40, (500,), generator=g)
    before = auc_by_group(scores, target, group)
    after = auc_by_group(scores * 3 + 1000 * group, target, group)
    assert torch.equal(before[0].nan_to_num(-1), after[0].nan_to_num(-1))
    assert torch.equal(before[1], after[1])
