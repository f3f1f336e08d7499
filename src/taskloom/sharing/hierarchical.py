"""Hierarchical sharing: easy tasks supervise low levels, harder ones read them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded
from taskloom.sharing.chain import places_of_parents, top_down
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task

Hierarchy = Sequence[Sequence[str]]


class Level(nn.Module):
    """The stages of one level, which read x and what the level below says.

    Args:
        stages: layers, (B, X) to (B, W).
        width: X.
        below: W of the level below; None for the lowest.
    """

    def __init__(self, stages: Sequence[nn.Module], width: int, below: int | None) -> None:
        super().__init__()
        # An encoder without anything deep leaves nothing to be read.
        self.entry = nn.Linear(below, width, bias=False) if below and width else None
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor, below: Tensor | None) -> Tensor:
        """x (B, X) and the level below (B, W), or None, to (B, W)."""
        return self.stages(x if self.entry is None or below is None else x + self.entry(below))


class Hierarchical(Sharing):
    r"""Levels one on another: easy tasks supervise the low ones, harder tasks read the input and the level below.

    .. math:: h^1 = f_1(x), \qquad h^l = f_l(x + A_l h^{l-1}), \qquad h_k = h^{\,\mathrm{level}(k)}

    Each :math:`f_l` has all stages of the backbone; x is the output of the encoder, which all levels share. A level is
    moved by the losses of its own tasks and of all above it. The top level belongs to its task where there is one
    task on it.

    Source: Sanh et al. 2019, "A Hierarchical Multi-task Approach for Learning Embeddings from Semantic Tasks", after
    Hashimoto et al. 2017, "A Joint Many-Task Model". Deviations: a stage has one input width, so that a level adds
    what it reads below to x: where its first layer is linear with weights W, that is :math:`[x; h^{l-1}]` read with
    :math:`[W; W A_l]`. No embeddings of the lower tasks' predictions, no successive regularisation (Hashimoto): all
    levels learn at once.

    Args:
        backbone: builds one backbone. Called once a level; the first one's encoder serves all.
        tasks: the K tasks, in order.
        hierarchy: names of the tasks on each level, the lowest first. None follows the tasks' parents: a task stands
            one level above its parent, and lowest without one; where no task has its parent among the others, each
            gets a level of its own, in the order of the tasks.

    Raises:
        ConfigError: a hierarchy that is not one of these tasks, or has one level only.
    """

    def __init__(self, backbone: BackboneFactory, tasks: Sequence[Task], hierarchy: Hierarchy | None) -> None:
        super().__init__(backbone, tasks)
        #: places of the tasks on each level
        self.members = levels(tasks, hierarchy)
        made = [backbone() for _ in self.members]
        self.encoder, self.width, self.wide = made[0].encoder, made[0].width, made[0].wide
        ladder = [
            Level(list(one.stages), one.encoder.width, one.deep if level else None) for level, one in enumerate(made)
        ]
        self.top = self.members[-1][0] if len(self.members[-1]) == 1 else None
        self.private = nn.ModuleList(ladder.pop() if k == self.top else nn.Identity() for k in range(len(tasks)))
        self.ladder = nn.ModuleList(ladder)

    @classmethod
    def check_tasks(cls, tasks: Sequence[Task], arguments: Mapping[str, Any]) -> None:
        """The hierarchy is one of these tasks."""
        levels(tasks, arguments.get("hierarchy"))

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each from its level."""
        wide, x = self.encoder(embedded.shared())
        rows: list[Tensor | None] = [None] * len(self.tasks)
        representation: list[Tensor] = []
        below: Tensor | None = None
        for level, members in zip(self.ladder, self.members, strict=False):
            below = level(x, below)
            # Heads and a top level of one task are private: they read the level as a node of its own.
            representation.append(cut(beside(wide, below)))
            for k in members:
                rows[k] = representation[-1]
        if self.top is not None:
            below = representation[-1][:, self.wide :] if representation else None
            x, wide = cut(x), None if wide is None else cut(wide)
            representation += [x] if wide is None else [x, wide]
            rows[self.top] = beside(wide, self.private[self.top](x, below))
        h = torch.stack([row for row in rows if row is not None], dim=1)
        return Shared(h, tuple(representation), h.new_zeros(()))


def levels(tasks: Sequence[Task], hierarchy: Hierarchy | None) -> list[list[int]]:
    """The places of the tasks on each level, the lowest first.

    Args:
        tasks: the K tasks.
        hierarchy: names by level; None follows the parents, or without any the order.

    Raises:
        ConfigError: a hierarchy that is not one of these tasks, or has one level only.

    Example:
        >>> click, buy, stay = Task("click", "binary"), Task("buy", "binary", parent="click"), Task("stay", "count")
        >>> levels([buy, stay, click], None), levels([stay, click], None), levels([stay, click], [["click"], ["stay"]])
        ([[1, 2], [0]], [[0], [1]], [[1], [0]])
    """
    if hierarchy is not None:
        return _given(tasks, hierarchy)
    parents = places_of_parents(tasks)
    if not any(parent is not None for parent in parents):
        return [[k] for k in range(len(tasks))]
    depth: dict[int | None, int] = {None: -1}
    for k in top_down(tasks, parents):
        depth[k] = depth[parents[k]] + 1
    return [[k for k in range(len(tasks)) if depth[k] == level] for level in range(max(depth.values()) + 1)]


def _given(tasks: Sequence[Task], hierarchy: Hierarchy) -> list[list[int]]:
    names = [task.name for task in tasks]
    listed = [name for level in hierarchy for name in level]
    have = f"the tasks are {', '.join(names)}"
    for name in listed:
        if name not in names:
            raise ConfigError(f"model.hierarchy: {name} is none of the tasks that are trained; {have}")
        if listed.count(name) > 1:
            raise ConfigError(f"model.hierarchy: {name} stands there twice; name each task once; {have}")
    if missing := [name for name in names if name not in listed]:
        them = "it" if len(missing) == 1 else "them"
        raise ConfigError(f"model.hierarchy: no level has {', '.join(missing)}; put {them} on one; {have}")
    if not all(hierarchy):
        raise ConfigError(f"model.hierarchy: a level has no task; leave it out, or put one there; {have}")
    if len(hierarchy) == 1:
        raise ConfigError(
            f"model.hierarchy: all tasks stand on one level, which is hard sharing; {have}: part them, as in "
            f"model.hierarchy=[[{names[0]}],[{','.join(names[1:]) or '...'}]], or choose model=hard_sharing"
        )
    return [[names.index(name) for name in level] for level in hierarchy]
