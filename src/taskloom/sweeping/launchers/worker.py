"""Worker: a process of its own for one job after the other, as the command sees it."""

import multiprocessing
import os
import re
import signal
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from taskloom.sweeping.launchers.in_worker import begin, work
from taskloom.sweeping.launchers.job_run import JobRun, failed_job

# Ending a job's children is done here, by their group; loky says so where it has no tool for it.
warnings.filterwarnings("ignore", message="Failed to kill subprocesses")


class Worker:
    """One process that stays warm between its jobs, and is replaced where it died.

    It is an executor of loky's with a single process: a process that dies takes down its executor, and so no job but
    its own.

    Args:
        run: what all jobs have in common.
        environment: variables that the process has beside those of this one, before it imports anything.
    """

    def __init__(self, run: JobRun, environment: Mapping[str, str]) -> None:
        self.run, self.environment = run, dict(environment)
        self._executor: ProcessPoolExecutor | None = None

    def submit(self, number: int, overrides: Sequence[str]) -> "Future[JobReturn]":
        """Begins a job; there must be none under way."""
        self._job, self._began = list(overrides), time.perf_counter()
        if self._executor is None:
            self._start()
        assert self._executor is not None
        try:
            return self._executor.submit(work, number, self._job)
        except BrokenProcessPool:  # it died of its own accord since its last job
            self.close(at_once=True)
            self._start()
            return self._executor.submit(work, number, self._job)

    def result(self, future: "Future[JobReturn]") -> JobReturn:
        """What a job returned; whatever ended it, and be it its process, is told in the same form."""
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, BrokenProcessPool):
            self.close(at_once=True)
            why = f"its process ended: {_ending(error)}"
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            why = "interrupted"
        else:
            why = f"its worker failed: {type(error).__name__}: {error}"
        return failed_job(self._job, why, time.perf_counter() - self._began)

    def interrupt(self) -> None:
        """Asks the job under way to stop, as Ctrl-C does."""
        pid = self._pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)

    def close(self, at_once: bool = False) -> None:
        """Ends the process, after the job under way; or at once, with all that it has started."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        pid = self._pid()
        if at_once and pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        executor.shutdown(wait=True, kill_workers=at_once)
        self._alive.close()

    def _start(self) -> None:
        there, self._alive = multiprocessing.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            max_workers=1,
            initializer=begin,
            initargs=(self.run, Singleton.get_state(), there),
            env=self.environment,
        )
        self._known: Future[int] = self._executor.submit(os.getpid)
        self._there = there

    def _pid(self) -> int | None:
        """Of the process, once it has begun to work."""
        if self._known.done() and self._known.exception() is None:
            return self._known.result()
        return None


def _ending(error: BaseException) -> str:
    """How a process ended, out of loky's long words.

    Example:
        >>> _ending(RuntimeError("The exit codes of the workers are {SIGSEGV(-11)}"))
        'signal 11 (SIGSEGV)'
    """
    found = re.search(r"\{(\w+)\((-?\d+)\)", str(error))
    if found is None:
        return "nobody knows why"
    name, code = found[1], int(found[2])
    if code == -signal.SIGKILL:
        return f"signal {-code} ({name}), which somebody sent, or the system where memory ran out"
    return f"signal {-code} ({name})" if code < 0 else f"exit code {code}"
