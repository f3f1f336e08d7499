"""The state of the random number generators, for resumption that is bit-equal, dropout included."""

import random
from hashlib import sha256
from typing import Any

import numpy as np
import torch


def rng_state() -> dict[str, Any]:
    """State of Python's and torch's generators, in plain containers and tensors."""
    version, internal, gauss = random.getstate()
    state: dict[str, Any] = {"python": [version, list(internal), gauss], "torch": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()  # of this process's device; asking others would take memory there
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
        cuda = state["cuda"]
        torch.cuda.set_rng_state((cuda[0] if isinstance(cuda, list) else cuda).cpu())  # older ones list all devices


def restore_rank(states: list[dict[str, Any]], rank: int) -> None:
    """Restores what each of several ranks had.

    On as many ranks as before each goes on with its own numbers, so that nothing differs from a run that was never
    stopped. On another number there is no such run: ranks that have a state keep it, and one that has none
    begins a sequence of its own, which depends on the states alone and so is the same in each resumption.

    Args:
        states: of each rank, in order.
        rank: of this process.
    """
    if rank < len(states):
        set_rng_state(states[rank])
    else:
        seed_rank(int(states[0]["torch"].sum()), rank)


def seed_rank(seed: int, rank: int) -> None:
    """Gives a rank random numbers of its own: the same in each run, and another sequence on each rank.

    Args:
        seed: of the run.
        rank: from 0.
    """
    drawn = int.from_bytes(sha256(f"{seed} on rank {rank}".encode()).digest()[:4], "little")
    random.seed(drawn)
    np.random.seed(drawn)
    torch.manual_seed(drawn)
