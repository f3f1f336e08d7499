"""Soft parameter sharing: trunks of their own, drawn together by a penalty."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory
from taskloom.features.embedded import Embedded
from taskloom.features.features import Views
from taskloom.ranges import NonNegative
from taskloom.sharing.sharing import Shared, Sharing
from taskloom.tasks import Task


class SoftSharing(Sharing):
    r"""Every task has a trunk of its own; a penalty draws the trunks together.

    .. math:: \Omega = \lambda \sum_{k<l} \lVert \theta_k - \theta_l \rVert_2^2
              + \frac{\mu}{B} \sum_b \sum_f \sum_{k<l} \lVert e_{bfk} - e_{bfl} \rVert_2^2

    The first sum is over the parameters of the trunks; the second, left out by default, over the embedding rows
    that a batch looks up, where each task has embeddings of its own (``features.views=per_task``).

    Source: Duong et al. 2015, "Low Resource Dependency Parsing: Cross-lingual Parameter Sharing in a Neural
    Network Parser". Deviation: the penalty on looked-up rows, which for tables is what λ is for trunks.

    Args:
        backbone: builds one trunk, View to (B, R). Called K times.
        tasks: the K tasks, in order.
        strength: λ >= 0. 0 leaves the tasks alone; as λ grows the trunks become one.
        embedding_strength: μ >= 0, the same for the embedding rows.
    """

    views: ClassVar[tuple[Views, ...]] = ("per_task", "shared")

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        strength: NonNegative,
        embedding_strength: NonNegative = 0.0,
    ) -> None:
        super().__init__(backbone, tasks)
        self.strength, self.embedding_strength = strength, embedding_strength
        trunks = [backbone() for _ in tasks]
        self.private = nn.ModuleList(trunks)
        self.width, self.wide = trunks[0].width, trunks[0].wide

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each from its own trunk, and the penalty."""
        h = torch.stack([trunk(embedded.for_task(k)) for k, trunk in enumerate(self.private)], dim=1)
        penalty = h.new_zeros((), dtype=torch.float32)
        if self.strength:
            penalty = penalty + self.strength * self.distance()
        if self.embedding_strength and embedded.n_views > 1:
            rows = pairwise_distance(embedded.fields.float(), dim=1) / embedded.n_rows
            penalty = penalty + self.embedding_strength * rows
        representation = embedded.tensors() if embedded.n_views == 1 else ()
        return Shared(h, representation, penalty)

    def distance(self) -> Tensor:
        """Σ_{k<l} ||θ_k - θ_l||² over the trunks, a scalar."""
        groups = zip(*(trunk.parameters() for trunk in self.private), strict=True)
        distances = [pairwise_distance(torch.stack(group), dim=0) for group in groups]
        # A factorisation without MLP has no parameters in its trunk.
        return torch.stack(distances).sum() if distances else torch.zeros(())


def pairwise_distance(tensor: Tensor, dim: int) -> Tensor:
    """Sum of squared distances between all pairs along a dimension, by K Σ_k ||a_k - mean||², which cancels nothing.

    Example:
        >>> pairwise_distance(torch.tensor([[0.0], [2.0], [4.0]]), dim=0)  # 4 + 16 + 4
        tensor(24.)
    """
    return tensor.shape[dim] * (tensor - tensor.mean(dim, keepdim=True)).pow(2).sum()
