"""Meeting: where ranks find each other, tell each other what to train, and say why they failed."""

import builtins
import json
import time
import traceback
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from taskloom import errors
from taskloom.place import Place

#: a rank may wait as long as another one prepares data or scores a large test set; one that ends wakes the others
PATIENCE = timedelta(days=7)
LISTENING_SECONDS = 10.0
FAILURE, WORD, HEARD = "failure", "word", "heard"


class Meeting:
    """The store that all ranks of a job share, and the process group that they train in.

    Args:
        place: of this process.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.store = dist.TCPStore(
            place.address,
            place.port,
            is_master=place.rank == 0 and not place.hosted,
            wait_for_workers=False,
        )
        self.store.set_timeout(PATIENCE)
        self._joined = 0
        #: whether `tell` was called
        self.told = False

    def tell(self, word: Any) -> None:
        """Says something that JSON can say to all ranks, once, and waits a moment until they have heard it."""
        self.told = True
        self.store.set(WORD, json.dumps(word))
        # Where the store is ours, it ends with us, and with it what it holds.
        end = time.monotonic() + (0 if self.place.hosted else LISTENING_SECONDS)
        while self.store.add(HEARD, 0) < self.place.world - 1 and time.monotonic() < end:
            time.sleep(0.05)

    def hear(self) -> Any:
        """Waits for that.

        Returns:
            What was said; None where the first rank ended before it said anything.
        """
        try:
            word = json.loads(self.store.get(WORD))
            self.store.add(HEARD, 1)
            return word
        except dist.DistError:
            return None

    def join(self, device: torch.device) -> None:
        """Begins the process group.

        Args:
            device: of this rank.
        """
        if device.type == "cuda":
            torch.cuda.set_device(device)
        self._joined += 1  # what an earlier group left in the store must not be taken for this one's
        # What lies on the CPU, such as predictions, travels by gloo in either case.
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(
            backend,
            store=dist.PrefixStore(f"group {self._joined}", self.store),
            rank=self.place.rank,
            world_size=self.place.world,
            timeout=PATIENCE,
        )

    def leave(self) -> None:
        """Ends the process group, on all ranks at once; what comes then is each one's own."""
        dist.barrier()
        dist.destroy_process_group()

    def report(self, error: BaseException) -> None:
        """Says why this rank ends; the first to do so is heard."""
        said = json.dumps(
            {
                "kind": type(error).__name__,
                "text": str(error),
                "rank": self.place.rank,
                "trace": "".join(traceback.format_exception(error)),
            }
        )
        self.store.compare_set(FAILURE, "", said)


def failure(store: dist.Store) -> BaseException | None:
    """What the first rank that failed reported, as the exception that it was; None where none did."""
    if not store.check([FAILURE]):
        return None
    said = json.loads(store.get(FAILURE))
    kind: Any = getattr(errors, said["kind"], None) or getattr(builtins, said["kind"], None)
    try:
        error = kind(said["text"])
        assert isinstance(error, BaseException)
    except Exception:  # a class of a library, or one that wants more than a text
        error = RuntimeError(f"{said['kind']}: {said['text']}")
    error.__cause__ = _ElsewhereError(said["rank"], said["trace"])
    return error


class _ElsewhereError(Exception):
    """Where in another process an error was raised, for a traceback."""

    def __init__(self, rank: int, trace: str) -> None:
        super().__init__(f"on rank {rank}:\n{trace}")
