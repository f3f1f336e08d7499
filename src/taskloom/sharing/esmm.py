"""ESMM: probabilities multiplied along a chain of tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded
from taskloom.sharing.chain import check_chosen, cut_view, places_of_parents, top_down
from taskloom.sharing.sharing import Shared, Sharing
from taskloom.tasks import Task


class ESMM(Sharing):
    r"""Every task has a network over shared embeddings; a binary child is only ever as likely as its parent.

    .. math:: p(\text{child}) = p(\text{parent})\; p(\text{child} \mid \text{parent})

    The head of a binary task with a parent says :math:`p(\text{child} \mid \text{parent})`. Its loss and its
    predictions are those of the product, the probability over all rows, which its labels must therefore cover: 0 where
    the parent did not happen (``purchase``, and not ``purchase_given_click``, whose rows are clicked ones only). So the
    conditional is learnt without the bias of a sample of clicked rows. Chains may be as long as they like; children of
    other kinds keep their own heads.

    With logits a of the parent and b of the conditional, the product has the logit

    .. math:: \log p - \log (1 - p) = -\log \big( e^{-a} + e^{-b} + e^{-a-b} \big)

    which is finite and exact wherever a + b is, and at most a.

    The parent's network and head learn from the losses of the children, too. A child begins at the product of both
    base rates, too low by that of the parent; nothing corrects that, since the first epoch does.

    Source: Ma et al. 2018, "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion
    Rate". Deviations: chains and trees of any length; other tasks beside the chain.

    Args:
        backbone: builds one task's network, View to (B, R). Called K times.
        tasks: the K tasks, in order.

    Raises:
        ConfigError: no task has a binary parent, or a binary task's parent is not binary or not among the tasks.
    """

    def __init__(self, backbone: BackboneFactory, tasks: Sequence[Task]) -> None:
        super().__init__(backbone, tasks)
        self.check_tasks(tasks, {})
        #: whose probability each task's is multiplied by
        self.parents = _parents(tasks)
        self.order = top_down(tasks, self.parents)
        trunks = [backbone() for _ in tasks]
        self.width, self.wide = trunks[0].width, trunks[0].wide
        self.sides = trunks[0].sides
        # What a parent has moves with its children's losses.
        self.upstream = nn.ModuleDict({str(k): trunk for k, trunk in enumerate(trunks) if k in self.parents})
        self.private = nn.ModuleList(nn.Identity() if k in self.parents else trunk for k, trunk in enumerate(trunks))

    @classmethod
    def check_tasks(cls, tasks: Sequence[Task], arguments: Mapping[str, Any]) -> None:
        """Every binary task's parent is there and binary, and there is such a task."""
        kinds = {task.name: task.kind for task in tasks}
        children = [task for task in tasks if task.kind == "binary" and task.parent is not None]
        if not children:
            raise ConfigError(
                f"model: esmm multiplies probabilities along a chain, and none of the tasks {', '.join(kinds)} is "
                "binary and has a parent: name one, as in +data.tasks.<task>.parent=<its parent>, or choose a model "
                "without a chain, such as mmoe"
            )
        for child in children:
            check_chosen(tasks, child, f"esmm multiplies the probability of {child.name} by that of its parent")
            kind = kinds[str(child.parent)]
            if kind != "binary":
                raise ConfigError(
                    f"model: esmm multiplies the probability of {child.name} by that of its parent, and "
                    f"{child.parent} is of kind {kind}, which has none: set data.tasks.{child.name}.parent to a binary "
                    "task or to null, or choose a model without a chain of probabilities, such as aitm"
                )
        top_down(tasks, _parents(tasks))

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each from its own network."""
        view = embedded.shared()
        own = cut_view(view)
        rows = [self.private[k](own) if k not in self.parents else None for k in range(len(self.tasks))]
        shared = {k: self.upstream[str(k)](view) for k, row in enumerate(rows) if row is None}
        h = torch.stack([shared[k] if row is None else row for k, row in enumerate(rows)], dim=1)
        read = (own.fields,) if own.history is None else (own.fields, own.history)
        return Shared(h, (*read, *shared.values()), h.new_zeros(()))

    def compose(self, raw: list[Tensor]) -> list[Tensor]:
        """Logits (B, 1) of the children as those of the products; all else as it is."""
        composed = list(raw)
        for k in self.order:
            parent = self.parents[k]
            if parent is not None:
                composed[k] = joint_logit(composed[parent], raw[k])
        return composed


def _parents(tasks: Sequence[Task]) -> list[int | None]:
    places = places_of_parents(tasks)
    return [place if task.kind == "binary" else None for task, place in zip(tasks, places, strict=True)]


def joint_logit(parent: Tensor, conditional: Tensor) -> Tensor:
    """The logit of σ(parent) σ(conditional), in float32 or better, never above either of the two.

    Args:
        parent: logits of any shape.
        conditional: logits of the same shape.

    Example:
        >>> joint_logit(torch.tensor([0.0, -2e4, 90.0]), torch.tensor([0.0, -3e4, 2.0]))
        tensor([-1.0986e+00, -5.0000e+04,  2.0000e+00])
    """
    a, b = (-logit.to(torch.promote_types(logit.dtype, torch.float32)) for logit in (parent, conditional))
    terms = torch.stack([a, b, a + b])
    # Not logsumexp, whose gradient is off by the rounding of its result, which is large where logits are.
    largest = terms.detach().amax(0)
    return -(largest + (terms - largest).exp().sum(0).log())
