"""Balancer: losses and gradients in, weights out."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from taskloom.distributed import sum_over_ranks
from taskloom.tasks import Task


class Gradients:
    """The tasks' gradients on the shared representation, computed when a balancer first asks.

    Args:
        losses: (K,), with their graph.
        representation: the tensors that every path from a shared parameter to a loss crosses (see Shared).

    Example:
        >>> z = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> Gradients(torch.stack([z[0] * 3, z.sum()]), (z,)).gramian
        tensor([[9., 3.],
                [3., 2.]])
    """

    def __init__(self, losses: Tensor, representation: tuple[Tensor, ...]) -> None:
        self.losses, self.representation = losses, representation

    @cached_property
    def rows(self) -> Tensor:
        """(K, S): the gradient of each loss on the whole representation, flat. No graph is kept of it."""
        rows = []
        for loss in self.losses:
            grads = torch.autograd.grad(loss, self.representation, retain_graph=True, allow_unused=True)
            rows.append(
                torch.cat(
                    [
                        (torch.zeros_like(z) if grad is None else grad).flatten()
                        for z, grad in zip(self.representation, grads, strict=True)
                    ]
                )
            )
        return torch.stack(rows)

    @cached_property
    def gramian(self) -> Tensor:
        """(K, K): inner products of the rows; each rank holds its own rows' part, so the parts add up."""
        return sum_over_ranks(self.rows @ self.rows.T)


class Balancer(nn.Module):
    """Weights the losses; one ordinary backward pass over the weighted sum follows.

    Args:
        tasks: the K tasks, in order.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.register_buffer("task_weights", torch.tensor([float(t.weight) for t in tasks]), persistent=False)

    task_weights: Tensor

    def balance(self, losses: Tensor, labelled: Tensor, gradients: Gradients) -> tuple[Tensor, Tensor]:
        """Weights and an extra loss for one step.

        Args:
            losses: (K,), reduced.
            labelled: bool (K,), whether the global batch has a label of the task; without one it is left out.
            gradients: of the losses on the shared representation, computed on first use.

        Returns:
            Weights (K,), and an extra loss, a scalar that enters the sum as it is.
        """
        raise NotImplementedError

    def after_step(self, closure: Callable[[], Tensor]) -> None:
        """Called after each optimiser step; the closure gives the same batch's losses (K,) anew, without gradient."""
