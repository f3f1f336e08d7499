"""Cross-stitch networks: trunks of their own, whose layers read mixtures of each other's outputs."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.features.embedded import Embedded
from taskloom.features.features import Views
from taskloom.ranges import Share
from taskloom.sharing.sharing import Shared, Sharing
from taskloom.tasks import Task


class CrossStitch(Sharing):
    r"""Every task has a trunk of its own; after each stage it goes on with a learnt mixture of all tasks' outputs.

    .. math:: \tilde x_k^j = \sum_l \alpha_{kl}^j \, x_l^j, \qquad x_k^{j+1} = f_k^{j+1}(\tilde x_k^j)

    where x_k^j is the output of task k's stage j. Its head reads the last mixture, and its own wide part beside it.
    With the identity for α the tasks are single tasks, where views are equal.

    Source: Misra et al. 2016, "Cross-stitch Networks for Multi-task Learning". Deviations: one α a layer, unless
    ``per_channel``, as the paper's experiments have it; a backbone without stages has its encoder's output mixed.
    The paper gives α a learning rate of its own, which is ``parameter_groups.mixing`` in the config.

    The last row of α that a task reads is its own; all other parameters, the trunks' too, are moved by all losses.

    Args:
        backbone: builds one trunk, View to (B, R). Called K times.
        tasks: the K tasks, in order.
        initial: α_kk at the beginning; the other tasks share the rest of 1.
        per_channel: whether each channel of a layer has an α of its own.
    """

    views: ClassVar[tuple[Views, ...]] = ("per_task", "shared")
    mixes_views: ClassVar[bool] = True

    def __init__(self, backbone: BackboneFactory, tasks: Sequence[Task], initial: Share, per_channel: bool) -> None:
        super().__init__(backbone, tasks)
        trunks = [backbone() for _ in tasks]
        self.trunks = nn.ModuleList(trunks)
        self.width, self.wide = trunks[0].width, trunks[0].wide
        alpha = first_mixture(len(tasks), initial)
        alphas = [
            alpha.unsqueeze(2).repeat(1, 1, width) if per_channel else alpha.clone()
            for width in trunks[0].widths or (trunks[0].encoder.width,)
        ]
        self.alpha = nn.ParameterList(alphas[:-1])
        self.private = nn.ModuleList(nn.ParameterDict({"alpha": row.clone()}) for row in alphas[-1])

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R)."""
        read = [trunk.encoder(embedded.for_task(k)) for k, trunk in enumerate(self.trunks)]  # type: ignore[operator]
        wides, xs = [wide for wide, _ in read], [x for _, x in read]
        for j, stages in enumerate(zip(*(trunk.stages for trunk in self.trunks), strict=True)):
            if j > 0:
                xs = list(stitch(self.alpha[j - 1], torch.stack(xs)).unbind(0))
            xs = [stage(x) for stage, x in zip(stages, xs, strict=True)]
        outputs = torch.stack(xs)
        alpha = torch.stack([own["alpha"] for own in self.private])  # type: ignore[index]
        mixed = stitch(alpha, outputs)
        h = torch.stack([beside(wide, x) for wide, x in zip(wides, mixed.unbind(0), strict=True)], dim=1)
        return Shared(h, (outputs, *(wide for wide in wides if wide is not None)), h.new_zeros(()))


def first_mixture(n: int, initial: float) -> Tensor:
    """An α to begin with: ``initial`` on the diagonal, the rest of 1 in equal parts beside it.

    Example:
        >>> first_mixture(3, 0.8)
        tensor([[0.8000, 0.1000, 0.1000],
                [0.1000, 0.8000, 0.1000],
                [0.1000, 0.1000, 0.8000]])
    """
    if n == 1:
        return torch.ones(1, 1)
    return torch.full((n, n), (1 - initial) / (n - 1)).fill_diagonal_(initial)


def stitch(alpha: Tensor, x: Tensor) -> Tensor:
    """Mixtures of the tasks' outputs.

    Args:
        alpha: (N, K), or (N, K, W) with a mixture for each channel.
        x: (K, B, W).

    Returns:
        (N, B, W), of x's type.
    """
    alpha = alpha.to(x.dtype)
    if alpha.dim() == 2:
        return (alpha @ x.flatten(1)).view(len(alpha), *x.shape[1:])
    return torch.stack([(row.unsqueeze(1) * x).sum(0) for row in alpha])
