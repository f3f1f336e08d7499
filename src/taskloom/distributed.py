"""The few words that layers and losses need of several processes; with one process they cost nothing."""

import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes that train together, 1 where there is one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, without gradient; the tensor itself where there is one process."""
    if world_size() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total
