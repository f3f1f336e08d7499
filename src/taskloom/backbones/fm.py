"""Factorisation of user side and item side, beside an MLP."""

from collections.abc import Sequence

import torch
from torch import Tensor

from taskloom.backbones.backbone import Backbone, Encoder
from taskloom.backbones.layers import Activation, Norm, dense_layers
from taskloom.dropout import Dropout
from taskloom.errors import ConfigError
from taskloom.features.embedded import InputSpec, View
from taskloom.ranges import Fraction, PositiveInt


class Factorisation(Encoder):
    """What the encoders of factorisation machines have in common: the wide part.

    The first component of each embedding is the field's first-order weight, the others are its vector.

    Args:
        inputs: what the embedded batch looks like.
        product_dropout: share of the products that training leaves out.

    Raises:
        ConfigError: D < 2.
    """

    def __init__(self, inputs: InputSpec, product_dropout: float) -> None:
        super().__init__(inputs)
        if inputs.dim < 2:
            raise ConfigError(
                f"features.dim must be >= 2, got {inputs.dim}: this backbone takes an embedding for a first-order "
                "weight and a vector"
            )
        self.product_dropout = Dropout(product_dropout)
        self.wide = len(inputs.fields) + inputs.dim - 1

    def parted(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F, D) to first-order weights (B, F) and vectors (B, F, D - 1)."""
        # Not two slices: the gradient of each would be filled up to the size of both.
        first, vectors = fields.split([1, fields.shape[2] - 1], dim=2)
        return first.squeeze(2), vectors


def all_pairs(vectors: Tensor, total: Tensor) -> Tensor:
    r"""The products of all pairs of fields, component by component, in time linear in F.

    .. math:: \sum_{f<g} v_f \circ v_g = \tfrac{1}{2} \Big( \big(\sum_f v_f\big)^2 - \sum_f v_f^2 \Big)

    Args:
        vectors: (B, F, D).
        total: (B, D), their sum over fields.

    Example:
        >>> v = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
        >>> all_pairs(v, v.sum(1))
        tensor([[23., 44.]])
    """
    return (total.square() - vectors.square().sum(1)) / 2


class Factorise(Factorisation):
    """First-order weights and products of both sides as the wide part, and what the MLP reads.

    Args:
        inputs: what the embedded batch looks like.
        product_dropout: share of the products that training leaves out.
        detach: whether the MLP reads p, q and their product without training them, where there are both sides.
    """

    sides: Tensor

    def __init__(self, inputs: InputSpec, product_dropout: float, detach: bool) -> None:
        super().__init__(inputs, product_dropout)
        sides = torch.zeros(3, len(inputs.fields))
        for row, side in enumerate(("user", "item", "context")):
            sides[row, inputs.positions(side)] = 1
        self.register_buffer("sides", sides, persistent=False)
        self.matched = all(inputs.positions(side) for side in ("user", "item"))
        self.detach = detach and self.matched
        self.width = 4 * (inputs.dim - 1) + inputs.n_dense

    def forward(self, view: View) -> tuple[Tensor, Tensor]:
        """(B, F, D) and (B, C) to the wide part (B, F + D - 1) and x (B, 4 (D - 1) + C)."""
        first, vectors = self.parted(view.fields)
        p, q, c = torch.matmul(self.sides.to(vectors.dtype), vectors).unbind(1)
        # Without two sides to match: Σ_{f<g} v_f ∘ v_g, over all pairs of fields.
        product = self.product_dropout(p * q if self.matched else all_pairs(vectors, p + q + c))
        read = torch.cat([p, q, product], dim=1)
        read = read.detach() if self.detach else read
        return torch.cat([first, product.to(first.dtype)], dim=1), torch.cat([read, c, view.dense.to(p.dtype)], dim=1)


class NoDeep(Encoder):
    """The wide part of an encoder alone.

    Args:
        encoder: whose wide part it is.
    """

    width = 0

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder.inputs)
        self.encoder, self.wide = encoder, encoder.wide

    def forward(self, view: View) -> tuple[Tensor | None, Tensor]:
        """View to the wide part (B, U), and x (B, 0)."""
        wide, x = self.encoder(view)
        return wide, x[:, :0]


class FM(Backbone):
    r"""First-order weights and the inner product of user side and item side, beside an MLP.

    With p and q the sums of the user's and the item's fields and c that of the context's, a head sees

    .. math:: \Big[ w_1 \dots w_F,\; p_1 q_1 \dots p_{D-1} q_{D-1},\; \mathrm{MLP}([p, q, p \circ q, c, x]) \Big]

    and adds up the wide part, so that the model contains regularised matrix factorisation
    :math:`\sum_f w_f + \langle p, q \rangle`. The first component of each embedding is its first-order weight. Where
    the data has no fields on one of the two sides, as a table of persons, the products are those of all pairs,
    :math:`\sum_{f<g} v_f \circ v_g`, and the MLP trains what it reads.

    Source: Rendle 2010, "Factorization Machines"; the MLP beside it as in Guo et al. 2017, "DeepFM". Deviation: the
    product is taken between the two sides and not among the fields of one side, which say nothing of a match.

    Args:
        inputs: what the embedded batch looks like.
        hidden: width of each layer of the MLP; none at all leaves the factorisation alone.
        dropout: after each layer of the MLP.
        product_dropout: share of the products p_d q_d that training leaves out; it keeps a wide factorisation
            from learning its training rows by heart.
        detach: whether the MLP reads p, q and their product without training them, so that the factorisation
            alone shapes users and items. With few rows a user, an MLP that trains them overfits.
        norm: of each layer before its activation: batch, layer, or None.
        activation: of each layer.

    Raises:
        ConfigError: D < 2.
    """

    def __init__(
        self,
        inputs: InputSpec,
        hidden: Sequence[PositiveInt],
        dropout: Fraction = 0.0,
        product_dropout: Fraction = 0.0,
        detach: bool = False,
        norm: Norm | None = None,
        activation: Activation = "relu",
    ) -> None:
        encoder = Factorise(inputs, product_dropout, detach)
        layers = dense_layers(encoder.width, hidden, dropout, norm, activation)
        super().__init__(encoder if layers else NoDeep(encoder), layers, hidden)
