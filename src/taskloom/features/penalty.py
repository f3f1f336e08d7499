"""Penalty: how strongly the embeddings of rare and of frequent ids are held to zero."""

from collections.abc import Sequence

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
