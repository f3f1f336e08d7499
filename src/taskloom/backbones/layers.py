"""The layer that backbones and towers are made of."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def dense_layer(width_in: int, width_out: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout: (B, width_in) to (B, width_out); no dropout module where its rate is 0."""
    layers: list[nn.Module] = [nn.Linear(width_in, width_out), nn.ReLU()]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def tower(width_in: int, hidden: Sequence[int], width_out: int, dropout: float) -> nn.Sequential:
    """Hidden layers and a linear one on top: (B, width_in) to (B, width_out)."""
    widths = [width_in, *hidden]
    layers = [dense_layer(a, b, dropout) for a, b in pairwise(widths)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], width_out))


class BesideWide(nn.Module):
    """A layer on the deep channels; the wide ones pass by.

    Args:
        layer: (B, W) to (B, W').
        wide: number of leading channels that pass by.
    """

    def __init__(self, layer: nn.Module, wide: int) -> None:
        super().__init__()
        self.layer = layer
        self.wide = wide

    def forward(self, h: Tensor) -> Tensor:
        """(B, wide + W) to (B, wide + W')."""
        return torch.cat([h[:, : self.wide], self.layer(h[:, self.wide :])], dim=1)
