"""Soft parameter sharing: trunks of their own, drawn together by a penalty."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import MinLen
from torch import Tensor, nn

from taskloom.backbones.backbone import Backbone, BackboneFactory
from taskloom.errors import ConfigError
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
    that a batch looks up, where each task has embeddings of its own (``features.views=per_task``). With
    ``penalty=trace_norm`` the first sum is instead

    .. math:: \lambda \sum_j \big\lVert [\mathrm{vec}\,\theta_1^j \dots \mathrm{vec}\,\theta_K^j] \big\rVert_*

    over the layers j: the sum of the singular values, which is small where the K layers are combinations of few.

    Source: Duong et al. 2015, "Low Resource Dependency Parsing: Cross-lingual Parameter Sharing in a Neural
    Network Parser"; Yang & Hospedales 2017, "Trace Norm Regularised Deep Multi-Task Learning" (last axis
    flattening). Deviations: the penalty on looked-up rows, which for tables is what λ is for trunks; a layer's bias
    stands in one matrix with its weights.

    Args:
        backbone: builds one trunk, View to (B, R). Called K times.
        tasks: the K tasks, in order.
        strength: λ >= 0. 0 leaves the tasks alone; as λ grows, l2 makes the trunks one, and the trace norm makes
            them multiples of one and then takes them to zero.
        embedding_strength: μ >= 0, for the embedding rows of fields, not of earlier events; always the squared
            distance.
        penalty: ``l2``, the squared distance, or ``trace_norm``.
        layers: of the trunk, those that λ draws together: ``encoder``, and the stages by number from 0; null takes
            all.

    Raises:
        ConfigError: a layer that the backbone does not have.
    """

    views: ClassVar[tuple[Views, ...]] = ("per_task", "shared")

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        strength: NonNegative,
        embedding_strength: NonNegative = 0.0,
        penalty: Literal["l2", "trace_norm"] = "l2",
        layers: Annotated[Sequence[str | int], MinLen(1)] | None = None,
    ) -> None:
        super().__init__(backbone, tasks)
        self.strength, self.embedding_strength, self.kind = strength, embedding_strength, penalty
        trunks = [backbone() for _ in tasks]
        self.private = nn.ModuleList(trunks)
        self.width, self.wide, self.sides = trunks[0].width, trunks[0].wide, trunks[0].sides
        there = list(layers_of(trunks[0]))
        self.drawn = there if layers is None else [str(name) for name in layers]
        for name in self.drawn:
            if name not in there:
                raise ConfigError(f"model.layers: the backbone has no layer {name}; choose among {', '.join(there)}")

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each from its own trunk, and the penalty."""
        h = torch.stack([trunk(embedded.for_task(k)) for k, trunk in enumerate(self.private)], dim=1)
        penalty = h.new_zeros((), dtype=torch.float32)
        if self.strength:
            penalty = penalty + self.strength * (self.distance() if self.kind == "l2" else self.trace_norm())
        if self.embedding_strength and embedded.n_views > 1:
            fields = embedded.fields.to(torch.promote_types(embedded.fields.dtype, torch.float32))
            penalty = penalty + self.embedding_strength * pairwise_distance(fields, dim=1) / embedded.n_rows
        representation = embedded.tensors() if embedded.n_views == 1 else ()
        return Shared(h, representation, penalty)

    def distance(self) -> Tensor:
        """Σ_{k<l} ||θ_k - θ_l||² over the layers that are drawn together, a scalar."""
        distances = [pairwise_distance(stacked, dim=0) for layer in self._stacked() for stacked in layer]
        # A factorisation without MLP has no parameters in its trunk.
        return torch.stack(distances).sum() if distances else torch.zeros(())

    def trace_norm(self) -> Tensor:
        """Σ_j ||[vec θ_1^j ... vec θ_K^j]||_* over the layers that are drawn together, a scalar."""
        layers = [torch.cat([stacked.flatten(1) for stacked in layer], dim=1) for layer in self._stacked() if layer]
        return torch.stack([trace_norm(layer) for layer in layers]).sum() if layers else torch.zeros(())

    def _stacked(self) -> list[list[Tensor]]:
        """The parameters of each layer that is drawn together, those of the K trunks stacked: (K, ...)."""
        trunks = [layers_of(trunk) for trunk in self.private]  # type: ignore[arg-type]
        return [
            [torch.stack(group) for group in zip(*(trunk[name].parameters() for trunk in trunks), strict=True)]
            for name in self.drawn
        ]


def layers_of(trunk: Backbone) -> dict[str, nn.Module]:
    """The layers of a trunk by name: ``encoder``, and the stages by number from 0."""
    return {"encoder": trunk.encoder, **{str(i): stage for i, stage in enumerate(trunk.stages)}}


def pairwise_distance(tensor: Tensor, dim: int) -> Tensor:
    """Sum of squared distances between all pairs along a dimension, by K Σ_k ||a_k - mean||², which cancels nothing.

    Example:
        >>> pairwise_distance(torch.tensor([[0.0], [2.0], [4.0]]), dim=0)  # 4 + 16 + 4
        tensor(24.)
    """
    return tensor.shape[dim] * (tensor - tensor.mean(dim, keepdim=True)).pow(2).sum()


def trace_norm(matrix: Tensor) -> Tensor:
    """Sum of the singular values of a matrix (K, P) of few rows, with the smallest of its subgradients.

    Where trunks coincide, some singular values are zero and their singular vectors arbitrary; with those,
    as ``svdvals`` has it, the gradient would drive the trunks apart in a direction of no meaning. Here
    such a direction is left alone.

    Example:
        >>> trace_norm(torch.tensor([[3.0, 4.0], [3.0, 4.0]]))  # two equal rows: sqrt(2) times the norm of one
        tensor(7.0711)
    """
    with torch.no_grad():
        # The Gramian squares the singular values: only in double precision the small ones of float32 are left in it.
        m = matrix.double()
        vectors = torch.linalg.eigh(m @ m.T).eigenvectors
        turned = vectors.T @ m  # orthogonal rows, whose norms are the singular values
        values = turned.norm(dim=1)
        inverse = torch.where(values > 1e-12 * values.max(), 1 / values, 0.0)
        gradient = (vectors * inverse) @ turned
    # Of the same value as the norm, since the sum of <gradient, matrix> is that of the singular values.
    return (gradient.to(torch.promote_types(matrix.dtype, torch.float32)) * matrix).sum()
