"""Supervised learning: every labelled row counts, all tasks at once."""

from typing import TYPE_CHECKING

from taskloom.methods.method import Method, Phase, StepResult
from taskloom.ranges import PositiveInt
from taskloom.schema import Batch

if TYPE_CHECKING:
    from taskloom.module import MultiTaskModule


class Supervised(Method):
    r"""The joint objective on the labels that there are.

    .. math:: \sum_k w_k L_k(y, f_k(x; \varphi, \theta_k)) + \Omega(\varphi, \theta)

    Args:
        epochs: at most; the best one on validation is kept.

    Example:
        >>> Supervised(epochs=3).phases()
        (Phase(name='supervised', epochs=3, trained='.*'),)
    """

    def __init__(self, epochs: PositiveInt) -> None:
        super().__init__()
        self.epochs = epochs

    def phases(self) -> tuple[Phase, ...]:
        """One phase that trains all."""
        return (Phase("supervised", self.epochs),)

    def step(self, module: "MultiTaskModule", batch: Batch) -> StepResult:
        """The tasks' losses on their labelled rows, and Ω."""
        output = module(batch)
        losses, counts = module.losses(output.raw, batch)
        return StepResult(losses, counts, output.penalty, output.representation)
