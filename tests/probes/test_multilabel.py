"""A task of several target columns fits the contracts."""

import pytest
import torch
from torch.nn import functional
from torchmetrics.classification import MultilabelAUROC

from taskloom.heads import HEADS, Head, register
from taskloom.metrics.spec import MetricSpec
from taskloom.outcome import OutcomeCollector
from taskloom.schema import Feature, Schema
from taskloom.tasks import TargetStatistics, Task


class Auc(MultilabelAUROC):
    def update(self, preds, target):
        super().update(preds, target.long())


@pytest.fixture
def multilabel():
    @register("probe_multilabel")
    class Multilabel(Head):
        n_targets = None

        def loss(self, raw, target, context):
            return functional.binary_cross_entropy_with_logits(raw, target, reduction="none").mean(1)

        def predict(self, raw):
            return raw.sigmoid()

        def metrics(self):
            return {"auc": MetricSpec(Auc(self.n_raw), True, main=True)}

    yield Multilabel
    del HEADS["probe_multilabel"]


def test_multilabel(make_batch, make_module, multilabel):
    schema = Schema((Feature("user", "categorical", "user", size=4),), targets=("like", "a", "b", "c"))
    tasks = [Task("like", "binary"), Task("topics", "probe_multilabel", target=("a", "b", "c"))]
    module = make_module(schema, tasks)
    module.heads[1].constant = torch.tensor(TargetStatistics((0.5, 0.5, 0.5), (1, 1, 1), 9).mean)
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
    assert values["topics/auc"] == pytest.approx(float(expected.detach()))
    constant = [head.constant_prediction(40) for head in module.heads]
    assert outcome.predicted(constant).score(tasks, module.metrics())["topics/auc"] == pytest.approx(0.5)
