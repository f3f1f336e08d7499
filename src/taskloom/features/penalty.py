"""Penalty: how strongly the embeddings of rare and of frequent ids are held to zero."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def penalty_by_count(counts: Sequence[Tensor], power: float) -> Tensor:
    r"""What the penalty of each look-up of an id is multiplied by.

    .. math:: w_i = (n_i / \bar n)^{\nu - 1}

    with :math:`\bar n` the mean over the feature's ids that training has. Over an epoch an id is looked up n times, so
    that its row is held in proportion to :math:`n^\nu`; the row of an id of mean frequency as it is without this.

    Args:
        counts: of each feature, how many training rows have each id; an id that none has counts as one row.
        power: ν >= 0; 1 gives 1 to all.

    Returns:
        float32 (N,), features side by side.

    Example:
        >>> penalty_by_count([torch.tensor([0, 1, 4, 16])], power=0.5)  # a mean of 7 rows
        tensor([2.6458, 2.6458, 1.3229, 0.6614])
    """
    parts = []
    for count in counts:
        mean = count.sum().double() / (count > 0).sum().clamp_min(1)
        parts.append((count.clamp_min(1) / mean.clamp_min(1)).pow(power - 1))
    return torch.cat(parts).float()


def squared_norm(x: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""A weighted sum of squares.

    .. math:: \sum_i w_i \lVert x_i \rVert_2^2

    Args:
        x: (*, D).
        weights: (*), of the vectors, without a gradient; None gives 1 to all.

    Returns:
        A scalar, float32 where x is less.

    Example:
        >>> squared_norm(torch.tensor([[3.0, 4.0], [1.0, 2.0]]), weights=torch.tensor([1.0, 10.0]))
        tensor(75.)
    """
    total: Tensor = _SquaredNorm.apply(x, weights)
    return total


class _SquaredNorm(torch.autograd.Function):
    # By hand, because the gradient of a product with itself is made up of five passes over x where one will do.
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weights: Tensor | None) -> Tensor:
        dtype = torch.promote_types(x.dtype, torch.float32)
        squares = torch.linalg.vector_norm(x, dim=-1, dtype=dtype).square()
        return squares.sum() if weights is None else (squares * weights).sum()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor | None], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, weights = ctx.saved_tensors
        each = 2 * gradient if weights is None else (2 * gradient * weights).unsqueeze(-1)
        return x * each.to(x.dtype), None
