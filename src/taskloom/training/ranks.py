"""Starts the ranks of a job as processes of their own, watches over them, and says why one of them ended."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from taskloom.errors import RunError
from taskloom.place import Place, alone
from taskloom.training.meeting import failure
from taskloom.training.rank import STOP, TOLD

HOST = "127.0.0.1"
POLL_SECONDS = 0.05
#: what a rank gets to end by itself when another one has; then to end its W&B run; then it is killed
GRACE_SECONDS, LAST_SECONDS = 3.0, 15.0


def processes(trainer: Mapping[str, Any]) -> int:
    """How many ranks train a job.

    Args:
        trainer: the config's section; of older runs, which knew one process alone, ``strategy`` may be missing.
    """
    if trainer.get("strategy", "single") == "single":
        return 1
    devices = trainer["devices"]
    if devices == "auto":
        devices = max(1, torch.cuda.device_count() if trainer["accelerator"] != "cpu" else 1)
    return int(devices) * int(trainer["num_nodes"])


def train_on_ranks(folder: Path, world: int, lock: int, threads: int | None) -> None:
    """Trains the run of a folder on so many processes of this machine, and waits for their end.

    The first rank speaks on our terminal and writes into the folder. All of them end when this process does, in
    whatever way, and hold the folder's lock as long as they live.

    Args:
        folder: of the run, which holds a run.json.
        world: number of ranks.
        lock: descriptor of the folder's lock.
        threads: of the CPU, that a rank may use; None divides those there are.

    Raises:
        RunError: a rank was killed, or ended without a word.
        BaseException: what ended the first rank that failed.
    """
    store = dist.TCPStore(HOST, 0, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory() as scratch, _terminated():
        ranks: list[_Rank] = []
        try:
            for number in range(world):
                place = Place(number, world, number, world, HOST, store.port, True, "us")
                ranks.append(_Rank(place, folder, lock, Path(scratch), threads))
            _wait(ranks)
            _raise_failure(ranks, store)
        finally:
            _stop(ranks)


class _Rank:
    """One process; it reads its standard input, which closes when we end, and ends too."""

    def __init__(self, place: Place, folder: Path, lock: int, scratch: Path, threads: int | None) -> None:
        self.place = place
        self.complaints = scratch / f"{place.rank}.txt"
        first = place.rank == 0
        with contextlib.ExitStack() as opened:
            stderr = None if first else opened.enter_context(self.complaints.open("wb"))
            # A Ctrl-C reaches all processes of a terminal: the ranks leave it to us.
            opened.enter_context(_blocked(signal.SIGINT))
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "taskloom.training.rank", str(folder)],
                env=_environ(place, threads),
                stdin=subprocess.PIPE,
                stdout=None if first else subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(lock,),
            )

    @property
    def code(self) -> int | None:
        """How it ended; None as long as it runs."""
        return self.process.poll()

    def ask_to_stop(self) -> None:
        """Lets it end its W&B run and itself."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(STOP)
            self.process.stdin.flush()


def _environ(place: Place, threads: int | None) -> dict[str, str]:
    """What a rank sees: our environment, without what others may have said in it of ranks."""
    environ = alone(os.environ)
    source = str(Path(__file__).resolve().parents[2])
    environ["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [environ.get("PYTHONPATH")])])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environ.setdefault("OMP_NUM_THREADS", str(threads or max(1, cores // place.world)))
    environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if sys.platform == "linux":  # the machine's own name may lead nowhere
        environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return environ | place.environ()


def _wait(ranks: list[_Rank]) -> None:
    """Until all have ended well or one has not; then, shortly, for what the others have to say."""
    while all(rank.code in (None, 0) for rank in ranks):
        if all(rank.code == 0 for rank in ranks):
            return
        time.sleep(POLL_SECONDS)
    _until(ranks, GRACE_SECONDS)


def _until(ranks: list[_Rank], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(rank.code is None for rank in ranks):
        time.sleep(POLL_SECONDS)


def _raise_failure(ranks: list[_Rank], store: dist.Store) -> None:
    if all(rank.code == 0 for rank in ranks):
        return
    # Who is killed says nothing, and the others then complain of the silence.
    silent = [rank for rank in ranks if rank.code not in (None, 0, TOLD)]
    said = failure(store)
    if said is not None and not silent:
        raise said
    rank = (silent or [rank for rank in ranks if rank.code])[0]
    if rank.complaints.exists():
        print("".join(rank.complaints.read_text(errors="replace").splitlines(True)[-20:]), file=sys.stderr, end="")
    raise RunError(f"{rank.place.name} ended: {_how(rank.code or 0)}")


def _how(code: int) -> str:
    if code > 0:
        return f"exit code {code}"
    why = ", as when memory runs out" if -code == signal.SIGKILL else ""
    return f"signal {-code} ({signal.Signals(-code).name}{why})"


def _stop(ranks: list[_Rank]) -> None:
    """Ends those that are left; the first one, which has the W&B run, after that."""
    try:
        for rank in ranks:
            if rank.code is None and rank.place.rank > 0:
                rank.process.kill()
        for rank in ranks[:1]:
            if rank.code is None:
                rank.ask_to_stop()
                _until([rank], LAST_SECONDS)
    finally:
        for rank in ranks:
            if rank.code is None:
                rank.process.kill()
            rank.process.wait()
            assert rank.process.stdin is not None
            with contextlib.suppress(OSError):
                rank.process.stdin.close()


@contextlib.contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Puts a signal off, for this thread and for what it starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """A SIGTERM ends what is under way as Ctrl-C does, where nobody has made other arrangements."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
