"""Sluice networks: cross-stitched subspaces of the layers, and heads that read a mixture of all layers."""

from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded
from taskloom.features.features import Views
from taskloom.ranges import NonNegative, PositiveInt, Share
from taskloom.sharing.cross_stitch import first_mixture, stitch
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task


class Sluice(Sharing):
    r"""Trunks whose layers are mixed by subspace, and a learnt mixture of each task's layers for its head.

    The channels of a layer fall into G subspaces, x_{kg} the g-th of task k's. After stage j

    .. math:: \tilde x_{kg}^j = \sum_l \sum_i \alpha_{kg,li}^j \, x_{li}^j, \qquad
              h_k = \sum_j \beta_k^j \, P_k^j \tilde x_k^j

    with the G parts of a task's mixture side by side in the second sum, and a penalty that keeps subspaces apart,

    .. math:: \Omega = \lambda \sum_{k,j} \sum_{g<i} \lVert G_{kg}^{j\top} G_{ki}^j \rVert_F^2

    where the columns of G_{kg} are the weights of each channel of the subspace.

    Source: Ruder et al. 2019, "Latent Multi-Task Architecture Learning". Deviations: the layers there are of one
    width, so that P is the identity; here P is so for layers as wide as the last one, and a learnt linear map of the
    task's own for others. G is any number, not 2. A backbone without stages has its encoder's output mixed.

    A task's last rows of α, its β and its P are its own; all other parameters are moved by all losses. α and β
    may have a learning rate of their own, ``parameter_groups.mixing`` in the config.

    Args:
        backbone: builds one trunk, View to (B, R). Called K times.
        tasks: the K tasks, in order.
        subspaces: G; 1 mixes whole layers, as cross-stitch does.
        initial: what a subspace keeps of its own output, and the head of the last layer, at the beginning; the other
            subspaces, and the other layers, share the rest of 1.
        orthogonality: λ >= 0.

    Raises:
        ConfigError: a layer whose width G does not divide.
    """

    views: ClassVar[tuple[Views, ...]] = ("per_task", "shared")
    mixes_views: ClassVar[bool] = True

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        subspaces: PositiveInt,
        initial: Share,
        orthogonality: NonNegative,
    ) -> None:
        super().__init__(backbone, tasks)
        trunks = [backbone() for _ in tasks]
        self.trunks = nn.ModuleList(trunks)
        self.width, self.wide = trunks[0].width, trunks[0].wide
        self.subspaces, self.orthogonality = subspaces, orthogonality
        self.widths = trunks[0].widths or (trunks[0].encoder.width,)
        for width in self.widths:
            if width % subspaces:
                raise ConfigError(
                    f"model.subspaces={subspaces} does not divide a layer of width {width}; choose widths in "
                    "backbone.hidden that are multiples of it, or another number of subspaces"
                )
        alpha = first_mixture(len(tasks) * subspaces, initial)
        self.alpha = nn.ParameterList(alpha.clone() for _ in self.widths[:-1])
        self.private = nn.ModuleList(_Own(rows.clone(), self.widths, initial) for rows in alpha.split(subspaces))

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), and the penalty."""
        read = [trunk.encoder(embedded.for_task(k)) for k, trunk in enumerate(self.trunks)]  # type: ignore[operator]
        wides, xs = [wide for wide, _ in read], [x for _, x in read]
        below: list[Tensor] = []
        for j, stages in enumerate(zip(*(trunk.stages for trunk in self.trunks), strict=True)):
            if j > 0:
                mixed = self._mix(self.alpha[j - 1], torch.stack(xs))
                below.append(cut(mixed))
                xs = list(mixed.unbind(0))
            xs = [stage(x) for stage, x in zip(stages, xs, strict=True)]
        outputs = torch.stack(xs)
        last = self._mix(torch.cat([own.alpha for own in self.private]), outputs)  # type: ignore[misc]
        layers = zip(*(layer.unbind(0) for layer in [*below, last]), strict=True)
        tasks = zip(self.private, wides, layers, strict=True)
        h = torch.stack([beside(wide, own(mixed)) for own, wide, mixed in tasks], dim=1)
        representation = (*below, outputs, *(wide for wide in wides if wide is not None))
        penalty = self.orthogonality * self.overlap() if self.orthogonality else h.new_zeros(())
        return Shared(h, representation, penalty)

    def _mix(self, alpha: Tensor, x: Tensor) -> Tensor:
        """α (K G, K G) over the subspaces of x (K, B, W)."""
        parts = x.unflatten(2, (self.subspaces, x.shape[2] // self.subspaces)).transpose(1, 2)  # (K, G, B, W / G)
        mixed = stitch(alpha, parts.flatten(0, 1)).unflatten(0, parts.shape[:2])
        return mixed.transpose(1, 2).flatten(2)

    def overlap(self) -> Tensor:
        """Σ ||G_gᵀ G_i||²_F over tasks, stages and pairs of subspaces, a scalar.

        A stage's weights are its matrices with a row for each of its channels.
        """
        pairs = [
            pair
            for trunk in self.trunks
            for stage, width in zip(trunk.stages, self.widths, strict=False)  # type: ignore[arg-type]
            for weight in stage.parameters()
            if weight.dim() == 2 and len(weight) == width
            for pair in combinations(weight.chunk(self.subspaces), 2)
        ]
        if not pairs:
            return torch.zeros(())
        # In the weights' own precision, where the layers may run in half of it.
        with torch.autocast(pairs[0][0].device.type, enabled=False):
            return torch.stack([(one @ other.T).square().sum() for one, other in pairs]).sum()


class _Own(nn.Module):
    """What is a task's own: its rows of the last α, and the mixture of its layers.

    Args:
        alpha: (G, K G).
        widths: of the layers.
        initial: β of the last layer at the beginning.
    """

    def __init__(self, alpha: Tensor, widths: Sequence[int], initial: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(alpha)
        self.beta = nn.Parameter(first_mixture(len(widths), initial)[-1])
        self.maps = nn.ModuleList(
            nn.Identity() if width == widths[-1] else nn.Linear(width, widths[-1], bias=False) for width in widths
        )

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """The task's layers, (B, W_j) each, to (B, W)."""
        outputs = [to_last(layer) for to_last, layer in zip(self.maps, layers, strict=True)]
        return stitch(self.beta.unsqueeze(0), torch.stack(outputs)).squeeze(0)
