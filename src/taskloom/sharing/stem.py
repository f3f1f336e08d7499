"""STEM: embeddings of each task and shared ones, and gates that read all but teach only their own."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import Backbone, BackboneFactory, beside
from taskloom.features.embedded import Embedded, View
from taskloom.features.features import Views
from taskloom.ranges import PositiveInt
from taskloom.sharing.experts import Experts, Gate, mix
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task


class STEM(Sharing):
    r"""Tables, encoder and experts of each task beside shared ones; gates forward all and train only their own.

    With x_k what task k's encoder makes of its own embeddings and x_0 the shared one's of the shared embeddings,
    :math:`E_k = [f_{k1}(x_k) \dots f_{km}(x_k)]` and :math:`E_0 = [f_{01}(x_0) \dots f_{0s}(x_0)]`,

    .. math:: h_k = \mathrm{softmax}(W_k (x_k + x_0) + b_k)^\top
              [\,\mathrm{sg}(E_1) \dots E_k \dots \mathrm{sg}(E_K),\; E_0\,]

    where sg stops the gradient: a task reads what the others make of their embeddings, which only they train.

    Source: Su et al. 2024, "STEM: Unleashing the Power of Embeddings for Multi-task Recommendation", with one layer
    of experts, as in its experiments. Deviations: the gates are linear, where the authors' have hidden layers;
    a backbone's wide part is that of the own view plus that of the shared one.

    Args:
        backbone: builds a backbone, View to (B, R). Called K m + s times; the first of each task and the first
            shared one give their encoders.
        tasks: the K tasks, in order.
        own_experts: m, experts of each task.
        shared_experts: s, experts of the shared embeddings.
    """

    views: ClassVar[tuple[Views, ...]] = ("both",)

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        own_experts: PositiveInt,
        shared_experts: PositiveInt,
    ) -> None:
        super().__init__(backbone, tasks)
        trunks = [backbone() for _ in range(shared_experts)]
        self.encoder = trunks[0].encoder
        self.width, self.wide = trunks[0].width, trunks[0].wide
        self.experts = Experts([nn.Sequential(*trunk.stages) for trunk in trunks])
        n = len(tasks) * own_experts + shared_experts
        self.private = nn.ModuleList(_Own([backbone() for _ in range(own_experts)], n) for _ in tasks)

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each its own mixture of all experts."""
        wide, x = self.encoder(embedded.shared())
        read, outputs = cut(x), self.experts(x)
        own = [task(embedded.for_task(k), read) for k, task in enumerate(self.private)]
        h = []
        for k, (wide_k, weights, _) in enumerate(own):
            seen = [native if j == k else native.detach() for j, (*_, native) in enumerate(own)]
            h.append(beside(None if wide is None else wide_k + wide, mix(weights, *seen, outputs)))
        representation = (read, outputs) if wide is None else (read, outputs, wide)
        return Shared(torch.stack(h, dim=1), representation, x.new_zeros(()))


class _Own(nn.Module):
    """What a task has of its own: an encoder, experts, and a gate over all experts.

    Args:
        trunks: m backbones; the first gives the encoder.
        n: E, the number of all experts.
    """

    def __init__(self, trunks: Sequence[Backbone], n: int) -> None:
        super().__init__()
        self.encoder = trunks[0].encoder
        self.experts = Experts([nn.Sequential(*trunk.stages) for trunk in trunks])
        self.gate = Gate(self.encoder.width, n)

    def forward(self, view: View, shared: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """View, and x_0 (B, X), to wide part (B, U), weights (B, E) and the own experts' outputs (B, m, W)."""
        wide, x = self.encoder(view)
        return wide, self.gate(x + shared), self.experts(x)
