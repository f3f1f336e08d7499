"""Attention masks of each task over the layers of a shared trunk."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.backbones.layers import dense_layer, tower
from taskloom.features.embedded import Embedded
from taskloom.ranges import PositiveInt
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task


class Attention(Sharing):
    r"""One trunk for all; each task masks the features of every layer, and its head reads what the last mask leaves.

    .. math:: a_k^j = \sigma\big(\mathrm{MLP}_k^j([u^j ; f_k^j(\hat a_k^{j-1})])\big), \qquad
              \hat a_k^j = a_k^j \odot p^j

    Here u^j is what the trunk's stage j reads and p^j what it makes of it, so that u^{j+1} = p^j. The first mask reads
    u^1 alone. MLP has one hidden layer, and f is a layer with ReLU.

    Source: Liu, Johns & Davison 2019, "End-to-End Multi-Task Learning with Attention" (MTAN), on vectors.
    Deviations: linear layers for convolutions, without batch norm and pooling; f is each task's own, where the
    paper has one for all, so that nothing shared lies behind a mask. Without stages the tasks read the encoder's
    output, as in hard sharing.

    Args:
        backbone: builds the trunk, View to (B, R). Called once.
        tasks: the K tasks, in order.
        hidden: width of the hidden layer of each MLP, and of f.
    """

    def __init__(self, backbone: BackboneFactory, tasks: Sequence[Task], hidden: PositiveInt) -> None:
        super().__init__(backbone, tasks)
        self.trunk = backbone()
        self.width, self.wide = self.trunk.width, self.trunk.wide
        widths = [self.trunk.encoder.width, *self.trunk.widths]
        self.private = nn.ModuleList(
            nn.ModuleList(_Mask(*pair, hidden, first=j == 0) for j, pair in enumerate(pairwise(widths))) for _ in tasks
        )

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), the trunk's last features under each task's mask."""
        wide, x = self.trunk.encoder(embedded.shared())
        features = [x]
        for stage in self.trunk.stages:
            features.append(stage(features[-1]))
        # Stages go on with the features themselves, so that the gradients of these are the masks' alone.
        read = [cut(feature) for feature in features]
        h = torch.stack([beside(wide, self._select(masks, read)) for masks in self.private], dim=1)  # type: ignore[arg-type]
        return Shared(h, (*read, *([] if wide is None else [wide])), h.new_zeros(()))

    @staticmethod
    def _select(masks: nn.ModuleList, features: Sequence[Tensor]) -> Tensor:
        """What one task's masks leave of the last features: x (B, X), p^1 (B, W_1), ... to (B, W)."""
        selected: Tensor | None = None
        for mask, (u, p) in zip(masks, pairwise(features), strict=True):
            selected = mask(u, selected) * p
        return features[-1] if selected is None else selected


class _Mask(nn.Module):
    """A mask of one task over one stage.

    Args:
        width: X_j, of what the stage reads.
        width_out: W_j, of what it makes.
        hidden: of the layers within.
        first: whether no mask is before it.
    """

    def __init__(self, width: int, width_out: int, hidden: int, first: bool) -> None:
        super().__init__()
        self.f = None if first else dense_layer(width, hidden, 0.0)
        self.mlp = tower(width if first else width + hidden, [hidden], width_out, 0.0)

    def forward(self, u: Tensor, selected: Tensor | None) -> Tensor:
        """u (B, X_j), and what the mask before left of it, (B, X_j), to a mask (B, W_j) in [0, 1]."""
        read = u if self.f is None else torch.cat([u, self.f(selected).to(u.dtype)], dim=1)
        mask: Tensor = self.mlp(read).sigmoid()
        return mask
