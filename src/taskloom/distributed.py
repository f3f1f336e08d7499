"""The few words that layers, losses and scores need of several processes; with one process they cost nothing."""

from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Value = TypeVar("Value")


def world_size() -> int:
    """Number of processes that train together, 1 where there is one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among them, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, without gradient; the tensor itself where there is one process."""
    if world_size() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def rows_at_first(rows: Tensor) -> Tensor | None:
    """The rows of all ranks, one rank's behind the other's, on rank 0; None elsewhere.

    They go straight into their place: rank 0 holds them once, and the others nothing beside their own.

    Args:
        rows: (N_r, ...) on the CPU; N_r may be another on each rank, what follows it not.
    """
    if world_size() == 1:
        return rows
    mine = torch.tensor([len(rows)])
    counts = [torch.zeros_like(mine) for _ in range(world_size())]
    dist.all_gather(counts, mine)
    if rank() > 0:
        if len(rows):
            dist.send(rows.contiguous(), 0)
        return None
    sizes = [int(count) for count in counts]
    total = rows.new_empty((sum(sizes), *rows.shape[1:]))
    for sender, part in enumerate(total.split(sizes)):
        if sender == 0:
            part.copy_(rows)
        elif len(part):
            dist.recv(part, sender)
    return total


def objects_at_first(value: Value) -> list[Value] | None:
    """Small values of all ranks, in their order, on rank 0; None elsewhere."""
    if world_size() == 1:
        return [value]
    found: list[Value] | None = [value] * world_size() if rank() == 0 else None
    dist.gather_object(value, found)
    return found


def from_first(value: Value) -> Value:
    """Rank 0's value, on all ranks; what the others give is not looked at."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def spread_from_first(tensors: list[Tensor]) -> None:
    """Overwrites tensors with those of rank 0; on any device."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def sharded(module: nn.Module) -> bool:
    """Whether some of a module's parameters are spread over the ranks (``DTensor``)."""
    return any(hasattr(parameter, "to_local") for parameter in module.parameters())


def clip_grad_norm(parameters: Iterable[nn.Parameter], largest: float) -> None:
    """Clips gradients by their common norm, that of all shards where parameters are spread over ranks (``DTensor``).

    Args:
        parameters: those without a gradient do not count; a sparse gradient counts each row once, whose parts it adds.
        largest: norm.
    """
    parameters = list(parameters)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    shards = [gradient.to_local() for gradient in gradients if hasattr(gradient, "to_local")]
    if any(gradient.is_sparse for gradient in gradients):
        gradients = [_values(parameter) for parameter in parameters if parameter.grad is not None]
    elif not shards:
        nn.utils.clip_grad_norm_(parameters, largest)
        return
    whole = [gradient for gradient in gradients if not hasattr(gradient, "to_local")]
    norms = [sum_over_ranks(nn.utils.get_total_norm(shards).square())] if shards else []
    norm = torch.stack([*norms, *([nn.utils.get_total_norm(whole).square()] if whole else [])]).sum().sqrt()
    scale = (largest / (norm + 1e-6)).clamp_max(1)
    torch._foreach_mul_([*shards, *whole], scale)


def _values(parameter: nn.Parameter) -> Tensor:
    """The numbers of a parameter's gradient, to be changed in place; of a sparse one each row's, added up."""
    assert parameter.grad is not None
    if not parameter.grad.is_sparse:
        return parameter.grad
    parameter.grad = parameter.grad.coalesce()
    return parameter.grad.values()
