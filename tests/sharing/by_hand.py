"""What the tests of schemes need to work a batch out by hand: a small input in float64, layers row by row."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from taskloom.backbones import Backbone, Encoder
from taskloom.backbones.fm import FM
from taskloom.backbones.mlp import MLP
from taskloom.features import Embedded, InputSpec
from taskloom.schema import Feature

ROWS = 5
FIELDS = (Feature("user", "categorical", "user", size=9), Feature("item", "categorical", "item", size=9))
INPUTS = InputSpec(FIELDS, dim=3, n_dense=2, history=("item",))


class NoStages(Backbone):
    """x and nothing behind it."""

    def __init__(self) -> None:
        encoder = MLP(INPUTS, hidden=[1]).encoder
        super().__init__(encoder, [], [])


#: with several stages and a wide part, with one, with none, and with nothing deep at all
BACKBONES: dict[str, Callable[[], Backbone]] = {
    "fm": partial(FM, INPUTS, hidden=[5, 4]),
    "mlp": partial(MLP, INPUTS, hidden=[4]),
    "no_stages": NoStages,
    "no_deep": partial(FM, INPUTS, hidden=[]),
}


def embedded(seed: int = 0) -> Embedded:
    """Five rows, the first two of which have no history."""
    g = torch.Generator().manual_seed(seed)
    draw = partial(torch.randn, generator=g, dtype=torch.float64)
    mask = torch.tensor([[False] * 3, [False] * 3, [False, False, True], [False, True, True], [True] * 3])
    return Embedded(
        draw(ROWS, 1, 2, 3).requires_grad_(),
        draw(ROWS, 2),
        torch.zeros(()),
        ROWS,
        history=draw(ROWS, 1, 3, 1, 3).requires_grad_(),
        mask=mask,
    )


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """One row (X,) through a linear layer, output by output."""
    out = torch.stack([(weights * x).sum() for weights in layer.weight])
    return out if layer.bias is None else out + layer.bias


def run(stages: nn.Module, x: Tensor) -> Tensor:
    """One row (X,) through layers with ReLU."""
    for module in stages.modules():
        if isinstance(module, nn.Linear):
            x = linear(module, x)
        elif isinstance(module, nn.ReLU):
            x = torch.where(x > 0, x, torch.zeros_like(x))
    return x


def encoded(encoder: Encoder, batch: Embedded) -> tuple[Tensor, Tensor]:
    """The wide part (B, U) and x (B, X) of a backbone's encoder, U = 0 where there is no wide part."""
    wide, x = encoder(batch.shared())
    return x[:, :0] if wide is None else wide, x


def assert_same(one: Tensor, other: Tensor, module: nn.Module, batch: Embedded) -> None:
    """Two tensors and the gradients of a random projection of them are the same."""
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    leaves = [*module.parameters(), *batch.tensors()]
    g = torch.Generator().manual_seed(1)
    direction = torch.randn(one.shape, generator=g, dtype=one.dtype)
    grads = [torch.autograd.grad((h * direction).sum(), leaves, allow_unused=True) for h in (one, other)]
    for a, b, leaf in zip(*grads, leaves, strict=True):
        zero = torch.zeros_like(leaf)
        torch.testing.assert_close(zero if a is None else a, zero if b is None else b, rtol=1e-5, atol=1e-7)
