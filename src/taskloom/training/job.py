"""One job: a resolved config in, a run folder with everything in it out."""

import sys
from collections.abc import Mapping
from math import isclose
from pathlib import Path
from typing import Any

import torch.distributed as dist

from taskloom.config.accelerator import check_accelerator
from taskloom.config.plugins import load_plugins, plugin_records
from taskloom.errors import ConfigError, RunError, TaskloomError
from taskloom.sweeping.ledger import ENDED
from taskloom.tracking.machine import describe
from taskloom.tracking.quiet import quiet
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.table import print_results
from taskloom.tracking.verdict import verdict_lines
from taskloom.tracking.wandb_run import finish
from taskloom.training.build import make_data
from taskloom.training.meeting import failure
from taskloom.training.rank import meeting
from taskloom.training.ranks import processes, train_on_ranks
from taskloom.training.results import task_rows
from taskloom.training.run import load_best
from taskloom.training.subnormals import flushed
from taskloom.training.train import prepare, run_test, train

Config = Mapping[str, Any]


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
    with run_folder.hold() as lock:
        return _train(run_folder, lock)


def resume_job(folder: Path) -> dict[str, Any]:
    """Goes on with a run that was killed or failed, from its ``last.ckpt`` or, without one, from the beginning.

    Raises:
        RunError: the folder holds no run or one that is still running, or its plugins have changed since.
    """
    run_folder = RunFolder.open(folder)
    record = run_folder.read()
    if record["state"] in ENDED:
        return record
    now = plugin_records(record["config"]["plugins"])
    if now != record["plugins"]:
        raise RunError(
            f"{folder}: a plugin has changed since the run began ({', '.join(p['path'] for p in now)}); "
            "restore it, or start a new run"
        )
    with run_folder.hold() as lock:
        run_folder.update(state="running", resumed=record.get("resumed", 0) + 1)
        return _train(run_folder, lock)


@flushed()
def evaluate_job(folder: Path) -> dict[str, Any]:
    """Tests a run's best checkpoint once more, in this process, and compares with what the run said.

    Returns:
        ``test``: the numbers; ``same``: whether they equal those in ``run.json``, None where it has none.

    Raises:
        RunError: the folder holds no run, or no checkpoint.
    """
    run_folder = RunFolder.open(folder)
    record = run_folder.read()
    alone = {"strategy": "single", "devices": 1, "num_nodes": 1}
    job = prepare({**record["config"], "trainer": {**record["config"]["trainer"], **alone}}, run_folder)
    if not (run_folder.checkpoints / "best.ckpt").exists():
        if "best.ckpt" in (record.get("freed") or []):
            raise RunError(f"{folder}: its checkpoints were deleted to free the disk; its numbers are in run.json")
        raise RunError(
            f"{folder} has no checkpoints/best.ckpt yet; train it first: python src/train.py resume={folder}"
        )
    load_best(job.module, run_folder.checkpoints)
    tested = run_test(job)
    assert tested is not None
    values, before = tested.values(job.module), record.get("test")
    # Several ranks have smaller batches, whose products are rounded otherwise.
    tolerance = 0 if record.get("ranks", 1) == 1 else 1e-6
    same = None if before is None else all(_equal(values[key], before.get(key), tolerance) for key in values)
    floors, rows = record.get("floors") or {}, task_rows(job, tested.outcome)
    notes = verdict_lines(job.label, values, floors, rows)
    print_results(job.label, values, floors, rows, run_folder, notes=notes)
    if same is not None:
        print("the same numbers as in run.json" if same else "NOT the same numbers as in run.json")
    return {"test": values, "same": same}


def _train(folder: RunFolder, lock: int) -> dict[str, Any]:
    """Trains the run of a folder that this process holds, in this process or in several; says how it ended."""
    code = 1
    try:
        _on_processes(folder, lock)
        code = 0
        return folder.read()
    except BaseException as error:
        ended = _cause(error)
        # Lightning turns an interrupt in the middle of training into an exit.
        folder.fail(KeyboardInterrupt() if isinstance(ended, SystemExit) else ended)
        if ended is not error:
            raise ended from ended.__cause__
        raise
    finally:
        finish(code)
        _end_group()


def _end_group() -> None:
    """A process that trained sharded tables alone had a group of one."""
    if "taskloom.training.sharded" in sys.modules:
        sys.modules["taskloom.training.sharded"].close_own_group()


def _on_processes(folder: RunFolder, lock: int) -> None:
    record = folder.read()
    config, others = record["config"], meeting()
    if others is not None:
        others.tell({"folder": str(folder.path)})
        train(config, folder, others)
    elif (world := processes(config["trainer"])) > 1:
        quiet()
        for problem in check_accelerator(config["trainer"]):
            other = f"; torchrun --standalone --nproc-per-node=<number> src/train.py resume={folder.path} goes on on as"
            raise ConfigError(problem.text + (f"{other} many processes as you name" if record.get("resumed") else ""))
        load_plugins(config["plugins"])
        make_data(config).prepare_data()  # once, and for as long as it takes
        train_on_ranks(folder.path, world, lock, config["trainer"]["threads"])
    else:
        train(config, folder)


def _cause(error: BaseException) -> BaseException:
    """Why a run ended: where another rank failed first, this one's error is only that it is gone."""
    others = meeting()
    if others is None or isinstance(error, TaskloomError):
        return error
    if (said := failure(others.store)) is not None:
        return said
    if isinstance(error, dist.DistError) or "gloo/transport" in str(error):
        return RunError(f"another rank has ended without a word; what {others.place.by} says may tell more")
    return error


def _equal(value: float, before: float | None, tolerance: float) -> bool:
    return (before is None and value != value) or (before is not None and isclose(value, before, rel_tol=tolerance))
