"""Progressive layered extraction: levels of own and shared experts, one upon the other."""

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded
from taskloom.ranges import NonNegativeInt, PositiveInt
from taskloom.sharing.experts import Experts, Gate, mix
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task


class PLE(Sharing):
    r"""Levels of experts. Every task has P of its own at each level, and S are shared; each level mixes the one below.

    At level j, task k's experts read its mixture :math:`h_k^{j-1}`, the shared ones the common mixture
    :math:`s^{j-1}`; both are the encoder's output x at the bottom. With :math:`o_k^j` (P outputs) and :math:`o^j`
    (S outputs) of the experts,

    .. math:: h_k^j &= g_k^j(h_k^{j-1}) \cdot [o_k^j ; o^j] \\
              s^j &= g^j(s^{j-1}) \cdot [o_1^j ; \dots ; o_K^j ; o^j],
              \qquad g(z) = \mathrm{softmax}(W z + b)

    and :math:`h_k = h_k^J`; the last level J has no common mixture. Since s reads the experts of every task, only
    what no s lies above is a task's own: its experts of the last level, and its gates of the last two.

    Source: Tang et al. 2020, "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model for
    Personalized Recommendations", section 4.3. Deviations: the gates have a bias; the layers of an expert are stages
    of the backbone, whose encoder is one for all.

    Args:
        backbone: builds a backbone, View to (B, R). Called K P + S times; the encoder of the first serves all.
        tasks: the K tasks, in order.
        own_experts: P, of each task at each level.
        shared_experts: S, at each level.
        levels: J; the backbone's stages are parted into so many runs of consecutive ones, of equal length or the
            first ones longer by one. None makes each stage a level; one level is CGC.

    Raises:
        ConfigError: more levels than stages.
    """

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        own_experts: NonNegativeInt,
        shared_experts: PositiveInt,
        levels: PositiveInt | None = None,
    ) -> None:
        super().__init__(backbone, tasks)
        trunks = [backbone() for _ in range(len(tasks) * own_experts + shared_experts)]
        first = trunks[0]
        self.encoder, self.width, self.wide = first.encoder, first.width, first.wide
        n_stages = len(first.stages)
        if levels is not None and levels > n_stages:
            raise ConfigError(
                f"model.levels={levels} is more than the backbone has layers, {n_stages}: lower it, or give "
                "backbone.hidden more widths"
            )
        n_levels = n_stages if levels is None else levels
        sizes = [n_stages // n_levels + (j < n_stages % n_levels) for j in range(n_levels)]
        widths = [self.encoder.width, *first.widths]
        self.levels = nn.ModuleList(
            _Level(
                widths[start],
                [nn.Sequential(*trunk.stages[start:end]) for trunk in trunks],
                len(tasks),
                own_experts,
                common=end < n_stages,
            )
            for start, end in pairwise(accumulate(sizes, initial=0))
        )

    def owner(self, name: str) -> int | None:
        """The task that alone uses a parameter: no common mixture lies above it."""
        room, level, part, k, *_ = [*name.split("."), *[""] * 3]
        first = {"own": len(self.levels) - 1, "gates": len(self.levels) - 2}
        return int(k) if room == "levels" and part in first and int(level) >= first[part] else None

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each the mixture of the last level."""
        wide, x = self.encoder(embedded.shared())
        mixtures, common = [x] * len(self.tasks), x
        representation = [] if wide is None else [wide]
        top = len(self.levels) - 1
        if not self.levels:
            representation.append(x)
        for j, level in enumerate(self.levels):
            assert isinstance(level, _Level)
            read = mixtures
            if j == max(top - 1, 0):  # here the gates begin to be tasks' own
                read = [cut(x)] * len(self.tasks) if j == 0 else [cut(mixture) for mixture in mixtures]
                representation += read[:1] if j == 0 else read
            own = level.run_own(read if j == top else mixtures)
            shared = level.shared(common)
            if level.gate is not None:
                common = mix(level.gate(common), *chain(*own), shared)
            if j >= top - 1:
                shared = cut(shared)
                representation.append(shared)
                if j < top:
                    own = [[cut(outputs) for outputs in group] for group in own]
                    representation += chain(*own)
            mixtures = [mix(gate(z), *group, shared) for gate, z, group in zip(level.gates, read, own, strict=True)]
        h = torch.stack(mixtures, dim=1)
        return Shared(beside(wide, h), tuple(representation), h.new_zeros(()))


class _Level(nn.Module):
    """Experts and gates of one level.

    Args:
        width: of what they read.
        networks: the experts: P of each of K tasks, then the shared ones.
        n_tasks: K.
        own_experts: P.
        common: whether there is a common mixture, for a level above.
    """

    def __init__(self, width: int, networks: Sequence[nn.Module], n_tasks: int, own_experts: int, common: bool) -> None:
        super().__init__()
        n_shared = len(networks) - n_tasks * own_experts
        self.own_experts = own_experts
        self.own = nn.ModuleList(Experts(networks[k * own_experts :][:own_experts]) for k in range(n_tasks))
        self.shared = Experts(networks[n_tasks * own_experts :])
        self.gates = nn.ModuleList(Gate(width, own_experts + n_shared) for _ in range(n_tasks))
        self.gate = Gate(width, len(networks)) if common else None

    def run_own(self, read: Sequence[Tensor]) -> list[list[Tensor]]:
        """(B, X) for each task to the outputs (B, P, W) of its experts, in a list that is empty where P = 0."""
        return [[experts(z)] if self.own_experts else [] for experts, z in zip(self.own, read, strict=True)]
