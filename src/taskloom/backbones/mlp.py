"""MLP over all fields side by side."""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import MinLen
from torch import Tensor

from taskloom.backbones.backbone import Backbone, Encoder
from taskloom.backbones.layers import Activation, Norm, dense_layers
from taskloom.errors import ConfigError
from taskloom.features.embedded import InputSpec, View
from taskloom.ranges import Fraction, PositiveInt


class Flatten(Encoder):
    """All fields and dense columns side by side.

    Args:
        inputs: what the embedded batch looks like.
    """

    def __init__(self, inputs: InputSpec) -> None:
        super().__init__(inputs)
        self.width = len(inputs.fields) * inputs.dim + inputs.n_dense

    def forward(self, view: View) -> tuple[None, Tensor]:
        """(B, F, D) and (B, C) to (B, F D + C)."""
        flat = view.fields.flatten(1)
        return None, torch.cat([flat, view.dense.to(flat.dtype)], dim=1) if view.dense.shape[1] else flat


class MLP(Backbone):
    """Fully connected layers over the fields' embeddings and the dense columns.

    Args:
        inputs: what the embedded batch looks like.
        hidden: width of each layer; the last one is R.
        dropout: after each layer.
        norm: of each layer before its activation: batch, layer, or None.
        activation: of each layer.

    Raises:
        ConfigError: no layer at all.

    Example:
        >>> from taskloom.schema import Feature
        >>> mlp = MLP(InputSpec((Feature("user", "categorical", "user", size=9),), dim=4), hidden=[8, 2])
        >>> mlp(View(torch.randn(3, 1, 4), torch.empty(3, 0))).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        inputs: InputSpec,
        hidden: Annotated[Sequence[PositiveInt], MinLen(1)],
        dropout: Fraction = 0.0,
        norm: Norm | None = None,
        activation: Activation = "relu",
    ) -> None:
        if not hidden:
            raise ConfigError("backbone.hidden: an mlp needs at least one layer, such as hidden=[128]")
        encoder = Flatten(inputs)
        super().__init__(encoder, dense_layers(encoder.width, hidden, dropout, norm, activation), hidden)
