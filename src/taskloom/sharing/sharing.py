"""Sharing: how tasks share a backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded
from taskloom.features.features import Views
from taskloom.tasks import Task


@dataclass
class Shared:
    """What a sharing scheme makes of a batch.

    Args:
        h: (B, K, R), what each task's head reads; its leading ``wide`` channels are the wide part.
        representation: tensors that every path from a shared parameter to a loss crosses, each path one of them
            once: what is read by shared and by private modules alike stands here as ``cut(tensor)``, which the
            private ones read.
        penalty: scalar Ω, added to the loss after balancing.
    """

    h: Tensor
    representation: tuple[Tensor, ...]
    penalty: Tensor


def cut(tensor: Tensor) -> Tensor:
    """The same numbers as a node of their own, whose gradient is that of its own readers alone.

    Example:
        >>> import torch
        >>> x = torch.tensor(1.0, requires_grad=True)
        >>> y = cut(x)
        >>> torch.autograd.grad(2 * x + 3 * y, [x, y])
        (tensor(5.), tensor(3.))
    """
    return tensor.view_as(tensor)


class Sharing(nn.Module):
    """Embedded to Shared. A scheme is one file with one subclass.

    Nothing of a batch is kept on the module. Parameters in ``self.private[k]`` are task k's own, all others are
    shared.

    Args:
        backbone: builds one backbone; called as often as the scheme needs.
        tasks: the K tasks, in order.
    """

    #: which of ``features.views`` the scheme can read
    views: ClassVar[tuple[Views, ...]] = ("shared",)
    #: True where what a task loses also moves the embeddings of another task's view
    mixes_views: ClassVar[bool] = False
    #: True where it makes no sense without a scenario (``data.prior``)
    reads_prior: ClassVar[bool] = False
    #: True where no parameter and no penalty joins two tasks, so that each may be clipped and stopped by itself
    independent: ClassVar[bool] = False
    private: nn.ModuleList

    def __init__(self, backbone: BackboneFactory, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    #: R and how many of its leading channels are the wide part (see Backbone)
    width: int
    wide: int
    #: d, where the last 2d channels of every h are a vector of the user alone and one of the item alone (see Backbone)
    sides: int = 0

    @classmethod
    def check_views(cls, views: Views) -> None:
        """Whether the scheme can read what the features give.

        Raises:
            ConfigError: it cannot.
        """
        if views not in cls.views:
            raise ConfigError(
                f"features.views={views} does not fit {cls.__name__}, which reads {' or '.join(cls.views)}; "
                f"set features.views={cls.views[0]}"
            )

    @classmethod
    def check_tasks(cls, tasks: Sequence[Task], arguments: Mapping[str, Any]) -> None:
        """Whether the scheme makes sense for these tasks; said before any data is read.

        Args:
            tasks: the K tasks, in order.
            arguments: the scheme's other arguments, as the config has them.

        Raises:
            ConfigError: it makes none; the message says why, and what to choose instead.
        """

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), representation and penalty."""
        raise NotImplementedError

    def compose(self, raw: list[Tensor]) -> list[Tensor]:
        """Joins the heads' outputs before the loss, for chains of probabilities; leaves them alone by default.

        Args:
            raw: (B, n_raw) of each task.
        """
        return raw

    def calibration(self, raw: list[Tensor], n_rows: float) -> Tensor | None:
        """A penalty on what the heads say together, part of Ω; None by default.

        Args:
            raw: (B, n_raw) of each task, composed.
            n_rows: what a mean over the batch's rows divides by (see Embedded).
        """
        return None

    def owner(self, name: str) -> int | None:
        """The task that alone uses a parameter, by the parameter's name here; None where it is shared."""
        parts = name.split(".")
        return int(parts[1]) if parts[0] == "private" else None
