"""Customised gate control: experts of each task beside experts of all."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.features.embedded import Embedded
from taskloom.ranges import NonNegativeInt, PositiveInt
from taskloom.sharing.experts import Experts, Gate, mix
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task


class CGC(Sharing):
    r"""Every task has P experts of its own; S further experts serve all. A gate of each task mixes both kinds.

    .. math:: h_k = \sum_{e=1}^{P} g_k(x)_e\, f_{ke}(x) + \sum_{e=1}^{S} g_k(x)_{P+e}\, f_e(x),
              \qquad g_k(x) = \mathrm{softmax}(W_k x + b_k)

    No task reads another's experts, so that what only one task has use for need not disturb the rest.

    Source: Tang et al. 2020, "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model for
    Personalized Recommendations", section 4.2. Deviations: the gates have a bias; the backbone's encoder is one for
    all experts, which are its stages, and the gates read what the experts read.

    Args:
        backbone: builds a backbone, View to (B, R). Called K P + S times; the encoder of the first serves all.
        tasks: the K tasks, in order.
        own_experts: P, of each task. Without any it is MMoE.
        shared_experts: S.
    """

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        own_experts: NonNegativeInt,
        shared_experts: PositiveInt,
    ) -> None:
        super().__init__(backbone, tasks)
        trunks = [backbone() for _ in range(len(tasks) * own_experts + shared_experts)]
        self.encoder = trunks[0].encoder
        self.width, self.wide = trunks[0].width, trunks[0].wide
        networks = [nn.Sequential(*trunk.stages) for trunk in trunks]
        self.experts = Experts(networks[:shared_experts])
        own = [networks[shared_experts + k * own_experts :][:own_experts] for k in range(len(tasks))]
        self.private = nn.ModuleList(_Own(self.encoder.width, group, shared_experts) for group in own)

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each its own mixture."""
        wide, x = self.encoder(embedded.shared())
        read, shared = cut(x), self.experts(x)
        h = torch.stack([own(read, shared) for own in self.private], dim=1)
        representation = (read, shared) if wide is None else (read, shared, wide)
        return Shared(beside(wide, h), representation, h.new_zeros(()))


class _Own(nn.Module):
    """What one task has of its own: experts, and the gate over them and the shared ones."""

    def __init__(self, width: int, experts: Sequence[nn.Module], n_shared: int) -> None:
        super().__init__()
        self.experts, self.gate = Experts(experts), Gate(width, len(experts) + n_shared)

    def forward(self, x: Tensor, shared: Tensor) -> Tensor:
        """x (B, X) and the shared experts' outputs (B, S, W) to the mixture (B, W)."""
        own = [self.experts(x)] if len(self.experts) else []
        return mix(self.gate(x), *own, shared)
