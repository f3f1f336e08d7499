"""A scheme that reads its own and the shared view of every embedding fits the contracts (Su et al. 2024, STEM)."""

from typing import ClassVar

import torch
from torch import nn

from taskloom.sharing import Shared, Sharing


class Stem(Sharing):
    """Each task gates its own expert against the shared one."""

    views: ClassVar = ("both",)

    def __init__(self, backbone, tasks):
        super().__init__(backbone, tasks)
        self.private = nn.ModuleList(nn.ModuleList([backbone(), nn.LazyLinear(2)]) for _ in tasks)
        self.common = backbone()
        self.width, self.wide = self.common.width, 0

    def forward(self, embedded):
        common = self.common(embedded.shared())
        h = []
        for k, (expert, gate) in enumerate(self.private):
            view = embedded.for_task(k)
            g = gate(view.fields.flatten(1)).softmax(1)
            h.append(g[:, :1] * expert(view) + g[:, 1:] * common)
        return Shared(torch.stack(h, 1), (common,), common.new_zeros(()))


def test_stem(schema, make_batch, make_module):
    module = make_module(schema, sharing=Stem, views="both")
    batch = make_batch(schema)
    losses, _ = module.losses(module(batch).raw, batch)
    tables = [table.weight for table in module.features.tables]
    grads = torch.autograd.grad(losses[0], tables, allow_unused=True)
    assert grads[0].any()
    assert grads[1] is None or not grads[1].any()
    assert grads[2].any()
    assert [module.owner(f"features.tables.{v}.weight") for v in range(3)] == [0, 1, None]
