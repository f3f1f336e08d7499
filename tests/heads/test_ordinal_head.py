"""The ordinal head: CORN and CORAL."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch

from taskloom.config.heads import check_heads
from taskloom.errors import ConfigError
from taskloom.heads import HEADS
from taskloom.tasks import TargetStatistics, Task

COUNTS = (10, 20, 40, 30)
VALUES = (1.0, 2.0, 4.0, 5.0)
MEAN = sum(n * v for n, v in zip(COUNTS, VALUES, strict=True)) / 100
STATISTICS = TargetStatistics((MEAN,), (1.4,), 100, least=(1.0,), values=VALUES, counts=COUNTS)
METHODS = pytest.mark.parametrize("method", ["corn", "coral"])


def make(method="corn", statistics=STATISTICS, **arguments):
    return HEADS["ordinal"](Task("stars", "ordinal"), statistics, 5, method=method, **arguments)


def loop_loss(method, raw, y):
    """Σ of the binary cross-entropies of a row's questions, by loops."""
    total = 0.0
    for j, level in enumerate(VALUES[:-1]):
        if method == "corn" and y < level:
            continue
        p = 1 / (1 + math.exp(-raw[j]))
        total -= math.log(p) if y > level else math.log(1 - p)
    return total


@METHODS
@pytest.mark.parametrize("wide", [0, 5])
def test_it_begins_at_the_shares_of_the_levels(method, wide):
    head = make(method, wide=wide)
    raw = head(torch.zeros(2, 5))
    torch.testing.assert_close(head.above(raw)[0], torch.tensor([0.9, 0.7, 0.3]))
    torch.testing.assert_close(head.predict(raw), torch.full((2,), MEAN))
    torch.testing.assert_close(head.predict(raw), head.constant_prediction(2))


@METHODS
def test_the_loss_is_that_of_the_formula(method):
    g = torch.Generator().manual_seed(0)
    raw = torch.randn(4, 3, generator=g)
    got = make(method).loss(raw, torch.tensor(VALUES)[:, None], None)
    expected = [loop_loss(method, row, y) for row, y in zip(raw.tolist(), VALUES, strict=True)]
    torch.testing.assert_close(got, torch.tensor(expected))


def test_corn_is_the_likelihood_of_the_level():
    head, raw = make("corn"), torch.tensor([[0.4, -1.0, 2.0]])
    above = [1.0, *head.above(raw)[0].tolist(), 0.0]
    for j, level in enumerate(VALUES):
        loss = head.loss(raw, torch.tensor([[level]]), None)
        assert loss.item() == pytest.approx(-math.log(above[j] - above[j + 1]), rel=1e-5)


def test_corn_can_only_fall():
    above = make("corn").above(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)) * 3)
    assert (above.diff(dim=1) <= 0).all()


@METHODS
def test_the_prediction_is_the_expected_or_the_most_likely_level(method):
    raw = torch.tensor([[3.0, 2.0, 1.0], [1.0, -2.0, -9.0], [-5.0, -6.0, -7.0]])
    expected, likeliest = make(method), make(method, prediction="most_likely")
    above = [[1.0, *row, 0.0] for row in expected.above(raw).tolist()]
    chances = [[a - b for a, b in pairwise(row)] for row in above]
    means = [sum(p * v for p, v in zip(row, VALUES, strict=True)) for row in chances]
    torch.testing.assert_close(expected.predict(raw), torch.tensor(means))
    assert likeliest.predict(raw).tolist() == [VALUES[row.index(max(row))] for row in chances]


@METHODS
def test_certain_outputs_reach_the_ends_of_the_scale(method):
    raw = torch.tensor([[60.0] * 3, [-60.0] * 3])
    torch.testing.assert_close(make(method).predict(raw), torch.tensor([5.0, 1.0]))
    assert make(method).loss(raw, torch.tensor([[5.0], [1.0]]), None).tolist() == pytest.approx([0, 0])
    assert make(method).loss(raw, torch.tensor([[1.0], [5.0]]), None).isfinite().all()


def test_coral_moves_all_thresholds_by_one_score():
    head = make("coral", wide=2, hidden=[4])
    h = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    assert head.n_raw == 3
    deep = head.tower(h[:, 2:])
    torch.testing.assert_close(head(h), 2.0 * (deep + h[:, :2].sum(1, keepdim=True)) + head.thresholds)


@METHODS
def test_it_learns_a_scale_by_heart(method):
    torch.manual_seed(0)
    head = make(method, hidden=[16])
    h, y = torch.randn(12, 5), torch.tensor(VALUES * 3)[:, None]
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    for _ in range(400):
        optimizer.zero_grad()
        head.loss(head(h), y, None).mean().backward()
        optimizer.step()
    assert (head.predict(head(h)) - y[:, 0]).abs().max() < 0.2


def test_levels_come_from_the_option_where_it_is_given():
    unknown = TargetStatistics((3.0,), (1.0,), 10)
    head = make(statistics=unknown, levels=[1, 2, 3, 4, 5])
    torch.testing.assert_close(head.predict(head(torch.zeros(1, 5))), torch.tensor([3.0]))  # all alike
    assert make(levels=[0, 1, 2, 4, 5]).levels == (0.0, 1.0, 2.0, 4.0, 5.0)
    torch.testing.assert_close(make(levels=[5, 4, 2, 1]).above(torch.zeros(1, 3)), make().above(torch.zeros(1, 3)))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"levels": [1, 2, 4]}, r"options.levels: training rows also have 5; add it, or null"),
        ({"levels": [1, 2, 2, 4, 5]}, r"options.levels: a value is there twice"),
        ({"statistics": TargetStatistics((1.0,), (0.0,), 9, values=(1.0,), counts=(9,))}, "two values or more.* is 1;"),
        ({"statistics": TargetStatistics((1.0,), (0.0,), 9)}, r"more than 1,000 values .* take kind: regression"),
    ],
)
def test_a_scale_that_does_not_fit_is_refused(arguments, match):
    with pytest.raises(ConfigError, match=match):
        make(**arguments)


def test_options_are_checked_before_the_run():
    def wrong(**options):
        return [problem.text for problem in check_heads([Task("stars", "ordinal", options=options)])]

    assert wrong(method="coral", levels=[1, 2.5], prediction="most_likely", scale=1.0, hidden=[8]) == []
    assert wrong(method="corm") == [
        "data.tasks.stars.options.method must be corn or coral, got 'corm': did you mean corn?"
    ]
    assert "options.levels must be a list of numbers or null" in wrong(levels=5)[0]


@METHODS
def test_bfloat16_representations_give_float32_losses(method):
    head = make(method, wide=2, hidden=[3]).to(torch.bfloat16)
    loss = partial(head.loss, target=torch.ones(4, 1), context=None)
    assert loss(head(torch.randn(4, 5, dtype=torch.bfloat16))).dtype == torch.float32
