"""Gradient conflict: do the tasks pull what they share in opposite directions?"""

from collections.abc import Sequence
from itertools import combinations

from torch import Tensor


def conflict(gramian: Tensor, names: Sequence[str]) -> dict[str, float]:
    r"""The cosine of each pair of tasks' gradients, and the share of pairs that conflict.

    .. math:: \cos(g_a, g_b) = \frac{\langle g_a, g_b \rangle}{\lVert g_a \rVert \lVert g_b \rVert}, \qquad
              \text{conflict: } \cos(g_a, g_b) < 0

    Source: Yu et al. 2020, "Gradient Surgery for Multi-Task Learning" (definition 1). Deviations: none.

    Args:
        gramian: (K, K), inner products of the tasks' gradients.
        names: of the K tasks, in order.

    Returns:
        ``conflict/<a>~<b>`` of each pair in the tasks' order, and ``conflict/share``. A task without gradient has no
        direction: its pairs are left out, and without any pair nothing is given.

    Example:
        >>> import torch
        >>> rows = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0]])
        >>> conflict(rows @ rows.T, ["like", "rating", "spend"])
        {'conflict/like~rating': -1.0, 'conflict/like~spend': 0.0, 'conflict/rating~spend': 0.0, 'conflict/share': 0.3333333333333333}
    """  # noqa: E501
    inner = gramian.double().cpu()
    norms = inner.diagonal().clamp_min(0).sqrt()
    cosines = {
        f"conflict/{names[a]}~{names[b]}": float((inner[a, b] / (norms[a] * norms[b])).clamp(-1, 1))
        for a, b in combinations(range(len(names)), 2)
        if norms[a] > 0 and norms[b] > 0
    }
    if not cosines:
        return {}
    return cosines | {"conflict/share": sum(cosine < 0 for cosine in cosines.values()) / len(cosines)}
