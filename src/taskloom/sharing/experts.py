"""Experts and gates: networks that read the same input, and how much a task takes of each."""

import warnings
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from taskloom.backbones.layers import softmax

Form = Literal["auto", "loop", "batched"]


class Experts(nn.Module):
    """E networks that read the same input.

    They run one after the other, or all at once as products of stacked weights; which of both, the device decides
    (see ``_batches``). The numbers are the same. Networks that keep running statistics, as batch norm does, or that
    are not of one shape run one after the other everywhere.

    Args:
        experts: the networks, each (B, X) to (B, W).

    Example:
        >>> Experts([nn.Linear(3, 2), nn.Linear(3, 2)])(torch.zeros(5, 3)).shape
        torch.Size([5, 2, 2])
    """

    #: ``auto`` leaves it to the device; a benchmark sets one of the others, to compare them
    form: ClassVar[Form] = "auto"

    def __init__(self, experts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        shapes = [[(name, p.shape) for name, p in expert.named_parameters()] for expert in experts]
        alike = all(shape == shapes[0] for shape in shapes)
        self.stackable = bool(experts) and bool(shapes[0]) and alike and next(self.buffers(), None) is None

    def __len__(self) -> int:
        return len(self.experts)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, X) to all outputs (B, E, W)."""
        if self._batches(x.device):
            return self._batched(x)
        return torch.stack([expert(x) for expert in self.experts], dim=1)

    def _batches(self, device: torch.device) -> bool:
        """Whether the experts run all at once: the one place that chooses.

        On a CPU (Zen 5, torch 2.13, 8 experts 256-128 on 4,096 rows, a step of one thread) the loop takes 168 ms in
        float32 and 59 ms in bfloat16, the products of stacked weights 223 and 100, and first layers side by side as
        one product, the rest in a loop, 195 and 67. On a GPU launches dominate a loop of small products, so that
        the stacked form should win; nobody has measured it there yet.
        """
        if not self.stackable or self.form == "loop":
            return False
        return self.form == "batched" or device.type == "cuda"

    def _batched(self, x: Tensor) -> Tensor:
        # Stacked in each step: the parameters stay those of their experts, for optimisers, owners and checkpoints.
        named = [dict(expert.named_parameters()) for expert in self.experts]
        stacked = {name: torch.stack([own[name] for own in named]) for name in named[0]}
        pattern, device = self.experts[0], x.device.type
        if torch.is_autocast_enabled(device):
            # vmap makes a linear layer a product and a sum. Autocast knows the product alone, whose sum with a
            # bias in float32 would be float32.
            for name in _of_linear_layers(pattern):
                stacked[name] = stacked[name].to(torch.get_autocast_dtype(device))

        def run(parameters: dict[str, Tensor]) -> Tensor:
            outputs: Tensor = functional_call(pattern, parameters, (x,))
            return outputs

        outputs: Tensor = vmap(run, out_dims=1, randomness="different")(stacked)
        return outputs


class Gate(nn.Module):
    r"""How much of each expert, by row.

    .. math:: g(x) = \mathrm{softmax}(W x + b)

    Args:
        width: X, the width of x; 0 is allowed, and leaves the bias alone.
        n: E, how many experts there are to choose among.
    """

    def __init__(self, width: int, n: int) -> None:
        super().__init__()
        with warnings.catch_warnings():  # of weights (n, 0), where a backbone has no deep part
            warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
            self.layer = nn.Linear(width, n)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, X) to weights (B, E) that add up to one, in float32 at least."""
        return softmax(self.layer(x))


def gate_all(gates: Sequence[Gate], x: Tensor) -> Tensor:
    """What K gates of equally many experts say of the same input, in one product.

    Args:
        gates: K of them.
        x: (B, X).

    Returns:
        (B, K, E): row k is ``gates[k](x)``.

    Example:
        >>> gates = [Gate(3, 2), Gate(3, 2)]
        >>> gate_all(gates, torch.ones(4, 3)).shape
        torch.Size([4, 2, 2])
    """
    weight = torch.cat([gate.layer.weight for gate in gates])
    bias = torch.cat([gate.layer.bias for gate in gates])
    return softmax(functional.linear(x, weight, bias).unflatten(1, (len(gates), -1)))


def mix(weights: Tensor, *outputs: Tensor) -> Tensor:
    """The sum of the experts' outputs, each with its weight.

    Args:
        weights: (B, E), or (B, K, E) for K mixtures of the same outputs.
        outputs: (B, E, W); or several groups of experts with E of them together, which are not copied side by side.

    Returns:
        (B, W) or (B, K, W), of the outputs' type.

    Example:
        >>> mix(torch.tensor([[0.5, 0.5]]), torch.tensor([[[1.0], [3.0]]]))
        tensor([[2.]])
        >>> mix(torch.tensor([[0.5, 0.5]]), torch.tensor([[[1.0]]]), torch.tensor([[[3.0]]]))
        tensor([[2.]])
    """
    dtype = outputs[0].dtype
    rows = weights.to(dtype) if weights.dim() == 3 else weights.to(dtype).unsqueeze(1)
    shares = rows.split([group.shape[1] for group in outputs], dim=2) if len(outputs) > 1 else (rows,)
    first, *others = (share @ group for share, group in zip(shares, outputs, strict=True))
    # The type once more: under autocast a product of float32 is bfloat16.
    mixed = sum(others, first).to(dtype)
    return mixed if weights.dim() == 3 else mixed.squeeze(1)


def _of_linear_layers(module: nn.Module) -> list[str]:
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    return [f"{path}.{name}".lstrip(".") for path, layer in layers.items() for name, _ in layer.named_parameters()]
