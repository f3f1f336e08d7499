"""Self-attention between fields."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from taskloom.backbones.backbone import Backbone, Encoder
from taskloom.backbones.layers import Activation, Norm, dense_layers, softmax
from taskloom.dropout import Dropout
from taskloom.errors import ConfigError
from taskloom.features.embedded import InputSpec, View
from taskloom.ranges import Fraction, PositiveInt


class Interact(nn.Module):
    """One interacting layer: every token becomes a mean of all tokens, one a head, beside what it was.

    Args:
        width_in: of a token.
        width: of a token afterwards, all heads together.
        heads: number of heads.
    """

    def __init__(self, width_in: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        #: W_query, W_key, W_value and W_residual, one below the other
        self.projections = nn.Linear(width_in, 4 * width, bias=False)
        with torch.no_grad():
            for weight in self.projections.weight.split(width):
                nn.init.xavier_uniform_(weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, M, width_in) to (B, M, width)."""
        query, key, value, residual = self.projections(tokens).chunk(4, dim=2)
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (query, key, value))
        # Not the fused form, which for so few tokens is no faster on a CPU, and has no second derivative there.
        weights = softmax(query @ key.transpose(2, 3) * query.shape[3] ** -0.5)
        mixed = weights.to(value.dtype) @ value
        return functional.relu(mixed.transpose(1, 2).flatten(2) + residual)


class Attend(Encoder):
    """Fields and dense columns as tokens, interacting layers, and all tokens side by side.

    Args:
        inputs: what the embedded batch looks like.
        layers: number of interacting layers.
        heads: of each.
        width: of a token behind each, all heads together.
        dropout: after each.
    """

    def __init__(self, inputs: InputSpec, layers: int, heads: int, width: int, dropout: float) -> None:
        super().__init__(inputs)
        widths = [inputs.dim, *[width] * layers]
        self.layers = nn.ModuleList(Interact(a, width, heads) for a in widths[:-1])
        self.dropout = Dropout(dropout)
        # About the size of embeddings, so that attention does not begin with the columns alone.
        columns = torch.empty(inputs.n_dense, inputs.dim).normal_(std=0.05)
        # None without dense columns: a parameter that no loss reaches is one that two ranks wait for.
        self.columns = nn.Parameter(columns) if inputs.n_dense else None
        self.width = (len(inputs.fields) + inputs.n_dense) * width

    def forward(self, view: View) -> tuple[None, Tensor]:
        """(B, F, D) and (B, C) to (B, (F + C) width)."""
        tokens = view.fields
        if self.columns is not None:
            columns = view.dense.unsqueeze(2).to(tokens.dtype) * self.columns
            tokens = torch.cat([tokens, columns.to(tokens.dtype)], dim=1)
        for layer in self.layers:
            tokens = self.dropout(layer(tokens))
        return None, tokens.flatten(1)


class AutoInt(Backbone):
    r"""Multi-head self-attention between the fields, some layers deep; then an MLP, or none.

    The M = F + C tokens are the fields' embeddings and, for each dense column, its value times a vector of its own,
    :math:`e_m = x_m v_m`. In each layer, for every head h,

    .. math::
        \alpha^h_{mk} = \operatorname{softmax}_k \frac{\langle Q^h e_m, K^h e_k \rangle}{\sqrt{d}}, \qquad
        \tilde e_m = \mathrm{ReLU}\Big( \big[ \textstyle\sum_k \alpha^h_{mk} V^h e_k \big]_h + R e_m \Big)

    with d the width of a head. What the MLP reads is all tokens of the last layer side by side.

    Source: Song et al. 2019, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks".
    Deviations: the scale 1 / sqrt(d), which the paper's formula lacks; dropout; the MLP reads the last layer's tokens,
    where the paper's AutoInt+ puts one beside them.

    Args:
        inputs: what the embedded batch looks like.
        layers: number of interacting layers.
        heads: of each; they share the width among them.
        width: of a token behind each layer, all heads together.
        hidden: width of each layer of the MLP; none at all leaves the tokens as they are, R = (F + C) width.
        dropout: after each interacting layer and each layer of the MLP.
        norm: of each layer of the MLP before its activation: batch, layer, or None.
        activation: of each layer of the MLP.

    Raises:
        ConfigError: the heads do not divide the width.

    Example:
        >>> from taskloom.schema import Feature
        >>> fields = tuple(Feature(name, "categorical", "context", size=9) for name in ("age", "sex", "city"))
        >>> autoint = AutoInt(InputSpec(fields, dim=4, n_dense=1), layers=2, heads=2, width=6, hidden=[])
        >>> autoint(View(torch.randn(5, 3, 4), torch.randn(5, 1))).shape
        torch.Size([5, 24])
    """

    def __init__(
        self,
        inputs: InputSpec,
        layers: PositiveInt,
        heads: PositiveInt,
        width: PositiveInt,
        hidden: Sequence[PositiveInt],
        dropout: Fraction = 0.0,
        norm: Norm | None = None,
        activation: Activation = "relu",
    ) -> None:
        if width % heads:
            raise ConfigError(
                f"backbone.width={width} cannot be shared by backbone.heads={heads}; take a multiple, such as "
                f"backbone.width={heads * max(1, round(width / heads))}"
            )
        encoder = Attend(inputs, layers, heads, width, dropout)
        super().__init__(encoder, dense_layers(encoder.width, hidden, dropout, norm, activation), hidden)
