"""One-gate mixture of experts: all tasks read the same mixture."""

from collections.abc import Sequence

import torch
from torch import nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.features.embedded import Embedded
from taskloom.ranges import PositiveInt
from taskloom.sharing.experts import Experts, Gate, mix
from taskloom.sharing.sharing import Shared, Sharing
from taskloom.tasks import Task


class OMoE(Sharing):
    r"""E experts read the same input; one gate mixes them, by row, for all tasks alike.

    .. math:: h_k = \sum_{e=1}^{E} g(x)_e\, f_e(x) \quad \text{for every task } k,
              \qquad g(x) = \mathrm{softmax}(W x + b)

    Source: Jacobs et al. 1991, "Adaptive Mixtures of Local Experts"; as the one-gate model that MMoE is compared
    with in Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts".
    Deviations: the gate has a bias; the backbone's encoder is one for all experts, which are its stages.

    Args:
        backbone: builds a backbone, View to (B, R). Called E times; the encoder of the first serves all.
        tasks: the K tasks, in order.
        experts: E.
    """

    def __init__(self, backbone: BackboneFactory, tasks: Sequence[Task], experts: PositiveInt) -> None:
        super().__init__(backbone, tasks)
        trunks = [backbone() for _ in range(experts)]
        self.encoder = trunks[0].encoder
        self.width, self.wide = trunks[0].width, trunks[0].wide
        self.experts = Experts([nn.Sequential(*trunk.stages) for trunk in trunks])
        self.gate = Gate(self.encoder.width, experts)

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), the same for every task."""
        wide, x = self.encoder(embedded.shared())
        h = beside(wide, mix(self.gate(x), self.experts(x)))
        # A copy, as in HardSharing: the gradient of expand is a slow sum over tasks.
        return Shared(torch.stack([h] * len(self.tasks), dim=1), (h,), h.new_zeros(()))
