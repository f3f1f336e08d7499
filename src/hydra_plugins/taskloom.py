"""What Hydra finds of Taskloom: sweepers and launchers. Hydra imports this file at each start, so it stays light."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@contextmanager
def _as_they_are() -> Iterator[None]:
    """Errors for people leave Hydra with their sentence: it would print its traceback of any exception but an exit."""
    from taskloom.errors import RunError, TaskloomError

    try:
        yield
    except TaskloomError as error:
        raise SystemExit(1) from error
    except OSError as error:  # the disk is full, or the sweep's folder has gone
        raise SystemExit(1) from RunError(f"the sweep stops, because its folder cannot be used: {error}")


class _LedgerSweeper(Sweeper):
    """A sweeper whose jobs stand in the ledger of its folder."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Makes the launcher."""
        from hydra.core.plugins import Plugins

        from taskloom.sweeping.ledger import Ledger

        self.composed: DictConfig = config
        with _as_they_are():
            self.ledger = Ledger.open(Path(str(config.hydra.sweep.dir)))
            self.goes_to: Any = Plugins.instance().instantiate_launcher(
                hydra_context=hydra_context, task_function=task_function, config=config
            )


class GridSweeper(_LedgerSweeper):
    """Runs the jobs of a sweep's ledger that are left to do: ``hydra/sweeper=grid``, the default."""

    def sweep(self, arguments: list[str]) -> Any:
        """Runs what is left to do; what the jobs are stands in the ledger, which was made of these arguments."""
        from taskloom.sweeping.grid import run_jobs

        with _as_they_are():
            return run_jobs(self.ledger, self.goes_to)


class OptunaSweeper(_LedgerSweeper):
    """Searches for good hyper-parameters: ``hydra/sweeper=optuna``.

    Args:
        settings: the keys of conf/hydra/sweeper/optuna.yaml.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def sweep(self, arguments: list[str]) -> Any:
        """Searches."""
        from taskloom.sweeping.optuna_sweep import search

        with _as_they_are():
            return search(self.settings, arguments, self.composed, self.goes_to, self.ledger)


class _Delegating(Launcher):
    """A launcher that lives in Taskloom and is imported when it is needed."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.inner: Any = None

    def make(self) -> Any:
        """The launcher itself."""
        raise NotImplementedError

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Makes the launcher itself."""
        self.inner = self.make()
        self.inner.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs all jobs and gives what they returned, in their order."""
        returns: Sequence[JobReturn] = self.inner.launch(job_overrides, initial_job_idx)
        return returns

    def stream(self, jobs: Iterator[Sequence[str]]) -> Iterator[tuple[int, JobReturn]]:
        """Pulls a job whenever a worker is free, and gives its place and what it returned as soon as it ends."""
        yield from self.inner.stream(jobs)


class SerialLauncher(_Delegating):
    """One job after the other in this process: ``hydra/launcher=serial``, the default."""

    def make(self) -> Any:
        """The launcher itself."""
        from taskloom.sweeping.launchers.serial import SerialLauncher as Inner

        return Inner(**self.settings)


class JoblibLauncher(_Delegating):
    """Several jobs at once on this machine: ``hydra/launcher=joblib``."""

    def make(self) -> Any:
        """The launcher itself."""
        from taskloom.sweeping.launchers.processes import JoblibLauncher as Inner

        return Inner(**self.settings)
