"""Ledger: the jobs of a sweep, what became of each, and who works on it."""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, get_args

from taskloom.atomic import open_at_line_start
from taskloom.errors import RunError
from taskloom.locks import is_held, try_lock
from taskloom.sweeping.sweep_job import SweepJob, is_job
from taskloom.tracking.run_folder import RunFolder, write_json

Kind = Literal["grid", "optuna"]
State = Literal["pending", "running", "killed", "done", "failed", "pruned"]
#: the reason of a run that a person stopped
INTERRUPTED = "interrupted"
#: states of a job that has nothing left to do
ENDED = ("done", "pruned")
SWEEP, EVENTS, CLAIM = "sweep.json", "ledger.jsonl", ".claim"


class Ledger:
    """A sweep on disk: ``sweep.json`` lists its jobs, each job's ``run.json`` says what became of it.

    ``ledger.jsonl`` is a diary beside them: an event a line, appended, and the only trace of what ended a job
    before it had a ``run.json``. Nothing here is kept in memory alone, so that a process killed at any point loses
    nothing, and several processes may work on one sweep: whoever takes a job holds its claim, and others pass it by.

    Args:
        path: the folder. Nothing is read or written by the constructor: use `create` or `open`.

    Example:
        >>> import tempfile
        >>> ledger = Ledger.create(Path(tempfile.mkdtemp()) / "sweep", ["-m", "seed=1,2"], "grid")
        >>> jobs = ledger.add([("seed-1", ["seed=1"], "seed=1"), ("seed-2", ["seed=2"], "seed=2")])
        >>> [(job.name, ledger.state(job)) for job in Ledger.open(ledger.path).jobs]
        [('seed-1', 'pending'), ('seed-2', 'pending')]
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()

    @classmethod
    def create(cls, path: Path | str, overrides: Sequence[str], kind: Kind) -> Self:
        """Begins a sweep without jobs.

        Args:
            path: the folder; it may exist, as long as it holds no sweep.
            overrides: the command line, so that the sweep can go on without it.
            kind: what chooses the jobs: a ``grid`` of listed values, or a search by ``optuna``.

        Raises:
            RunError: the folder holds a sweep, or cannot be written.
        """
        ledger = cls(path)
        if ledger.file.exists():
            raise RunError(f"{ledger.path} holds a sweep: go on with it by resume={ledger.path}, or name another")
        created = datetime.now(UTC).isoformat(timespec="microseconds")
        with ledger._writing():
            ledger.path.mkdir(parents=True, exist_ok=True)
            write_json(ledger.file, {"kind": kind, "created": created, "overrides": list(overrides), "jobs": []})
        return ledger

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """A sweep that exists.

        Raises:
            RunError: there is no sweep.json, or it cannot be read.
        """
        ledger = cls(path)
        ledger.read()
        return ledger

    @property
    def file(self) -> Path:
        """sweep.json."""
        return self.path / SWEEP

    def read(self) -> dict[str, Any]:
        """What sweep.json says now.

        Raises:
            RunError: it is absent or unreadable.
        """
        try:
            record = json.loads(self.file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(
                f"{self.path} is no sweep: it has no {SWEEP}; name one such as logs/train/multiruns/<time>"
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.file} cannot be read ({error}); restore it, or start the sweep anew") from None
        if (
            not isinstance(record, dict)
            or record.get("kind") not in get_args(Kind)
            or not all(isinstance(record.get(key), list) for key in ("overrides", "jobs"))
            or not all(map(is_job, record["jobs"]))
        ):
            raise RunError(f"{self.file} is not a sweep's record; restore it, or start the sweep anew")
        return record

    @property
    def overrides(self) -> list[str]:
        """The command line that the sweep began with, or was last added to by."""
        return [str(override) for override in self.read()["overrides"]]

    @property
    def jobs(self) -> list[SweepJob]:
        """All jobs, in order."""
        return [
            SweepJob(job["number"], job["name"], tuple(job["overrides"]), job["label"]) for job in self.read()["jobs"]
        ]

    def job(self, name: str) -> SweepJob:
        """The job whose folder has this name.

        Raises:
            RunError: there is none.
        """
        for job in self.jobs:
            if job.name == name:
                return job
        raise RunError(f"{self.file} knows no job {name}")

    def add(
        self, jobs: Sequence[tuple[str, Sequence[str], str]], overrides: Sequence[str] | None = None
    ) -> list[SweepJob]:
        """Adds those jobs that are not there yet; a job is known by its overrides, in whatever order.

        Args:
            jobs: of each the name of its folder, its overrides and its label. A name that another job has gets a
                number behind it.
            overrides: the command line that they come from, where it is another than before.

        Returns:
            The sweep's jobs with these overrides, in the order given.

        Raises:
            RunError: the folder cannot be written.
        """
        with self._writing(), self._alone():
            record = self.read()
            known = {frozenset(job["overrides"]): job for job in record["jobs"]}
            names = {job["name"] for job in record["jobs"]}
            for name, its, label in jobs:
                if frozenset(its) in known:
                    continue
                free = next(n for n in _numbered(name) if n not in names)
                names.add(free)
                job = {"number": len(record["jobs"]), "name": free, "overrides": list(its), "label": label}
                known[frozenset(its)] = job
                record["jobs"].append(job)
            if overrides is not None:
                record["overrides"] = list(overrides)
            write_json(self.file, record)
        wanted = [known[frozenset(its)] for _, its, _ in jobs]
        return [SweepJob(job["number"], job["name"], tuple(job["overrides"]), job["label"]) for job in wanted]

    def folder(self, job: SweepJob) -> Path:
        """The run folder of a job, whether it is there yet or not."""
        return self.path / job.name

    def state(self, job: SweepJob) -> State:
        """What became of a job: ``killed`` where it says that it is running and no process holds it."""
        return self._state(job, lambda: self.last_event(job))

    def states(self) -> dict[str, State]:
        """What became of all jobs, by the names of their folders, in order."""
        last = {event["job"]: event for event in self.events() if "job" in event}
        return {job.name: self._state(job, partial(last.get, job.name)) for job in self.jobs}

    def _state(self, job: SweepJob, last_event: Callable[[], Mapping[str, Any] | None]) -> State:
        run = RunFolder(self.folder(job))
        if is_held(self.folder(job) / CLAIM):
            return "running"
        if not run.file.exists():
            event = last_event()
            return "failed" if event is not None and event["event"] == "failed" else "pending"
        try:
            state = run.read()["state"]
        except RunError:
            return "failed"
        if state != "running":
            return state
        return "running" if run.held() else "killed"

    def reason(self, job: SweepJob) -> str:
        """Why a job failed, in a sentence; empty where nothing is known."""
        run = RunFolder(self.folder(job))
        if run.file.exists():
            try:
                record = run.read()
            except RunError as error:
                return str(error)
            if record["state"] != "running":
                return str(record.get("reason") or "")
        event = self.last_event(job)
        return str(event.get("reason") or "") if event else ""

    @contextmanager
    def claim(self, job: SweepJob) -> Iterator[bool]:
        """A job is this process's until the block ends, or the process does; False where it is another's."""
        folder = self.folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / CLAIM).open("w") as file:
            yield try_lock(file)

    def log(self, job: SweepJob, event: str, reason: str | None = None) -> None:
        """Appends to the diary.

        Args:
            job: which.
            event: started, done, failed, pruned or skipped.
            reason: in a sentence.
        """
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "job": job.name,
            "event": event,
            **({"reason": reason} if reason else {}),
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        with open_at_line_start(self.path / EVENTS) as file:
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def events(self) -> list[dict[str, Any]]:
        """The diary, a torn last line left out."""
        try:
            lines = (self.path / EVENTS).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, Mapping):
                found.append(dict(event))
        return found

    def last_event(self, job: SweepJob) -> dict[str, Any] | None:
        """The last line of the diary about a job."""
        return next((event for event in reversed(self.events()) if event.get("job") == job.name), None)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written ({error.strerror}): make room or give leave to write, or begin a sweep "
                "elsewhere with hydra.sweep.dir=<folder>"
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.path / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _numbered(name: str) -> Iterator[str]:
    """The name, then the same with 2, 3, ... behind it."""
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1
