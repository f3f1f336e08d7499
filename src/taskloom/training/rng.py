"""The state of the random number generators, for resumption that is bit-equal, dropout included."""

import random
from typing import Any

import torch


def rng_state() -> dict[str, Any]:
    """State of Python's and torch's generators, in plain containers and tensors."""
    version, internal, gauss = random.getstate()
    state: dict[str, Any] = {"python": [version, list(internal), gauss], "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Restores what ``rng_state`` gave.

    Example:
        >>> before = rng_state()
        >>> drawn = torch.rand(3), random.random()
        >>> set_rng_state(before)
        >>> bool((torch.rand(3) == drawn[0]).all()), random.random() == drawn[1]
        (True, True)
    """
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
