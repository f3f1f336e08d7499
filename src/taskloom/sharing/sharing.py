"""Sharing: how tasks share a backbone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

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
        h: (B, K, R), what each task's head reads.
        representation: tensors that every path from a shared parameter to a loss crosses.
        penalty: scalar Ω, added to the loss after balancing.
    """

    h: Tensor
    representation: tuple[Tensor, ...]
    penalty: Tensor


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
    #: True where no parameter and no penalty joins two tasks, so that each may be clipped and stopped by itself
    independent: ClassVar[bool] = False
    private: nn.ModuleList

    def __init__(self, backbone: BackboneFactory, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    #: R and how many of its leading channels are the wide part (see Backbone)
    width: int
    wide: int

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

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), representation and penalty."""
        raise NotImplementedError

    def compose(self, raw: list[Tensor]) -> list[Tensor]:
        """Joins the heads' outputs before the loss, for chains of probabilities; leaves them alone by default.

        Args:
            raw: (B, n_raw) of each task.
        """
        return raw

    def owner(self, name: str) -> int | None:
        """The task that alone uses a parameter, by the parameter's name here; None where it is shared."""
        parts = name.split(".")
        return int(parts[1]) if parts[0] == "private" else None
