"""Method: what a training step is, and which phases a training has."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from taskloom.schema import Batch

if TYPE_CHECKING:
    from taskloom.module import MultiTaskModule


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Args:
        name: for logs and for the checkpoint.
        epochs: at most; the best epoch may come earlier.
        trained: a regular expression over parameter names; what it does not match stands still.
    """

    name: str
    epochs: int
    trained: str = ".*"


@dataclass
class StepResult:
    """What a step gives to the balancer.

    Args:
        losses: (K,), reduced.
        counts: (K,), labels behind each over all ranks.
        extra: scalar, enters the sum as it is, unbalanced: Ω and what the method adds.
        representation: of the shared layers, for balancers that look at gradients.
    """

    losses: Tensor
    counts: Tensor
    extra: Tensor
    representation: tuple[Tensor, ...] = ()


class Method(nn.Module):
    """What a training step is. A method is one file with one subclass; its buffers are part of a checkpoint."""

    def phases(self) -> tuple[Phase, ...]:
        """The phases, in order."""
        raise NotImplementedError

    def prepare(self, module: "MultiTaskModule") -> None:
        """Called once, when the module is complete and before its weights are restored."""

    def step(self, module: "MultiTaskModule", batch: Batch) -> StepResult:
        """Losses of one batch."""
        raise NotImplementedError

    def after_step(self, module: "MultiTaskModule") -> None:
        """Called after each optimiser step."""
