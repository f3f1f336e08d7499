"""A task of several target columns fits the contracts."""

import pytest
import torch
from torchmetrics.classification import MultilabelAUROC

from taskloom.heads import HEADS
from taskloom.outcome import OutcomeCollector
from taskloom.schema import Feature, Schema
from taskloom.tasks import TargetStatistics, Task


def test_multilabel(make_batch, make_module):
    schema = Schema((Feature("user", "categorical", "user", size=4),), targets=("like", "a", "b", "c"))
    tasks = [Task("like", "binary"), Task("topics", "multilabel", target=("a", "b", "c"))]
    module = make_module(schema, tasks)
    thirds = TargetStatistics((0.3, 0.4, 0.5), (0.5, 0.5, 0.5), 9)
    module.heads[1] = HEADS["multilabel"](tasks[1], thirds, module.sharing.width, module.sharing.wide)
    batch = make_batch(schema, n=40)
    batch.targets = batch.targets.round()
    assert module.columns == [[0], [1, 2, 3]]
    assert [p.shape for p in module.predict(batch)] == [(40,), (40, 3)]
    module.objective(batch)[0].backward()
    collector = OutcomeCollector()
    collector.add(batch, module.predict(batch), module.columns)
    outcome = collector.finish()
    values = outcome.score(tasks, module.metrics())
    expected = MultilabelAUROC(3)(module.predict(batch)[1], batch.targets[:, 1:].long())
    assert values["topics/macro_auc"] == pytest.approx(float(expected.detach()))
    constant = [head.constant_prediction(40) for head in module.heads]
    assert outcome.predicted(constant).score(tasks, module.metrics())["topics/macro_auc"] == pytest.approx(0.5)


def test_a_row_without_one_of_its_labels_changes_nothing(make_batch, make_module):
    schema = Schema((Feature("user", "categorical", "user", size=4),), targets=("a", "b"))
    module = make_module(schema, [Task("topics", "multilabel", target=("a", "b"))])
    batch = make_batch(schema, n=20, n_tasks=1, labelled=0.6)
    batch.targets = batch.targets.round()
    kept = module.objective(batch.select(batch.labelled[:, 0]))[0]
    batch.targets[~batch.labelled[:, 0], 1] = torch.nan
    torch.testing.assert_close(module.objective(batch)[0], kept)
