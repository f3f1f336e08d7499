"""JobOfSweep: what a launcher calls for each job, in this process or in another one."""

import importlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from taskloom.config import resolvers
from taskloom.config.compose import plain
from taskloom.config.origin import origin
from taskloom.config.report import reason, tell
from taskloom.errors import RunError
from taskloom.sweeping.ledger import ENDED, INTERRUPTED, Ledger
from taskloom.sweeping.sweep_job import SweepJob
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.run_folder import plain as as_json

# By name, because an import would let this room reach up into training.
_JOB = "taskloom.training.job"
TRIAL = "trial.json"


@dataclass(frozen=True)
class JobOfSweep:
    """The task function of a sweep: takes the job of its folder, unless another process has it or it has ended.

    A job that was killed or failed goes on from its checkpoint, if its config is the one that it began with;
    otherwise its old folder is put aside and it begins anew.

    Args:
        conf: the folder of the configs.
        n_jobs: how many there are, None where nobody knows; for people.
    """

    conf: Path
    n_jobs: int | None

    def __reduce__(self) -> tuple[Any, ...]:
        """As it comes out in another process, that process learns what configs may ask for."""
        return _in_this_process, (self.conf, self.n_jobs)

    def __call__(self, cfg: DictConfig) -> dict[str, Any]:
        """Trains, goes on with or passes by one job.

        Args:
            cfg: composed.

        Returns:
            ``state`` (done, failed, pruned, or ``elsewhere`` for one that another process has), ``label``,
            ``seconds``, ``reason`` of a failure, and ``folder``. Nothing but an interrupt is raised: what happened is
            in the job's folder and in the ledger.
        """
        from hydra.core.hydra_config import HydraConfig

        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        choices = {str(k): v for k, v in settings.runtime.choices.items()}
        ledger = Ledger.open(folder.parent)
        job = ledger.job(folder.name)
        began = time.perf_counter()
        with ledger.claim(job) as mine:
            run = RunFolder(folder)
            if not mine or run.held():
                ledger.log(job, "skipped", "another process has it")
                state, why = "elsewhere", ""
            else:
                print(f"\n{job.title(self.n_jobs)}: {job.label}", flush=True)
                state, why = self._run(cfg, choices, ledger, job)
        seconds = round(time.perf_counter() - began, 3)
        return {"state": state, "label": job.label, "seconds": seconds, "reason": why, "folder": str(folder)}

    def _run(self, cfg: DictConfig, choices: Mapping[str, Any], ledger: Ledger, job: SweepJob) -> tuple[str, str]:
        folder = ledger.folder(job)
        ledger.log(job, "started")
        try:
            config = plain(cfg)
            record = self._train(config, folder, ledger, job, choices)
        except Exception as error:  # the other jobs of the sweep go on
            tell(error)
            ledger.log(job, "failed", reason(error))
            return "failed", reason(error)
        except BaseException:  # Lightning turns an interrupt in the middle of training into an exit
            ledger.log(job, "failed", INTERRUPTED)
            raise KeyboardInterrupt from None
        state = str(record.get("state", "done")) if isinstance(record, Mapping) else "done"
        ledger.log(job, state)
        return state, ""

    def _train(
        self, config: dict[str, Any], folder: Path, ledger: Ledger, job: SweepJob, choices: Mapping[str, Any]
    ) -> Any:
        training = importlib.import_module(_JOB)
        where = origin(config, job.overrides, choices)
        run = RunFolder(folder)
        if run.file.exists():
            record = _record(run)
            if record is not None and record["state"] in ENDED:
                return record
            if record is not None and same_config(record["config"], config):
                print(f"Going on with {folder}", flush=True)
                return training.resume_job(folder)
            aside = put_aside(folder)
            print(f"Its config is another now, or its record is damaged: it begins anew, the old run is {aside}")
        where["sweep"] = {"folder": str(ledger.path), "number": job.number, "label": job.label}
        if (folder / TRIAL).exists():
            where["trial"] = json.loads((folder / TRIAL).read_text(encoding="utf-8"))
        return training.run_job(config, folder, where)


def same_config(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a run's config is the one that its overrides give now; where folders lie is not asked."""
    return _comparable(recorded) == _comparable(now)


def put_aside(folder: Path) -> Path:
    """Moves what is in a job's folder to one that no sweep looks at, and says where; its trial stays."""
    place = folder.parent / ".earlier"
    place.mkdir(exist_ok=True)
    number = sum(1 for other in place.iterdir() if other.name.startswith(f"{folder.name}.")) + 1
    target = place / f"{folder.name}.{number}"
    target.mkdir()
    for path in folder.iterdir():
        if path.name not in (TRIAL, ".claim", ".hydra"):
            path.rename(target / path.name)
    return target


def _comparable(config: Mapping[str, Any]) -> str:
    return json.dumps(as_json({key: value for key, value in config.items() if key != "paths"}), sort_keys=True)


def _record(run: RunFolder) -> dict[str, Any] | None:
    try:
        return run.read()
    except RunError as error:
        print(error, file=sys.stderr)
        return None


def _in_this_process(conf: Path, n_jobs: int | None) -> JobOfSweep:
    resolvers.register(conf)
    return JobOfSweep(conf, n_jobs)


def argument(path: Path | str) -> str:
    """A path as a value that Hydra's grammar reads back, whatever signs are in it.

    Example:
        >>> argument("/my data/it's")
        "'/my data/it\\\\'s'"
    """
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def overrides_of_jobs(overrides: Sequence[str]) -> list[str]:
    """Overrides without Hydra's own, which say how a sweep runs and not what its jobs are.

    Example:
        >>> overrides_of_jobs(["seed=1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep=pareto"])
        ['seed=1', 'sweep=pareto']
    """
    return [o for o in overrides if not o.lstrip("+~").startswith(("hydra.", "hydra/"))]
