"""Multi-gate mixture of experts: every task mixes the same experts in its own way."""

from collections.abc import Sequence

from torch import nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.features.embedded import Embedded
from taskloom.ranges import PositiveInt
from taskloom.sharing.experts import Experts, Gate, gate_all, mix
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task


class MMoE(Sharing):
    r"""E experts read the same input; every task has a gate of its own, which mixes them by row.

    .. math:: h_k = \sum_{e=1}^{E} g_k(x)_e\, f_e(x), \qquad g_k(x) = \mathrm{softmax}(W_k x + b_k)

    Source: Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts". Deviations: the gates have a bias; the backbone's encoder is one for all experts, which are
    its stages, and the gates read what the experts read.

    Args:
        backbone: builds a backbone, View to (B, R). Called E times; the encoder of the first serves all.
        tasks: the K tasks, in order.
        experts: E. One is hard sharing.
    """

    def __init__(self, backbone: BackboneFactory, tasks: Sequence[Task], experts: PositiveInt) -> None:
        super().__init__(backbone, tasks)
        trunks = [backbone() for _ in range(experts)]
        self.encoder = trunks[0].encoder
        self.width, self.wide = trunks[0].width, trunks[0].wide
        self.experts = Experts([nn.Sequential(*trunk.stages) for trunk in trunks])
        self.private = nn.ModuleList(Gate(self.encoder.width, experts) for _ in tasks)

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each its own mixture."""
        wide, x = self.encoder(embedded.shared())
        read, outputs = cut(x), self.experts(x)
        gates: list[Gate] = list(self.private)  # type: ignore[arg-type]
        h = mix(gate_all(gates, read), outputs)
        representation = (read, outputs) if wide is None else (read, outputs, wide)
        return Shared(beside(wide, h), representation, h.new_zeros(()))
