"""AITM: each task hands what it knows to the next of its chain."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import Backbone, BackboneFactory, beside
from taskloom.backbones.layers import dense_layer, softmax
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded, View
from taskloom.ranges import NonNegative
from taskloom.sharing.chain import check_chosen, cut_view, places_of_parents, top_down
from taskloom.sharing.experts import mix
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task


class Transfer(nn.Module):
    """Attention over what a task reads itself and what the one before hands over.

    Args:
        width: W of both, and of what comes out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hand_over = dense_layer(width, width, dropout=0.0)
        self.value, self.key, self.query = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, before: Tensor, own: Tensor) -> Tensor:
        """z of the task before (B, W) and q of this one (B, W) to its z (B, W)."""
        both = torch.stack([self.hand_over(before), own], dim=1)
        match = (self.key(both) * self.query(both)).sum(2) / both.shape[2] ** 0.5
        return mix(softmax(match), self.value(both))


class Link(nn.Module):
    """A task's network, and its transfer where a task comes before it.

    Args:
        trunk: the network.
        receives: whether a task comes before.
    """

    def __init__(self, trunk: Backbone, receives: bool) -> None:
        super().__init__()
        self.trunk = trunk
        # A backbone without anything deep has nothing to hand over.
        self.transfer = Transfer(trunk.deep) if receives and trunk.deep else None

    def forward(self, view: View, before: Tensor | None) -> Tensor:
        """A view and h of the task before (B, R), or None, to h (B, R)."""
        h = self.trunk(view)
        if self.transfer is None or before is None:
            return h
        wide = self.trunk.wide
        return beside(h[:, :wide] if wide else None, self.transfer(before[:, wide:], h[:, wide:]))


class AITM(Sharing):
    r"""Every task has a network over shared embeddings and takes from the task before it what it finds of use.

    .. math:: z_1 = q_1, \qquad p_k = g_k(z_{k-1}), \qquad
              z_k = \sum_{u \in \{p_k, q_k\}} w_u\, h_1(u), \quad
              w_u = \operatorname{softmax}_u \frac{\langle h_2(u), h_3(u) \rangle}{\sqrt W}

    with q_k what the network of task k makes of x, g_k a layer with ReLU, and h_1, h_2, h_3 linear and each task's own.
    The calibrator, part of Ω, keeps a step of the chain from being likelier than the one before it:

    .. math:: \Omega = \frac{\alpha}{B} \sum_b \sum_k \max(\hat y_{bk} - \hat y_{b,k-1}, 0)

    over the pairs of which both are binary. Other kinds hand over and take, too. The network of a task with followers
    learns from their losses, too.

    Source: Xi et al. 2021, "Modeling the Sequential Dependence among Audience Multi-step Conversions with Multi-task
    Learning in Targeted Display Advertising". Deviations: a task may have several followers, and others may stand
    beside the chain.

    Args:
        backbone: builds one task's network, View to (B, R). Called K times.
        tasks: the K tasks, in order.
        chain: names of tasks, first to last, each of which hands over to the next. None follows the tasks' parents.
        strength: α >= 0 of the calibrator; 0 leaves it out.

    Raises:
        ConfigError: no task comes before another, a parent is not among the tasks, or a chain that is not of these
            tasks.
    """

    def __init__(
        self, backbone: BackboneFactory, tasks: Sequence[Task], chain: Sequence[str] | None, strength: NonNegative
    ) -> None:
        super().__init__(backbone, tasks)
        self.strength = strength
        #: where the task before each stands, or None
        self.before = before(tasks, chain)
        self.order = top_down(tasks, self.before)
        links = [Link(backbone(), one is not None) for one in self.before]
        self.width, self.wide = links[0].trunk.width, links[0].trunk.wide
        # What hands over moves with its followers' losses.
        self.upstream = nn.ModuleDict({str(k): link for k, link in enumerate(links) if k in self.before})
        self.private = nn.ModuleList(nn.Identity() if k in self.before else link for k, link in enumerate(links))

    @classmethod
    def check_tasks(cls, tasks: Sequence[Task], arguments: Mapping[str, Any]) -> None:
        """Some task comes before another, and all that the chain names are there."""
        before(tasks, arguments.get("chain"))

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each from its own network and what came before."""
        view = embedded.shared()
        own = cut_view(view)
        handed: dict[int, Tensor] = {}
        rows: dict[int, Tensor] = {}
        for k in self.order:
            one = self.before[k]
            if k in self.before:
                handed[k] = self.upstream[str(k)](view, None if one is None else handed[one])
                rows[k] = cut(handed[k])
            else:
                rows[k] = self.private[k](own, None if one is None else rows[one])
        h = torch.stack([rows[k] for k in range(len(rows))], dim=1)
        read = (own.fields,) if own.history is None else (own.fields, own.history)
        return Shared(h, (*read, *(rows[k] for k in handed)), h.new_zeros(()))

    def calibration(self, raw: list[Tensor], n_rows: float) -> Tensor | None:
        """α times how much likelier than the step before the steps of the chain are, on the mean row; None without."""
        pairs = [(k, one) for k, one in enumerate(self.before) if one is not None]
        pairs = [pair for pair in pairs if all(self.tasks[k].kind == "binary" for k in pair)]
        if not pairs or not self.strength:
            return None
        wide = torch.promote_types(raw[0].dtype, torch.float32)
        excess = [(raw[k].to(wide).sigmoid() - raw[one].to(wide).sigmoid()).clamp_min(0).sum() for k, one in pairs]
        return self.strength * torch.stack(excess).sum() / n_rows


def before(tasks: Sequence[Task], chain: Sequence[str] | None) -> list[int | None]:
    """Where the task before each task stands, or None.

    Args:
        tasks: the K tasks.
        chain: names, first to last; None follows the tasks' parents.

    Raises:
        ConfigError: no task comes before another, a parent is not among the tasks, or a chain that is not of these
            tasks.

    Example:
        >>> click, buy, stay = Task("click", "binary"), Task("buy", "binary", parent="click"), Task("stay", "count")
        >>> before([click, buy, stay], None), before([click, buy, stay], ["stay", "click", "buy"])
        ([None, 0, None], [2, 0, None])
    """
    names = [task.name for task in tasks]
    if chain is None:
        children = [task for task in tasks if task.parent is not None]
        if not children:
            raise ConfigError(
                f"model: aitm hands over along a chain, and none of the tasks {', '.join(names)} has a parent: name "
                "the chain, as in model.chain=[<first>,<second>], or choose a model without one, such as mmoe"
            )
        for child in children:
            check_chosen(tasks, child, f"aitm hands over to {child.name} from its parent")
        found = places_of_parents(tasks)
        top_down(tasks, found)
        return found
    for name in chain:
        if name not in names:
            raise ConfigError(
                f"model.chain: {name} is none of the tasks that are trained, {', '.join(names)}; name others"
            )
        if list(chain).count(name) > 1:
            raise ConfigError(f"model.chain: {name} stands there twice; name each task once")
    if len(chain) < 2:
        raise ConfigError(
            f"model.chain: a chain has two tasks or more, got {len(chain)}; the tasks are {', '.join(names)}"
        )
    one_before = dict(zip(chain[1:], chain, strict=False))
    return [names.index(one_before[name]) if name in one_before else None for name in names]
