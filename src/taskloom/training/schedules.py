"""Learning-rate schedules by step."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from taskloom.ranges import NonNegativeInt, Share


def constant(optimizer: Optimizer, total_steps: int, warmup_steps: NonNegativeInt = 0) -> LambdaLR:
    """The learning rate of the config throughout, after a linear warm-up.

    Args:
        optimizer: whose learning rate it is.
        total_steps: of the training; not needed here.
        warmup_steps: over which the rate rises from near zero.
    """
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (warmup_steps + 1)))


def cosine(optimizer: Optimizer, total_steps: int, warmup_steps: NonNegativeInt = 0, final: Share = 0.0) -> LambdaLR:
    r"""Half a cosine from the learning rate of the config down to a share of it.

    .. math:: \eta_t = \eta \big( f + (1 - f) \tfrac{1}{2} (1 + \cos \pi t / T) \big)

    Source: Loshchilov & Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts". Deviation: no restart.

    Args:
        optimizer: whose learning rate it is.
        total_steps: T, the most steps that the training can take.
        warmup_steps: over which the rate rises from near zero.
        final: f, the share that is left at the end.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)
