"""A backbone whose first stage pools a history by target attention fits the contracts (Zhou et al. 2018, DIN)."""

from functools import partial

import torch
from torch import nn

from taskloom.backbones import Backbone, Encoder
from taskloom.schema import Feature, Schema
from taskloom.sharing.soft_sharing import SoftSharing


class Attend(Encoder):
    """Weights each event by its match with the candidate; events outside the mask count nothing."""

    def __init__(self, inputs, width):
        super().__init__(inputs)
        self.candidate = [f.name for f in inputs.fields].index(inputs.history[0])
        self.layer = nn.Linear((len(inputs.fields) + 1) * inputs.dim, width)
        self.width = width

    def forward(self, view):
        events = view.history[:, :, 0]
        score = (events * view.fields[:, self.candidate, None]).sum(-1).masked_fill(~view.mask, -1e9)
        weight = score.softmax(1).masked_fill(~view.mask, 0)
        pooled = (weight.unsqueeze(2) * events).sum(1)
        return None, self.layer(torch.cat([view.fields.flatten(1), pooled], 1)).relu()


class Din(Backbone):
    def __init__(self, inputs):
        super().__init__(Attend(inputs, 5), [], [])


def test_din(make_batch, make_module):
    schema = Schema(
        (Feature("user", "categorical", "user", size=4), Feature("item", "categorical", "item", size=6)),
        targets=("like", "rating"),
        history=("item",),
    )
    module = make_module(schema, sharing=partial(SoftSharing, strength=0.1), backbone=Din, views="per_task")
    batch = make_batch(schema)
    batch.history = torch.randint(0, 6, (16, 7, 1))
    batch.history_mask = torch.arange(7).expand(16, 7) >= torch.arange(16).unsqueeze(1) % 8
    before = torch.cat(module(batch).raw)
    hidden = batch.select(torch.arange(16))
    hidden.history = torch.where(batch.history_mask.unsqueeze(2), batch.history, 5 - batch.history)
    assert torch.equal(before, torch.cat(module(hidden).raw))  # what the mask hides is not seen
    seen = batch.select(torch.arange(16))
    seen.history = 5 - batch.history
    assert not torch.equal(before, torch.cat(module(seen).raw))
    module.objective(batch)[0].backward()
