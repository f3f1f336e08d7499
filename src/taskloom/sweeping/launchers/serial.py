"""SerialLauncher: one job after the other, in this process."""

from collections.abc import Iterable, Iterator, Sequence

from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from taskloom.sweeping.launchers.job_run import JobRun


class SerialLauncher:
    """Runs jobs one after the other in this process, each whatever became of those before it.

    A job's output goes where the command's goes. An interrupt ends the sweep.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives every launcher."""
        self.run = JobRun(hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs all jobs and gives what they returned, in their order.

        Args:
            job_overrides: of each job.
            initial_job_idx: the number of the first one.
        """
        return [self.run(initial_job_idx + place, overrides) for place, overrides in enumerate(job_overrides)]

    def stream(self, jobs: Iterable[Sequence[str]]) -> Iterator[tuple[int, JobReturn]]:
        """Takes a job whenever the one before it has ended, and gives its place and what it returned.

        Args:
            jobs: the overrides of each, which may depend on what the jobs before it gave.
        """
        for place, overrides in enumerate(jobs):
            yield place, self.run(place, overrides)
