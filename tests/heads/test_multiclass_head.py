"""The multiclass head."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from taskloom.backbones.mlp import MLP
from taskloom.config.heads import check_heads
from taskloom.errors import ConfigError
from taskloom.heads import HEADS
from taskloom.outcome import OutcomeCollector
from taskloom.schema import Feature, Schema
from taskloom.tasks import TargetStatistics, Task

VALUES, COUNTS = (-1.0, 2.5, 7.0), (50, 20, 30)
STATISTICS = TargetStatistics((2.1,), (3.3,), 100, least=(-1.0,), values=VALUES, counts=COUNTS)
MOOD = Task("mood", "multiclass")


def make(statistics=STATISTICS, **arguments):
    return HEADS["multiclass"](MOOD, statistics, 5, **arguments)


@pytest.mark.parametrize("wide", [0, 5])
def test_it_begins_at_the_shares_of_the_classes(wide):
    head = make(wide=wide)
    shares = torch.tensor([[0.5, 0.2, 0.3]] * 2)
    torch.testing.assert_close(head.predict(head(torch.zeros(2, 5))), shares)
    torch.testing.assert_close(head.constant_prediction(2), shares)


def test_the_loss_is_cross_entropy_with_the_class_of_the_code():
    raw = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[7.0], [-1.0], [2.5], [7.0]])
    expected = functional.cross_entropy(raw, torch.tensor([2, 0, 1, 2]), reduction="none")
    torch.testing.assert_close(make().loss(raw, target, None), expected)


def test_a_class_that_training_never_saw_teaches_nothing():
    assert make().loss(torch.randn(1, 3), torch.tensor([[4.0]]), None).item() == 0


def test_a_class_without_rows_begins_unlikely_but_possible():
    head = make(classes=[7, 2.5, -1, 0.1])
    p = head.predict(head(torch.zeros(1, 5)))[0]
    assert head.classes == (-1.0, pytest.approx(0.1), 2.5, 7.0)
    assert 0 < p[1] < 1e-3
    assert head.loss(torch.zeros(1, 4), torch.tensor([[0.1]]), None).item() > 1  # as float32 holds it


def test_columns_are_named_after_the_classes():
    assert make().columns == ("mood_-1", "mood_2.5", "mood_7")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"classes": [7, 8]}, r"options.classes: training rows also have -1, 2.5; add them, or null"),
        ({"statistics": TargetStatistics((1.0,), (0.0,), 9)}, "more than 1,000 values in training"),
        ({"statistics": TargetStatistics((1.0,), (0.0,), 9, values=(1.0,), counts=(9,))}, "two values or more"),
    ],
)
def test_classes_that_do_not_fit_are_refused(arguments, match):
    with pytest.raises(ConfigError, match=match):
        make(**arguments)


def test_options_are_checked_before_the_run():
    task = Task("mood", "multiclass", options={"classes": ["a"]})
    assert [p.text for p in check_heads([task])] == ["data.tasks.mood.options.classes[0] must be a number, got 'a'"]


def test_probabilities_flow_through_module_and_scores(make_batch, make_module):
    schema = Schema((Feature("user", "categorical", "user", size=4),), targets=("like", "mood"))
    tasks = [Task("like", "binary"), MOOD]
    module = make_module(schema, [tasks[0], Task("mood", "regression")], backbone=partial(MLP, hidden=[16]))
    module.heads[1] = HEADS["multiclass"](MOOD, STATISTICS, module.sharing.width, module.sharing.wide)
    module.tasks = tasks
    batch = make_batch(schema, n=40, labelled=0.7)
    batch.targets[:, 1] = torch.tensor(VALUES)[batch.categorical[:, 0] % 3]
    batch.targets[~batch.labelled] = torch.nan
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        module.objective(batch)[0].backward()
        optimizer.step()
    collector = OutcomeCollector()
    collector.add(batch, module.predict(batch), module.columns)
    outcome = collector.finish()
    assert [tuple(p.shape) for p in outcome.predictions] == [(40,), (40, 3)]
    assert [tuple(t.shape) for t in outcome.targets] == [(40,), (40,)]
    values = outcome.score(tasks, module.metrics())
    assert values["mood/accuracy"] == values["mood/macro_auc"] == 1
    constant = outcome.predicted([head.constant_prediction(40) for head in module.heads])
    floor = constant.score(tasks, module.metrics())
    assert floor["mood/macro_auc"] == 0.5
    known = batch.targets[batch.labelled[:, 1], 1]
    assert floor["mood/accuracy"] == pytest.approx((known == -1).double().mean().item())
