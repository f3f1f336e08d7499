"""Probabilities composed along a chain fit the contracts (Ma et al. 2018, ESMM)."""

import torch
from torch.nn import functional

from taskloom.schema import Feature, Schema
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.tasks import Task


class Esmm(HardSharing):
    """The last task's probability is multiplied by its parent's, in log space."""

    def compose(self, raw):
        click, conversion = raw
        log_p = functional.logsigmoid(click) + functional.logsigmoid(conversion)
        return [click, log_p - torch.log1p(-log_p.exp().clamp(max=1 - 1e-7))]  # the logit of the product


def test_esmm(make_batch, make_module):
    schema = Schema((Feature("user", "categorical", "user", size=4),), targets=("click", "buy"))
    tasks = [Task("click", "binary"), Task("buy", "binary", parent="click")]
    module = make_module(schema, tasks, Esmm)
    batch = make_batch(schema)
    batch.targets = batch.targets.round()
    click, buy = module.predict(batch)
    assert (buy < click).all()
    plain = make_module(schema, tasks)
    torch.testing.assert_close(buy, plain.predict(batch)[0] * plain.predict(batch)[1])
    module.objective(batch)[0].backward()
    assert module.heads[0].tower[-1].weight.grad.any()
