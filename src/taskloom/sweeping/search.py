"""Search: one process's part in a search: proposes trials to a launcher and tells the study what they came to."""

import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskloom.errors import RunError
from taskloom.sweeping.domain import shown
from taskloom.sweeping.grid import job_line
from taskloom.sweeping.ledger import INTERRUPTED, Ledger
from taskloom.sweeping.objectives import objective_values
from taskloom.sweeping.search_settings import JOURNAL, SearchSettings
from taskloom.sweeping.space import Space
from taskloom.sweeping.sweep_job import SweepJob
from taskloom.sweeping.trial_file import Care, alone, folder_of, write_trial
from taskloom.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

#: after so many failures in a row a search stops, because the next one would fail as well
MAX_FAILURES = 5
_POLL_SECONDS = 1.0


class Open:
    """A trial under way.

    Args:
        number: of the trial, and of its folder.
        job: in the ledger.
        care: of this search for it.
    """

    def __init__(self, number: int, job: SweepJob, care: Care) -> None:
        self.number, self.job, self.care = number, job, care


class Search:
    """One process's part in a search.

    Args:
        settings: of the search.
        space: its parameters.
        fixed: overrides that all trials have.
        study: the common one.
        storage: of the study.
        launcher: Hydra's or ours.
        ledger: the sweep's.
    """

    def __init__(
        self,
        settings: SearchSettings,
        space: Space,
        fixed: Sequence[str],
        study: "Study",
        storage: "BaseStorage",
        launcher: Any,
        ledger: Ledger,
    ) -> None:
        self.settings, self.space, self.fixed = settings, space, list(fixed)
        self.study, self.storage, self.launcher, self.ledger = study, storage, launcher, ledger
        self.failures = 0
        #: trials that this process launched, in that order
        self.launched: list[Open] = []

    def run(self) -> None:
        """Runs trials until enough have finished."""
        try:
            while True:
                before = len(self.launched)
                self._launch()
                if len(self.launched) == before and not self._wait():
                    return
        finally:
            for trial in self.launched:
                trial.care.leave()

    def _launch(self) -> None:
        first = len(self.launched)
        if hasattr(self.launcher, "stream"):
            for place, returned in self.launcher.stream(self._lines()):
                self._end(self.launched[first + place], returned)
            return
        lines = list(itertools.islice(self._lines(), self.settings.n_jobs))
        if lines:
            try:
                returns = list(self.launcher.launch(lines, first))
            except Exception as error:  # of a launcher that we do not know: its jobs may have ended all the same
                returns = [error] * len(lines)
            for trial, returned in zip(self.launched[first:], returns, strict=True):
                self._end(trial, returned)

    def _lines(self) -> Iterator[list[str]]:
        """The command lines of trials, one whenever it is asked for: first those that were left, then new ones."""
        while self.failures < MAX_FAILURES:
            with alone(self.ledger.path):
                trial = self._left() or self._new()
            if trial is None:
                return
            self.launched.append(trial)
            yield job_line(trial.job)

    def _left(self) -> Open | None:
        """A trial that was killed with its search."""
        from optuna.trial import Trial

        for trial in self._running():
            care = Care(self.ledger.path, trial.number)
            if not care.take():
                continue
            if self._at_work(trial.number) or self._told(trial, None):
                care.leave()
                continue
            return self._begin(Trial(self.study, trial._trial_id), care)
        return None

    def _new(self) -> Open | None:
        """A new trial, unless there are enough."""
        while self.failures < MAX_FAILURES and self._room():
            trial = self.study.ask()
            care = Care(self.ledger.path, trial.number)
            care.take()
            values = self.space.suggest(trial)
            twin = next((t for t in self._trials() if t.number < trial.number and t.params == values), None)
            if twin is None or twin.state.name == "RUNNING":
                return self._begin(trial, care)
            self._tell_like(trial.number, twin)
            care.leave()
        return None

    def _begin(self, trial: Any, care: Care) -> Open:
        """Writes down a trial; of one that was killed, what is missing."""
        values = self.space.suggest(trial)
        lines = [*self.fixed, *self.space.overrides(values)]
        name = folder_of(trial.number)
        label = " ".join(f"{key}={shown(value)}" for key, value in values.items())
        (job,) = self.ledger.add([(name, lines, label)])
        if job.name != name:  # a trial under way has the same values
            (job,) = self.ledger.add([(name, [*lines, f"hydra.sweep.subdir={name}"], label)])
        write_trial(
            self.ledger.folder(job),
            {
                "number": trial.number,
                "params": values,
                "study": self.study.study_name,
                "storage": self.settings.storage or JOURNAL,
                "objectives": list(self.settings.objectives),
                "pruner": self.settings.pruner,
            },
        )
        return Open(trial.number, job, care)

    def _end(self, trial: Open, returned: Any) -> None:
        """What became of a trial that this process launched."""
        frozen = next(t for t in self._trials() if t.number == trial.number)
        if not frozen.state.is_finished() and not self._at_work(trial.number):
            self._told(frozen, why_not(returned))
        trial.care.leave()

    def _told(self, trial: "FrozenTrial", why: str | None) -> bool:
        """Tells the study what became of a trial; False where it has not ended.

        Args:
            trial: that is under way as far as the study knows.
            why: it cannot go on, where its own record does not say what became of it; None where it can.
        """
        run = RunFolder(self.ledger.path / folder_of(trial.number))
        try:
            record = run.read() if run.file.exists() else {}
            if record.get("state") == "done":
                values = objective_values(run.path, self.settings.objectives)
                named = dict(zip(self.settings.objectives, values, strict=True))
                run.update(trial={**(record.get("trial") or {"number": trial.number}), "values": named})
                self.study.tell(trial.number, values, skip_if_finished=True)
                self.failures = 0
                print(f"{run.path.name}: {', '.join(f'{k} {v:.4f}' for k, v in named.items())}", flush=True)
                return True
            if record.get("state") == "pruned":
                self._tell_pruned(trial.number)
                print(f"{run.path.name}: pruned", flush=True)
                return True
        except RunError as error:
            record, why = {}, str(error)
        reason = record.get("reason") if record.get("state") == "failed" else why
        if not reason or reason == INTERRUPTED:
            return False
        self._tell_failed(trial.number, str(reason))
        return True

    def _tell_like(self, number: int, twin: "FrozenTrial") -> None:
        """The same point as an earlier one has the same result: it is not run again."""
        self._attribute(number, "same_as", twin.number)
        if twin.state.name == "COMPLETE":
            self.study.tell(number, list(twin.values))
        elif twin.state.name == "PRUNED":
            self._tell_pruned(number)
        else:
            self._tell_failed(number, f"the same values as trial {twin.number}, which failed")

    def _tell_pruned(self, number: int) -> None:
        from optuna.trial import TrialState

        self.study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
        self.failures = 0

    def _tell_failed(self, number: int, reason: str) -> None:
        from optuna.trial import TrialState

        self._attribute(number, "reason", reason)
        self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        self.failures += 1
        print(f"{folder_of(number)} failed: {' '.join(reason.split())}", file=sys.stderr, flush=True)
        if self.failures == MAX_FAILURES:
            print(f"the search stops: {MAX_FAILURES} trials in a row failed", file=sys.stderr, flush=True)

    def _attribute(self, number: int, key: str, value: Any) -> None:
        trial = next(t for t in self._trials() if t.number == number)
        self.storage.set_trial_user_attr(trial._trial_id, key, value)

    def _wait(self) -> bool:
        """Waits a little for a trial whose search was killed while the trial itself lives on; False without one."""
        if self.failures >= MAX_FAILURES:
            return False
        for trial in self._running():
            if Care(self.ledger.path, trial.number).abandoned:
                time.sleep(_POLL_SECONDS)
                return True
        return False

    def _room(self) -> bool:
        busy = sum(t.state.name in ("COMPLETE", "PRUNED", "RUNNING") for t in self._trials())
        return busy < self.settings.n_trials

    def _at_work(self, number: int) -> bool:
        job = next((job for job in self.ledger.jobs if job.name == folder_of(number)), None)
        return job is not None and self.ledger.state(job) == "running"

    def _trials(self) -> "list[FrozenTrial]":
        return self.study.get_trials(deepcopy=False)

    def _running(self) -> "list[FrozenTrial]":
        """Trials under way that are not this process's own."""
        mine = {trial.number for trial in self.launched if trial.care.taken}
        return [t for t in self._trials() if t.state.name == "RUNNING" and t.number not in mine]


def why_not(returned: Any) -> str | None:
    """Why a job that has ended has no result; None where another process has the job.

    Args:
        returned: by a launcher: Hydra's JobReturn, or what the launcher itself raised.
    """
    value = getattr(returned, "_return_value", returned)  # the property raises what the job raised
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, Mapping):
        if value.get("state") == "elsewhere":
            return None
        if value.get("reason"):
            return str(value["reason"])
    return "its process ended without a word: it was killed, or the memory was not enough"
