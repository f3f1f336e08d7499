"""AdaTT: tasks with experts of their own, which read each other's at every level."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.features.embedded import Embedded
from taskloom.ranges import NonNegativeInt, PositiveInt
from taskloom.sharing.experts import Experts, Gate, mix
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task


class AdaTT(Sharing):
    r"""At each level a task mixes all experts by a gate, and adds its own ones once more.

    With E_k^l the outputs (m, W) of task k's native experts of level l, which read its own f_k^{l-1}, and E^l those
    of all tasks and of the shared experts,

    .. math:: f_k^l = \mathrm{softmax}(W_k^l f_k^{l-1} + b_k^l)^\top E^l + {v_k^l}^\top E_k^l, \qquad f_k^0 = x,
              \qquad h_k = f_k^L

    Shared experts, where there are any, have an f of their own up to the level before the last, made in the same
    way. Levels are the backbone's stages.

    Source: Li et al. 2023, "AdaTT: Adaptive Task-to-Task Fusion Network for Multitask Learning in Recommendations"
    (AdaTT-sp, and with ``shared_experts`` the general form). Deviations: v begins at 1/m, the mean of a task's own
    experts, where the authors draw it from ±1/√m and hold it at one for m = 1; the gates have a bias; one encoder.

    Args:
        backbone: builds a backbone, View to (B, R). Called K m + s times; the encoder of the first serves all.
        tasks: the K tasks, in order.
        own_experts: m, native experts of each task.
        shared_experts: s, experts of no task.
    """

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        own_experts: PositiveInt,
        shared_experts: NonNegativeInt,
    ) -> None:
        super().__init__(backbone, tasks)
        counts = [own_experts] * len(tasks) + [shared_experts] * bool(shared_experts)
        firsts, n = [sum(counts[:u]) for u in range(len(counts))], sum(counts)
        trunks = [backbone() for _ in range(n)]
        self.encoder = trunks[0].encoder
        self.width, self.wide = trunks[0].width, trunks[0].wide
        widths = [self.encoder.width, *trunks[0].widths]
        stages = [[trunk.stages[i] for trunk in trunks] for i in range(len(widths) - 1)]
        # A unit is a task, or what is shared by all: its experts of a level, and what fuses them.
        units = list(zip(firsts, counts, strict=True))
        self.units = len(units)
        self.levels = nn.ModuleList(_Level(Experts(level[a : a + m]) for a, m in units) for level in stages)
        fusions = [_Fusions(_Fusion(width, n, a, m) for a, m in units) for width in widths[:-1]]
        # A native expert is read by all tasks, and with it whatever made its input: only the last fusion is private.
        self.fusions = nn.ModuleList(fusions[:-1])
        self.private = _Fusions(fusions[-1][: len(tasks)] if fusions else ())

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), what each task's last fusion gives."""
        wide, x = self.encoder(embedded.shared())
        read, n_tasks = [x] * self.units, len(self.tasks)
        for level, fusions in zip(self.levels, self.fusions, strict=False):  # the last level is fused below
            read = fusions(read, level(read))
        h, representation = [x] * n_tasks, [x]
        if len(self.levels):
            outputs = self.levels[-1](read)
            alone = len(self.levels) == 1  # all gates read x then, in which their gradients may be at odds
            own = [cut(x)] * n_tasks if alone else [cut(r) for r in read[:n_tasks]]
            h, representation = self.private(own, outputs), [*(own[:1] if alone else own), *outputs]
        representation += [] if wide is None else [wide]
        return Shared(beside(wide, torch.stack(h, dim=1)), tuple(representation), x.new_zeros(()))


class _Level(nn.ModuleList):
    """The experts of all units at one level."""

    def forward(self, read: Sequence[Tensor]) -> list[Tensor]:
        """What each unit reads, (B, X) each, to its experts' outputs, (B, m, W) each."""
        return [experts(r) for experts, r in zip(self, read, strict=True)]


class _Fusions(nn.ModuleList):
    """The fusions of several units at one level."""

    def forward(self, read: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Tensor]:
        """What each unit reads, (B, X) each, and all outputs, (B, m, W) of each unit, to what each gives, (B, W)."""
        return [fusion(r, outputs) for fusion, r in zip(self, read, strict=True)]


class _Fusion(nn.Module):
    """All experts by a gate, and the native ones once more by weights of their own.

    Args:
        width: of what the gate reads.
        n: E, the number of all experts.
        first: where the native ones begin among them.
        native: m, how many there are.
    """

    def __init__(self, width: int, n: int, first: int, native: int) -> None:
        super().__init__()
        self.gate = Gate(width, n)
        self.native = nn.Parameter(torch.full((native,), 1 / native))
        self.around = (first, n - first - native)

    def forward(self, read: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """What the gate reads (B, X) and all experts' outputs, E in groups (B, m, W), to (B, W)."""
        # One product for both sums: the experts' outputs are the larger tensors by far.
        return mix(self.gate(read) + functional.pad(self.native, self.around), *outputs)
