"""Trains and tests one config in this process, alone or as one of several ranks."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
import torch.distributed as dist

from taskloom.config.accelerator import check_accelerator
from taskloom.config.plugins import load_plugins
from taskloom.data.datamodule import DataModule
from taskloom.errors import ConfigError
from taskloom.module import MultiTaskModule
from taskloom.outcome import Outcome
from taskloom.place import Place
from taskloom.tracking.metrics_file import MetricsFile
from taskloom.tracking.quiet import quiet
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.wandb_ranks import join_first_rank
from taskloom.training.build import make_callbacks, make_data, make_loggers, make_module
from taskloom.training.floors import Floors
from taskloom.training.meeting import Meeting
from taskloom.training.profile import Profile
from taskloom.training.pruning import PrunedError, end_pruned, pruning
from taskloom.training.ranking import CatalogueRanking
from taskloom.training.rng import seed_rank
from taskloom.training.run import fit, test
from taskloom.training.strategy import device_of, lightning_settings
from taskloom.training.subnormals import flushed

Config = Mapping[str, Any]


@dataclass
class Job:
    """A config's data and network, ready to be trained or tested.

    Args:
        config: resolved.
        folder: of the run.
        data: set up.
        module: with its initial weights.
        place: among the ranks that train it; None where it is trained alone.
    """

    config: Config
    folder: RunFolder
    data: DataModule
    module: MultiTaskModule
    place: Place | None = None

    @property
    def trainer_settings(self) -> dict[str, Any]:
        """Arguments of ``lightning.Trainer``."""
        return lightning_settings(self.config["trainer"], self.place)

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes."""
        return self.place is None or self.place.rank == 0

    @property
    def label(self) -> str:
        """What tables and W&B call the model."""
        return str(self.config["name"])


@dataclass(frozen=True)
class Tested:
    """What the model says of a part.

    Args:
        outcome: of all its rows.
        ranked: metrics of ranking the whole catalogue, keyed ``task/metric``; empty where none are asked for.
    """

    outcome: Outcome
    ranked: dict[str, float]

    def values(self, module: MultiTaskModule) -> dict[str, float]:
        """The metrics, keyed ``task/metric``."""
        return self.outcome.score(module.tasks, module.metrics()) | self.ranked


def prepare(config: Config, folder: RunFolder, meeting: Meeting | None = None) -> Job:
    """Plugins, threads, data, seeds and network; on several ranks, the group in which they train.

    Args:
        config: resolved.
        folder: of the run.
        meeting: where the ranks of the job meet; None where it is trained alone.
    """
    quiet()
    place = meeting.place if meeting else None
    # A run may be resumed or tested on another machine, and resumed on as many ranks as are there.
    devices = config["trainer"]["devices"] if place is None else "auto"
    for problem in check_accelerator({**config["trainer"], "devices": devices}):
        raise ConfigError(problem.text)
    load_plugins(config["plugins"])
    if config["trainer"]["threads"]:
        torch.set_num_threads(config["trainer"]["threads"])
    if meeting is not None:
        meeting.join(device_of(config["trainer"], meeting.place))
    data = make_data(config)
    _prepare_data(data, place)
    data.setup()
    L.seed_everything(config["seed"], verbose=False)
    module = make_module(config, data)
    if place is not None:
        seed_rank(config["seed"], place.rank)  # the same weights on all ranks, and dropout of their own
    return Job(config, folder, data, module, place)


def _prepare_data(data: DataModule, place: Place | None) -> None:
    """Once a machine, the first rank's first: a folder that all machines share is then ready for the others."""
    if place is None or (place.rank == 0 and not place.ours):
        data.prepare_data()
    if place is not None and not place.ours:
        dist.barrier()
        if place.local_rank == 0 and place.rank > 0:
            data.prepare_data()
        dist.barrier()


@flushed()
def train(config: Config, folder: RunFolder, meeting: Meeting | None = None) -> None:
    """Trains and tests a config in its run folder, which holds the record and all results in the end.

    Args:
        config: resolved.
        folder: of the run, with a record that says ``running``.
        meeting: where the ranks of the job meet; None where it is trained alone.
    """
    from taskloom.training.results import conclude

    job = prepare(config, folder, meeting)
    module, checkpoints = job.module, folder.checkpoints
    floors = Floors(config["floors"], job.data, module)
    loggers = []
    if job.first:
        parameters = sum(p.numel() for p in module.parameters())
        for line in job.data.summary():
            print(line)
        print(f"model {job.label}: {parameters:,} parameters, tasks {', '.join(t.name for t in module.tasks)}")
        ranks, before = job.place.world if job.place else 1, folder.read().get("ranks")
        if before not in (None, ranks):
            print(f"the run began on {before} rank{'s' * (before > 1)} and goes on on {ranks}")
        sys.stdout.flush()
        folder.update(fingerprint=job.data.fingerprint, summary=job.data.summary(), parameters=parameters, ranks=ranks)
        loggers = [MetricsFile(folder.metrics), *make_loggers(config, folder.path)]
        for logger in loggers[1:]:
            logger.log_hyperparams({"parameters": parameters})
    join_first_rank(config)
    callbacks = make_callbacks(config, checkpoints) | pruning(folder.path)
    if config["trainer"]["profile"] and job.first:
        callbacks["profile"] = Profile(folder.path)
    try:
        fit(module, job.data, job.trainer_settings, list(callbacks.values()), loggers, folder.path, checkpoints)
    except PrunedError as why:  # on all ranks alike
        if job.first:
            end_pruned(folder, why, callbacks.values())
        return
    tested = {part: run_test(job, part) for part in ("test", *job.data.further_tests)}
    if meeting is not None:
        meeting.leave()  # what is left is the first rank's, and may take longer than others should wait
    if job.first:
        conclude(job, {part: of for part, of in tested.items() if of is not None}, floors, callbacks, loggers)


def run_test(job: Job, part: str = "test") -> Tested | None:
    """The model's predictions of a part, on the first rank; None on the others, which take part in it."""
    loader = None if part == "test" else job.data.part_dataloader(part)
    outcome = test(job.module, job.data, job.trainer_settings, [], job.folder.path, loader)
    ranked = {} if job.data.ranking is None else CatalogueRanking(job.data, part).of_model(job.module)
    return None if outcome is None or ranked is None else Tested(outcome, ranked)
