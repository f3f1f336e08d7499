"""The multilabel head."""

import pytest
import torch
from torch.nn import functional

from taskloom.errors import ConfigError
from taskloom.heads import HEADS
from taskloom.tasks import TargetStatistics, Task

TOPICS = Task("topics", "multilabel", target=("a", "b", "c"))
RATES = (0.1, 0.5, 0.8)


def make(statistics=TargetStatistics(RATES, (0.3, 0.5, 0.4), 10), task=TOPICS, **arguments):
    return HEADS["multilabel"](task, statistics, 5, **arguments)


@pytest.mark.parametrize("wide", [0, 5])
def test_it_begins_at_the_base_rates(wide):
    head = make(wide=wide)
    torch.testing.assert_close(head.predict(head(torch.zeros(2, 5))), torch.tensor([RATES] * 2))
    torch.testing.assert_close(head.constant_prediction(2), torch.tensor([RATES] * 2))


def test_the_loss_is_the_mean_of_the_labels_cross_entropies():
    g = torch.Generator().manual_seed(0)
    raw, y = torch.randn(6, 3, generator=g), torch.randint(0, 2, (6, 3), generator=g).float()
    each = functional.binary_cross_entropy(raw.sigmoid(), y, reduction="none")
    torch.testing.assert_close(make().loss(raw, y, None), each.sum(1) / 3)


def test_one_label_that_is_always_there_stays_finite():
    head = make(TargetStatistics((0.0, 1.0, 0.5), (0.0, 0.0, 0.5), 10))
    assert head(torch.zeros(1, 5)).isfinite().all()


def test_one_target_column_is_no_multilabel_task():
    with pytest.raises(ConfigError, match=r"data.tasks.topics.target: .* got a; list two or more, or take kind: bin"):
        make(task=Task("topics", "multilabel", target=("a",)))


@pytest.mark.parametrize(
    ("statistics", "found"),
    [
        (TargetStatistics((1.0,) * 3, (1.0,) * 3, 9, (0.0,) * 3, (0.0, 1.0, 2.0), (9, 9, 9)), "2"),
        (TargetStatistics((1.0,) * 3, (1.0,) * 3, 9, (0.0,) * 3), "many values"),
    ],
)
def test_other_numbers_than_0_and_1_are_refused(statistics, found):
    with pytest.raises(ConfigError, match=f"a label must be 0 or 1, found {found}; compare it"):
        make(statistics)


def test_labels_that_are_0_or_1_pass():
    make(TargetStatistics(RATES, (0.3,) * 3, 9, (0.0,) * 3, (0.0, 1.0), (14, 13)))


def test_bfloat16_representations_give_float32_losses():
    head = make(wide=2, hidden=[3]).to(torch.bfloat16)
    loss = head.loss(head(torch.randn(4, 5, dtype=torch.bfloat16)), torch.ones(4, 3), None)
    assert loss.dtype == torch.float32
