"""JobRun: one job of a sweep, from its overrides to what its task function returned."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from taskloom.errors import TaskloomError


@dataclass(frozen=True)
class JobRun:
    """What every job of a sweep needs, the same for all; goes to other processes as it is.

    Args:
        hydra_context: composes configs.
        task_function: called with the composed config of a job.
        config: of the sweep itself, without what the jobs differ in.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig

    def __call__(
        self,
        number: int,
        overrides: Sequence[str],
        within: Callable[[Path], AbstractContextManager[Any]] = nullcontext,
    ) -> JobReturn:
        """Composes a job's config and runs it.

        Args:
            number: the job's place, for ``hydra.job.num``.
            overrides: of the job.
            within: a context for the run, made of the job's folder.

        Returns:
            What Hydra's own launchers return, but for a job that failed in whatever way: its ``return_value`` is a
            dictionary with ``state`` and ``reason`` too, so that no launcher's caller has to catch anything.
        """
        setup_globals()
        began = time.perf_counter()
        returned = None
        try:
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
            with within(Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)):
                returned = run_job(
                    hydra_context=self.hydra_context,
                    task_function=self.task_function,
                    config=config,
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                )
        except Exception as error:  # the config does not compose, or a callback of Hydra's fails
            return failed_job(overrides, _reason(error), time.perf_counter() - began)
        finally:
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        if returned.status == JobStatus.FAILED:
            why = _reason(returned._return_value)  # the property would raise it
            return failed_job(overrides, why, time.perf_counter() - began)
        return returned


def failed_job(overrides: Sequence[str], reason: str, seconds: float = 0.0) -> JobReturn:
    """What stands for the return of a job that did not come to one."""
    value = {"state": "failed", "label": None, "seconds": round(seconds, 3), "reason": reason, "folder": None}
    return JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED, _return_value=value)


def _reason(error: BaseException) -> str:
    """In one line, with the cause that Hydra hides behind its own words."""
    words = [str(each) for each in (error, error.__cause__) if each is not None and str(each)]
    text = " ".join(" ".join(dict.fromkeys(words)).split())
    return text if isinstance(error, TaskloomError) else f"{type(error).__name__}: {text}"
