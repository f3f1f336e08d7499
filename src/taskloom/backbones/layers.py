"""The layer that backbones and towers are made of."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def dense_layer(width_in: int, width_out: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout: (B, width_in) to (B, width_out); no dropout module where its rate is 0."""
    layers: list[nn.Module] = [nn.Linear(width_in, width_out), nn.ReLU()]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def dense_layers(width_in: int, hidden: Sequence[int], dropout: float) -> list[nn.Sequential]:
    """A layer for each of the widths ``hidden``, the first of which reads (B, width_in)."""
    return [dense_layer(a, b, dropout) for a, b in pairwise([width_in, *hidden])]


def tower(width_in: int, hidden: Sequence[int], width_out: int, dropout: float) -> nn.Sequential:
    """Hidden layers and a linear one on top: (B, width_in) to (B, width_out)."""
    return nn.Sequential(*dense_layers(width_in, hidden, dropout), nn.Linear([width_in, *hidden][-1], width_out))
