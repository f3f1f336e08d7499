"""Experts and gates: networks that read the same input, and how much a task takes of each."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Experts(nn.Module):
    """E networks that read the same input.

    Args:
        experts: the networks, each (B, X) to (B, W).

    Example:
        >>> Experts([nn.Linear(3, 2), nn.Linear(3, 2)])(torch.zeros(5, 3)).shape
        torch.Size([5, 2, 2])
    """

    def __init__(self, experts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)

    def __len__(self) -> int:
        return len(self.experts)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, X) to all outputs (B, E, W)."""
        return torch.stack([expert(x) for expert in self.experts], dim=1)


class Gate(nn.Module):
    r"""How much of each expert, by row.

    .. math:: g(x) = \mathrm{softmax}(W x + b)

    Args:
        width: X, the width of x.
        n: E, how many experts there are to choose among.
    """

    def __init__(self, width: int, n: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, n)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, X) to weights (B, E) that add up to one."""
        return self.layer(x).float().softmax(1)


def mix(weights: Tensor, outputs: Tensor) -> Tensor:
    """The sum of the experts' outputs, each with its weight.

    Args:
        weights: (B, E).
        outputs: (B, E, W).

    Returns:
        (B, W), of the outputs' type.

    Example:
        >>> mix(torch.tensor([[0.5, 0.5]]), torch.tensor([[[1.0], [3.0]]]))
        tensor([[2.]])
    """
    return (weights.to(outputs.dtype).unsqueeze(1) @ outputs).squeeze(1)
