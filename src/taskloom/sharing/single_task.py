"""Single tasks: nothing shared, the baseline of every comparison."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from taskloom.backbones.backbone import BackboneFactory
from taskloom.features.embedded import Embedded
from taskloom.features.features import Views
from taskloom.sharing.sharing import Shared, Sharing
from taskloom.tasks import Task


class SingleTask(Sharing):
    r"""Every task has a backbone, embeddings, gradient clipping and a best epoch of its own.

    .. math:: h_k = f(x; \theta_k)

    K models that train side by side: the baseline of Δm. Deviations: none.

    Args:
        backbone: builds one backbone, View to (B, R). Called K times.
        tasks: the K tasks, in order.
    """

    views: ClassVar[tuple[Views, ...]] = ("per_task",)
    independent: ClassVar[bool] = True

    def __init__(self, backbone: BackboneFactory, tasks: Sequence[Task]) -> None:
        super().__init__(backbone, tasks)
        trunks = [backbone() for _ in tasks]
        self.private = nn.ModuleList(trunks)
        self.width, self.wide = trunks[0].width, trunks[0].wide
        self.sides = trunks[0].sides

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each from its own view; the representation is empty: nothing is shared."""
        h = torch.stack([trunk(embedded.for_task(k)) for k, trunk in enumerate(self.private)], dim=1)
        return Shared(h, (), h.new_zeros(()))
