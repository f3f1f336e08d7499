"""JoblibLauncher: several jobs at once on one machine, each in a process of its own, with a GPU each."""

import operator
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import joblib
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from taskloom.errors import RunError
from taskloom.sweeping.launchers.board import Board, Entry
from taskloom.sweeping.launchers.job_run import JobRun
from taskloom.sweeping.launchers.shares import CUDA, environments, number_of_workers, worker_gpus
from taskloom.sweeping.launchers.worker import Worker
from taskloom.sweeping.ledger import Ledger

#: how long jobs have to stop by themselves when the command is interrupted
GRACE_SECONDS = 10.0
LOOK_UP_SECONDS = 0.25
_FOLDER = "hydra.sweep.subdir="


class JoblibLauncher:
    """Runs several jobs at once in worker processes of joblib's loky, which stay warm from one job to the next.

    Each worker sees its own GPU (or GPUs) and has its share of the CPU's threads, set before it imports torch. What a
    job prints, native libraries and children included, goes to ``output.log`` in its folder; the command prints a
    line as each job begins and ends. A process that dies (kill -9, out of memory) is that job's failure alone: its
    worker is replaced and goes on with the next job. An interrupt asks every job to stop and, after `GRACE_SECONDS` or
    at a second one, ends what still runs. If the command itself is killed, its workers end at once.

    Args:
        n_jobs: how many jobs run at once; None: one a GPU, without GPUs one for every two cores.
        gpus: ``auto`` gives each worker one of the GPUs that the command sees; a list gives each worker its own entry,
            such as ``[0, 1]``, or ``["0,1", "2,3"]`` for jobs that train on two; None leaves GPUs alone. Where there
            are fewer GPUs than workers, workers share them.
        threads: of the CPU for each job: ``auto`` divides the cores among the workers, unless ``OMP_NUM_THREADS`` is
            set; a number; None leaves it to torch.

    Raises:
        ConfigError: a setting that cannot be.
    """

    def __init__(self, n_jobs: Any, gpus: Any, threads: Any) -> None:
        self.n_jobs, self.threads = n_jobs, threads
        self.cpus = joblib.cpu_count()
        self.gpus = worker_gpus(gpus)
        self._environments(None)  # tells what cannot be before anything has begun

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives every launcher."""
        self.run = JobRun(hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs all jobs and gives what they returned, in their order.

        Args:
            job_overrides: of each job.
            initial_job_idx: the number of the first one.
        """
        returned = dict(self._stream(job_overrides, initial_job_idx))
        return [returned[number] for number in sorted(returned)]

    def stream(self, jobs: Iterable[Sequence[str]]) -> Iterator[tuple[int, JobReturn]]:
        """Takes a job whenever a worker is free, and gives its place and what it returned as soon as it ends.

        Args:
            jobs: the overrides of each, which may depend on what was given so far.
        """
        yield from self._stream(jobs, 0)

    def _stream(self, jobs: Iterable[Sequence[str]], first: int) -> Iterator[tuple[int, JobReturn]]:
        jobs = iter(jobs)
        total = operator.length_hint(jobs) or None
        workers = [Worker(self.run, environment) for environment in self._environments(total)]
        free, busy = workers[::-1], dict[Future[JobReturn], tuple[int, Worker]]()
        number, more = first, True
        try:
            with Board(total, len(workers)) as board:
                board.say(self._announcement(total, workers))
                try:
                    while True:
                        while free and more:
                            overrides = next(jobs, None)
                            if overrides is None:
                                more = False
                                break
                            worker = free.pop()
                            board.begin(number, self._entry(number, overrides, total))
                            busy[worker.submit(number, overrides)] = number, worker
                            number += 1
                        if not busy:
                            return
                        for future in _wait(busy):
                            place, worker = busy.pop(future)
                            returned = worker.result(future)
                            board.end(place, returned.return_value or {})
                            free.append(worker)
                            yield place, returned
                except BaseException:
                    if busy:
                        board.say(f"stopping {len(busy)} running jobs; Ctrl-C ends them at once")
                        _interrupt(busy)
                    raise
        finally:
            # Ends those that are idle side by side: each takes its time to leave.
            stuck = [worker for _, worker in busy.values()]
            with ThreadPoolExecutor(len(workers)) as closing:
                list(closing.map(lambda worker: worker.close(at_once=worker in stuck), workers))

    def _environments(self, total: int | None) -> list[dict[str, str]]:
        workers = number_of_workers(self.n_jobs, self.gpus, self.cpus, total)
        return environments(workers, self.gpus, self.threads, self.cpus)

    def _announcement(self, total: int | None, workers: Sequence[Worker]) -> str:
        words = [f"{total} jobs" if total else "jobs", f"{len(workers)} at a time"]
        if self.gpus:
            words.append("on GPU " + " | ".join(dict.fromkeys(worker.environment[CUDA] for worker in workers)))
        return ", ".join(words) + f"; what they print is in {Path(str(self.run.config.hydra.sweep.dir))}/*/output.log"

    def _entry(self, number: int, overrides: Sequence[str], total: int | None) -> Entry:
        """The job as the sweep's ledger knows it; in a sweep without one, as its overrides say."""
        sweep = Path(str(self.run.config.hydra.sweep.dir))
        name = next((o.removeprefix(_FOLDER) for o in reversed(overrides) if o.startswith(_FOLDER)), None)
        label = " ".join(o for o in overrides if not o.startswith("hydra."))
        title = f"job {number + 1}" + (f" of {total}" if total else "")
        if name is None:
            return Entry(title, label, "")
        try:
            job = Ledger.open(sweep).job(name)
        except RunError:
            return Entry(title, label, str(sweep / name))
        of = getattr(self.run.task_function, "n_jobs", None)
        return Entry(job.title(of), job.label, str(sweep / name))


def _wait(busy: Mapping["Future[JobReturn]", Any]) -> set["Future[JobReturn]"]:
    """The jobs that have ended, as soon as there is one.

    Looks up now and then, because libraries such as polars have a system call go on after a signal, and Python would
    not get to its Ctrl-C before the call ends.
    """
    ended: set[Future[JobReturn]] = set()
    while not ended:
        ended = wait(busy, timeout=LOOK_UP_SECONDS, return_when=FIRST_COMPLETED).done
    return ended


def _interrupt(busy: Mapping["Future[JobReturn]", tuple[int, Worker]]) -> None:
    """Asks jobs to stop, and waits a while for them."""
    end = time.monotonic() + GRACE_SECONDS
    try:
        for _, worker in busy.values():
            worker.interrupt()
        while time.monotonic() < end and wait(busy, timeout=LOOK_UP_SECONDS).not_done:
            pass
    except KeyboardInterrupt:
        pass  # somebody cannot wait
