"""Backbone: an encoder of a view of the embedded batch, and stages that make a representation of it."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from taskloom.features.embedded import InputSpec, View


class Encoder(nn.Module):
    """A View to what the stages read, and the wide part.

    It crosses the fields and pools the history: what is a backbone's own, beside layers that all have. Schemes with
    experts share one encoder among them.

    Args:
        inputs: what the embedded batch looks like.

    Attributes:
        width: X, the width of what the stages read.
        wide: U, the number of channels of the wide part.
    """

    width: int
    wide: int = 0

    def __init__(self, inputs: InputSpec) -> None:
        super().__init__()
        self.inputs = inputs

    def forward(self, view: View) -> tuple[Tensor | None, Tensor]:
        """View to the wide part (B, U), None where U = 0, and x (B, X)."""
        raise NotImplementedError


class Backbone(nn.Module):
    """An encoder, and stages on vectors: View to a representation h (B, R).

    Schemes that mix tasks layer by layer walk ``stages``, schemes with experts make ``stages`` the experts and share
    the encoder, the others call the whole.

    The wide part (Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems") are scores that a head adds up
    beside its tower, as a factorisation machine's terms are. It passes by all stages and makes the first ``wide``
    channels of h: R = U + the width of the last stage.

    Args:
        encoder: View to wide part and x (B, X).
        stages: the layers, in order, each from the width before it to its own; none at all leave x as it is.
        widths: output width of each stage.
    """

    #: whether it makes no sense without the earlier events of a user
    reads_history: ClassVar[bool] = False
    #: d where the last 2 d channels of h are a user vector and an item vector, each of its own side alone; else 0
    sides: int = 0

    def __init__(self, encoder: Encoder, stages: Sequence[nn.Module], widths: Sequence[int]) -> None:
        super().__init__()
        if len(stages) != len(widths):
            raise ValueError(f"{len(stages)} stages have {len(widths)} widths; give one of each")
        self.encoder = encoder
        self.stages = nn.ModuleList(stages)
        self.widths = tuple(widths)

    @property
    def wide(self) -> int:
        """U, the number of leading channels of h that are the wide part."""
        return self.encoder.wide

    @property
    def deep(self) -> int:
        """The number of the other channels of h."""
        return self.widths[-1] if self.widths else self.encoder.width

    @property
    def width(self) -> int:
        """R, the width of the representation."""
        return self.wide + self.deep

    def forward(self, view: View) -> Tensor:
        """View to representation (B, R)."""
        wide, h = self.encoder(view)
        for stage in self.stages:
            h = stage(h)
        return beside(wide, h)


def beside(wide: Tensor | None, h: Tensor) -> Tensor:
    """The wide part in front of the deep channels.

    Args:
        wide: (B, U), or None.
        h: (B, W), or (B, K, W) for K tasks that have the wide part in common.

    Returns:
        (B, U + W), or (B, K, U + W).

    Example:
        >>> beside(torch.ones(2, 1), torch.zeros(2, 3, 2)).shape
        torch.Size([2, 3, 3])
    """
    if wide is None:
        return h
    wide = wide.to(h.dtype)
    return torch.cat([wide if h.dim() == 2 else wide.unsqueeze(1).expand(-1, h.shape[1], -1), h], dim=-1)


BackboneFactory = Callable[[], Backbone]
