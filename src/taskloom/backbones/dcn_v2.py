"""Cross layers over all fields, and an MLP on what they make."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import Backbone
from taskloom.backbones.layers import Activation, Norm, dense_layers
from taskloom.backbones.mlp import Flatten
from taskloom.features.embedded import InputSpec, View
from taskloom.ranges import Fraction, PositiveInt


class Cross(Flatten):
    """All fields and dense columns side by side, crossed with themselves layer by layer.

    Args:
        inputs: what the embedded batch looks like.
        layers: L, the number of cross layers.
        low_rank: r, None for full matrices.
    """

    def __init__(self, inputs: InputSpec, layers: int, low_rank: int | None) -> None:
        super().__init__(inputs)
        self.layers = nn.ModuleList(_matrix(self.width, low_rank) for _ in range(layers))

    def forward(self, view: View) -> tuple[None, Tensor]:
        """(B, F, D) and (B, C) to x_L (B, F D + C)."""
        _, first = super().forward(view)
        x = first
        for layer in self.layers:
            x = torch.addcmul(x, first, layer(x).to(x.dtype))
        return None, x


def _matrix(width: int, low_rank: int | None) -> nn.Module:
    """W x + b, or U (V x) + b with r columns: (B, X) to (B, X)."""
    if low_rank is None:
        return nn.Linear(width, width)
    return nn.Sequential(nn.Linear(width, low_rank, bias=False), nn.Linear(low_rank, width))


class DCNv2(Backbone):
    r"""Cross layers, each of which raises the degree of the products between fields by one; then an MLP.

    With x_0 (B, X) all fields and dense columns side by side, X = F D + C,

    .. math:: x_{l+1} = x_0 \circ (W_l x_l + b_l) + x_l, \qquad W_l = U_l V_l^\top \text{ of rank } r

    and the MLP reads x_L, which holds products of up to L + 1 components.

    Source: Wang et al. 2021, "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to
    Rank Systems", the stacked structure. Deviations: no mixture of low-rank experts.

    Args:
        inputs: what the embedded batch looks like.
        layers: L, the number of cross layers.
        low_rank: r, the rank of W_l, for 2 X r numbers a layer in place of X²; None for a full matrix.
        hidden: width of each layer of the MLP; none at all leaves the cross layers alone, R = X.
        dropout: after each layer of the MLP.
        norm: of each layer of the MLP before its activation: batch, layer, or None.
        activation: of each layer of the MLP.

    Example:
        >>> from taskloom.schema import Feature
        >>> fields = tuple(Feature(name, "categorical", "context", size=9) for name in ("age", "sex", "city"))
        >>> dcn = DCNv2(InputSpec(fields, dim=4), layers=2, low_rank=3, hidden=[8, 2])
        >>> dcn.encoder.width, dcn(View(torch.randn(5, 3, 4), torch.empty(5, 0))).shape
        (12, torch.Size([5, 2]))
    """

    def __init__(
        self,
        inputs: InputSpec,
        layers: PositiveInt,
        low_rank: PositiveInt | None,
        hidden: Sequence[PositiveInt],
        dropout: Fraction = 0.0,
        norm: Norm | None = None,
        activation: Activation = "relu",
    ) -> None:
        encoder = Cross(inputs, layers, low_rank)
        super().__init__(encoder, dense_layers(encoder.width, hidden, dropout, norm, activation), hidden)
