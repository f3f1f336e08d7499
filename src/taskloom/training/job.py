"""One job: a resolved config in, a run folder with everything in it out."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from taskloom.config.accelerator import check_accelerator
from taskloom.config.plugins import load_plugins, plugin_records
from taskloom.data.datamodule import DataModule
from taskloom.errors import ConfigError, RunError
from taskloom.metrics.scoring import listed
from taskloom.module import MultiTaskModule
from taskloom.outcome import Outcome, main_metric
from taskloom.tracking.curves import draw_curves
from taskloom.tracking.machine import describe
from taskloom.tracking.metrics_file import MetricsFile
from taskloom.tracking.predictions import write_predictions
from taskloom.tracking.quiet import quiet
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.table import TaskRows, print_results
from taskloom.tracking.throughput import Throughput
from taskloom.tracking.verdict import below_floor, verdict_lines
from taskloom.tracking.wandb_run import finish
from taskloom.training.best import BestEpoch
from taskloom.training.build import make_callbacks, make_data, make_loggers, make_module
from taskloom.training.floors import Floors
from taskloom.training.profile import Profile
from taskloom.training.ranking import CatalogueRanking
from taskloom.training.run import fit, load_best, test

Config = Mapping[str, Any]
#: keys of the config's trainer section that are ours and not Lightning's
OURS = ("threads", "profile")


@dataclass
class Job:
    """A config's data and network, ready to be trained or tested.

    Args:
        config: resolved.
        folder: of the run.
        data: set up.
        module: with its initial weights.
    """

    config: Config
    folder: RunFolder
    data: DataModule
    module: MultiTaskModule

    @property
    def trainer_settings(self) -> dict[str, Any]:
        """Arguments of ``lightning.Trainer``."""
        return {key: value for key, value in self.config["trainer"].items() if key not in OURS}

    @property
    def label(self) -> str:
        """What tables and W&B call the model."""
        return str(self.config["name"])


def run_job(config: Config, folder: Path, origin: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Trains and tests one config in a folder of its own.

    Args:
        config: resolved, in plain containers.
        folder: of the run; made where it is not there yet.
        origin: what ``run.json`` says of where the config came from, such as ``overrides`` and ``choices``.

    Returns:
        What ``run.json`` says in the end.

    Raises:
        TaskloomError: something a person can put right. Whatever ends the run early is in its ``run.json`` as
            ``failed`` with the reason.
    """
    record = {
        "config": config,
        "seed": config["seed"],
        "plugins": plugin_records(config["plugins"]),
        **(origin or {}),
        **describe(),
    }
    run_folder = RunFolder.create(folder, record)
    with run_folder.hold():
        return _in_folder(run_folder, _train)


def resume_job(folder: Path) -> dict[str, Any]:
    """Goes on with a run that was killed or failed, from its ``last.ckpt`` or, without one, from the beginning.

    Raises:
        RunError: the folder holds no run or one that is still running, or its plugins have changed since.
    """
    run_folder = RunFolder.open(folder)
    record = run_folder.read()
    if record["state"] == "done":
        return record
    now = plugin_records(record["config"]["plugins"])
    if now != record["plugins"]:
        raise RunError(
            f"{folder}: a plugin has changed since the run began ({', '.join(p['path'] for p in now)}); "
            "restore it, or start a new run"
        )
    with run_folder.hold():
        run_folder.update(state="running", resumed=record.get("resumed", 0) + 1)
        return _in_folder(run_folder, _train)


def evaluate_job(folder: Path) -> dict[str, Any]:
    """Tests a run's best checkpoint once more and compares with what the run said.

    Returns:
        ``test``: the numbers; ``same``: whether they equal those in ``run.json``, None where it has none.

    Raises:
        RunError: the folder holds no run, or no checkpoint.
    """
    run_folder = RunFolder.open(folder)
    record = run_folder.read()
    job = _prepare(record["config"], run_folder)
    if not (run_folder.checkpoints / "best.ckpt").exists():
        raise RunError(
            f"{folder} has no checkpoints/best.ckpt yet; train it first: python src/train.py resume={folder}"
        )
    load_best(job.module, run_folder.checkpoints)
    values, outcome = _test(job, [])
    before = record.get("test")
    same = None if before is None else all(_equal(values[key], before.get(key)) for key in values)
    floors, rows = record.get("floors") or {}, _task_rows(job, outcome)
    notes = verdict_lines(job.label, values, floors, rows)
    print_results(job.label, values, floors, rows, run_folder, notes=notes)
    if same is not None:
        print("the same numbers as in run.json" if same else "NOT the same numbers as in run.json")
    return {"test": values, "same": same}


def _in_folder(folder: RunFolder, work: Callable[[Config, RunFolder], dict[str, Any]]) -> dict[str, Any]:
    code = 1
    try:
        result = work(folder.read()["config"], folder)
        code = 0
        return result
    except BaseException as error:
        # Lightning turns an interrupt in the middle of training into an exit.
        folder.fail(KeyboardInterrupt() if isinstance(error, SystemExit) else error)
        raise
    finally:
        finish(code)


def _prepare(config: Config, folder: RunFolder) -> Job:
    """Plugins, threads, data, seeds and network."""
    quiet()
    for problem in check_accelerator(config["trainer"]):  # a run may be resumed or tested on another machine
        raise ConfigError(problem.text)
    load_plugins(config["plugins"])
    if config["trainer"]["threads"]:
        torch.set_num_threads(config["trainer"]["threads"])
    data = make_data(config)
    data.prepare_data()
    data.setup()
    L.seed_everything(config["seed"], verbose=False)
    return Job(config, folder, data, make_module(config, data))


