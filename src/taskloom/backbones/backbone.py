"""Backbone: a list of stages from a view of the embedded batch to a representation."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from taskloom.features.embedded import View


class Backbone(nn.Module):
    """Stages from a View to a representation h (B, R).

    The first stage takes a View (it crosses the fields and pools the history), the rest take vectors. Schemes that
    mix tasks layer by layer walk ``stages``; the others call the whole.

    The first ``wide`` channels of every stage's output are the wide part (Cheng et al. 2016, "Wide & Deep
    Learning for Recommender Systems"): scores that a head adds up beside its tower, as a factorisation machine's
    terms are. A backbone without a wide part has ``wide = 0``.

    Args:
        stages: the layers, in order.
        widths: output width of each stage, wide part included; the last one is R.
        wide: number of leading channels that are the wide part.
    """

    def __init__(self, stages: Sequence[nn.Module], widths: Sequence[int], wide: int = 0) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.widths = tuple(widths)
        self.wide = wide

    @property
    def width(self) -> int:
        """R, the width of the representation."""
        return self.widths[-1]

    def forward(self, view: View) -> Tensor:
        """View to representation (B, R)."""
        h = self.stages[0](view)
        for stage in self.stages[1:]:
            h = stage(h)
        return h


BackboneFactory = Callable[[], Backbone]
