"""A factorisation machine over all fields beside an MLP that reads the same vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from taskloom.backbones.backbone import Backbone
from taskloom.backbones.fm import Factorisation, NoDeep, all_pairs
from taskloom.backbones.layers import Activation, Norm, dense_layers
from taskloom.features.embedded import InputSpec, View
from taskloom.ranges import Fraction, PositiveInt


class FactoriseAll(Factorisation):
    """First-order weights and products of all pairs as the wide part, all vectors side by side for the MLP.

    Args:
        inputs: what the embedded batch looks like.
        product_dropout: share of the products that training leaves out.
    """

    def __init__(self, inputs: InputSpec, product_dropout: float) -> None:
        super().__init__(inputs, product_dropout)
        self.width = len(inputs.fields) * (inputs.dim - 1) + inputs.n_dense

    def forward(self, view: View) -> tuple[Tensor, Tensor]:
        """(B, F, D) and (B, C) to the wide part (B, F + D - 1) and x (B, F (D - 1) + C)."""
        first, vectors = self.parted(view.fields)
        product = self.product_dropout(all_pairs(vectors, vectors.sum(1)))
        return torch.cat([first, product], dim=1), torch.cat([vectors.flatten(1), view.dense.to(vectors.dtype)], dim=1)


class DeepFM(Backbone):
    r"""First-order weights and products of all pairs of fields, beside an MLP on the same vectors.

    A head sees

    .. math:: \Big[ w_1 \dots w_F,\; \sum_{f<g} v_f \circ v_g,\; \mathrm{MLP}([v_1, \dots, v_F, x]) \Big]

    and adds up the wide part, the first F + D - 1 channels: a factorisation machine,
    :math:`\sum_f w_f + \sum_{f<g} \langle v_f, v_g \rangle`. The first component of each embedding is its first-order
    weight w, the others are v. Both parts train all vectors.

    Source: Guo et al. 2017, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction". Deviations:
    dense columns x go to the MLP alone; a head weighs the channels of the wide part, with weights that begin at one.

    Args:
        inputs: what the embedded batch looks like.
        hidden: width of each layer of the MLP; none at all leaves the factorisation machine alone.
        dropout: after each layer of the MLP.
        product_dropout: share of the channels of the pairs' sum that training leaves out.
        norm: of each layer before its activation: batch, layer, or None.
        activation: of each layer.

    Raises:
        ConfigError: D < 2.

    Example:
        >>> from taskloom.schema import Feature
        >>> fields = tuple(Feature(name, "categorical", "context", size=9) for name in ("age", "sex", "city"))
        >>> deepfm = DeepFM(InputSpec(fields, dim=4), hidden=[8, 2])
        >>> deepfm.wide, deepfm(View(torch.randn(5, 3, 4), torch.empty(5, 0))).shape
        (6, torch.Size([5, 8]))
    """

    def __init__(
        self,
        inputs: InputSpec,
        hidden: Sequence[PositiveInt],
        dropout: Fraction = 0.0,
        product_dropout: Fraction = 0.0,
        norm: Norm | None = None,
        activation: Activation = "relu",
    ) -> None:
        encoder = FactoriseAll(inputs, product_dropout)
        layers = dense_layers(encoder.width, hidden, dropout, norm, activation)
        super().__init__(encoder if layers else NoDeep(encoder), layers, hidden)