def _train(config: Config, folder: RunFolder) -> dict[str, Any]:
    job = _prepare(config, folder)
    module, checkpoints = job.module, folder.checkpoints
    simple = Floors(config["floors"], job.data, module)
    parameters = sum(p.numel() for p in module.parameters())
    for line in job.data.summary():
        print(line)
    print(f"model {job.label}: {parameters:,} parameters, tasks {', '.join(t.name for t in module.tasks)}")
    sys.stdout.flush()
    folder.update(fingerprint=job.data.fingerprint, summary=job.data.summary(), parameters=parameters)
    loggers = [MetricsFile(folder.metrics), *make_loggers(config, folder.path)]
    for logger in loggers[1:]:
        logger.log_hyperparams({"parameters": parameters})
    callbacks = make_callbacks(config, checkpoints)
    if config["trainer"]["profile"]:
        callbacks["profile"] = Profile(folder.path)
    fit(module, job.data, job.trainer_settings, list(callbacks.values()), loggers, folder.path, checkpoints)
    values, outcome = _test(job, [])
    for logger in loggers:
        logger.log_metrics({f"test/{name}": value for name, value in values.items()}, step=_steps(callbacks))
    write_predictions(
        folder,
        [task.name for task in module.tasks],
        outcome.row,
        outcome.group,
        outcome.targets,
        outcome.predictions,
        outcome.labelled,
        [head.columns for head in module.heads],  # type: ignore[misc]
    )
    floors = simple.score(outcome)
    if job.data.ranking is not None and floors:
        floors["popularity"] = CatalogueRanking(job.data).of_popularity()
    further = {part: _further_test(job, simple, part) for part in job.data.further_tests}
    rows = _task_rows(job, outcome)
    best = next(callback for callback in callbacks.values() if isinstance(callback, BestEpoch))
    throughput = [callback.result() for callback in callbacks.values() if isinstance(callback, Throughput)]
    folder.update(
        state="done",
        test=values,
        floors=floors,
        below_floor=below_floor(values, floors, rows),
        tests={part: found for part, (found, _, _) in further.items()},
        floors_of={part: beside for part, (_, beside, _) in further.items()},
        best=best.best,
        main_metrics=_main_metrics(module),
        **(throughput[0] if throughput else {}),
    )
    draw_curves(folder.path)
    for part, (found, beside, their_rows) in further.items():
        print(f"\nfurther test set {part}")
        print_results(job.label, found, beside, their_rows, notes=verdict_lines(job.label, found, beside, their_rows))
    notes = verdict_lines(job.label, values, floors, rows)
    print_results(job.label, values, floors, rows, folder, notes=notes)
    return folder.read()


def _test(job: Job, callbacks: list[Callback], part: str = "test") -> tuple[dict[str, float], Outcome]:
    loader = None if part == "test" else job.data.part_dataloader(part)
    outcome = test(job.module, job.data, job.trainer_settings, callbacks, job.folder.path, loader)
    values = outcome.score(job.module.tasks, job.module.metrics())
    if job.data.ranking is not None:
        values |= CatalogueRanking(job.data, part).of_model(job.module)
    return values, outcome


def _further_test(
    job: Job, floors: Floors, part: str
) -> tuple[dict[str, float], dict[str, dict[str, float]], list[TaskRows]]:
    """Scores of the model and of the floors on a test set beside the main one."""
    values, outcome = _test(job, [], part)
    return values, floors.score(outcome, part), _task_rows(job, outcome)


def _task_rows(job: Job, outcome: Outcome) -> list[TaskRows]:
    return [
        TaskRows(
            task.name,
            task.kind,
            int(outcome.labelled[:, k].sum()),
            {name: spec.higher_is_better for name, spec in listed(specs, outcome.group).items()}
            | _ranked(job, task.name),
            main_metric(specs),
            _cases(task.kind, outcome, k),
        )
        for k, (task, specs) in enumerate(zip(job.module.tasks, job.module.metrics(), strict=True))
    ]


def _ranked(job: Job, task: str) -> dict[str, bool | None]:
    """The metrics of ranking the whole catalogue by a task, and their direction."""
    spec = job.data.ranking
    if spec is None or spec.task != task:
        return {}
    return {f"{name}@{k}": True for k in spec.at for name in ("ndcg", "recall", "mrr")} | {"rankable": None}


def _cases(kind: str, outcome: Outcome, k: int) -> int:
    """Test rows that a verdict on task k rests on: positive ones where the labels are yes and no."""
    targets = outcome.targets[k][outcome.labelled[:, k]]
    return int((targets > 0).sum()) if kind in ("binary", "multilabel") else len(targets)


def _main_metrics(module: MultiTaskModule) -> dict[str, dict[str, Any]]:
    found = {}
    for task, specs in zip(module.tasks, module.metrics(), strict=True):
        name = main_metric(specs)
        found[task.name] = {"metric": name, "higher_is_better": specs[name].higher_is_better}
    return found


def _steps(callbacks: Mapping[str, Callback]) -> int:
    return next((c.last_step for c in callbacks.values() if isinstance(c, BestEpoch)), 0)


def _equal(value: float, before: float | None) -> bool:
    return (before is None and value != value) or value == before
