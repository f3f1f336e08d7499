"""One rank of a job: ``python -m taskloom.training.rank <run folder>``, or a process that torchrun or srun started."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taskloom.errors import ConfigError
from taskloom.place import Place

if TYPE_CHECKING:
    from taskloom.training.meeting import Meeting

#: the word by which a rank is asked to end
STOP = b"stop\n"
#: the exit code of a rank that has said why it failed, or that another one was first to say so
TOLD = 77
#: where this process meets others that torchrun or srun started with it
_meeting: "Meeting | None" = None


def meeting() -> "Meeting | None":
    """Where this process, the first of several that somebody else started, meets the others."""
    return _meeting


def together(place: Place, command: str, argv: Sequence[str], work: Callable[[], int]) -> int:
    """Does a command on several processes that torchrun or srun started.

    The first one does it as if it were alone, until a run begins; the others wait for that run and train it too.
    So config and folder are the first one's, and mistakes in the command line are told once.

    Args:
        place: of this process.
        command: train or evaluate.
        argv: its arguments.
        work: does it.

    Returns:
        The exit code.

    Raises:
        ConfigError: a multirun, or something that takes one process.
    """
    global _meeting
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch tells in fifty lines that a rank has ended
    from taskloom.training.meeting import Meeting

    if place.rank > 0:
        return _follow(place)
    _meeting = Meeting(place)
    code = 1
    try:
        if command == "evaluate" and place.world > 1:
            raise ConfigError(f"a run is tested again by one process: leave out {place.by}")
        if {"-m", "--multirun"} & set(argv):
            raise ConfigError(
                f"-m starts jobs one after another, and {place.by} starts {place.world} processes for one: leave out "
                f"{place.by} (trainer=ddp starts the processes of each job by itself), or leave out -m"
            )
        code = work()
        return code
    finally:
        if not _meeting.told:
            _meeting.tell({"end": code})
        _meeting = None


def _follow(place: Place) -> int:
    """A rank beside the first one of those that somebody else started."""
    from taskloom.training.meeting import Meeting

    _mute()
    meeting = Meeting(place)
    word = meeting.hear()
    if word is None or "end" in word:
        return int(word["end"]) if word else 1
    return int(_train(meeting, Path(word["folder"])) > 0)


def _train(meeting: "Meeting", folder: Path) -> int:
    """Trains, and tells why where it fails."""
    from taskloom.tracking.run_folder import RunFolder
    from taskloom.tracking.wandb_run import finish
    from taskloom.training.train import train

    code = TOLD
    try:
        run_folder = RunFolder(folder)
        train(run_folder.read()["config"], run_folder, meeting)
        code = 0
    except BaseException as error:
        meeting.report(error)
    finally:
        finish(int(code > 0))
    return code


def _mute() -> None:
    """Only the first rank speaks."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the process's life


def _watch() -> None:
    """Ends this process when the one that started it says so, or ends itself.

    In a thread, because the main one may be waiting for another rank, where no signal reaches it.
    """

    def watch() -> None:
        word = os.read(0, len(STOP))
        if not word:
            os.kill(os.getpid(), signal.SIGKILL)
        # The main thread may be half-way through importing it: then there is no run to end.
        end_run = getattr(sys.modules.get("taskloom.tracking.wandb_run"), "finish", None)
        try:
            if end_run is not None:
                end_run(1)
        finally:
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch").start()


def main(folder: str) -> int:
    """A rank that ``ranks.train_on_ranks`` started."""
    _watch()
    from taskloom.training.meeting import Meeting

    return _train(Meeting(Place.of(os.environ)), Path(folder))


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    # A process group that has lost a member may wait for it for ever on the way out.
    os._exit(code)
