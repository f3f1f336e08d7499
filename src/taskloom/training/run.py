"""Fit and test one model: takes objects, not a config, so that a notebook can use it too."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import Logger

from taskloom.distributed import from_first, rank, sharded, spread_from_first
from taskloom.errors import ConfigError
from taskloom.methods import Phase
from taskloom.module import MultiTaskModule
from taskloom.outcome import Outcome
from taskloom.training.best import BestEpoch
from taskloom.training.checkpoint import BEST, LAST, Checkpoint, read_checkpoint
from taskloom.training.strategy import RanksStrategy, leave_signals_alone


def make_trainer(
    settings: Mapping[str, Any],
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    folder: Path,
    epochs: int,
) -> L.Trainer:
    """A Lightning trainer that leaves checkpoints, progress and metrics to our callbacks.

    Args:
        settings: arguments of ``lightning.Trainer``; ``strategy`` may be a function that makes one.
        callbacks: in order.
        loggers: where metrics go.
        folder: of the run.
        epochs: at most.
    """
    own = {key: value() if key == "strategy" and callable(value) else value for key, value in settings.items()}
    trainer = L.Trainer(
        **own,
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=list(loggers) or False,
        default_root_dir=folder,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        use_distributed_sampler=False,
    )
    if isinstance(trainer.strategy, RanksStrategy):
        leave_signals_alone(trainer)
    return trainer


def start_phase(module: MultiTaskModule, phase: Phase) -> None:
    """Lets the phase's parameters train and the others stand still.

    Raises:
        ConfigError: a phase that trains nothing.
    """
    module.phase = phase
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(re.match(phase.trained, name) is not None)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ConfigError(f"method: phase {phase.name} trains nothing: no parameter's name matches {phase.trained!r}")


def steps_an_epoch(data: L.LightningDataModule, limit: float | None) -> int:
    """Training steps of an epoch; the limit is a number of batches, a share of them, or None for all."""
    whole = len(data.train_dataloader())
    if limit is None:
        return whole
    return max(1, int(whole * limit) if isinstance(limit, float) else min(whole, limit))


def load_best(module: MultiTaskModule, checkpoints: Path) -> None:
    """Gives the module the weights of the best epoch, which the first rank reads for all.

    Another machine's file system may show the file as it was before.
    """
    path = checkpoints / BEST
    content = read_checkpoint(path) if rank() == 0 else {}
    if sharded(module) or content.get("shards"):
        from taskloom.training.sharded_checkpoint import load_state

        load_state(module, from_first(content), path)
        return
    if rank() == 0:
        module.load_state_dict(content["state_dict"])
    spread_from_first(list(module.state_dict().values()))


def fit(
    module: MultiTaskModule,
    data: L.LightningDataModule,
    settings: Mapping[str, Any],
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    folder: Path,
    checkpoints: Path,
) -> None:
    """Trains through all phases and leaves the module with the weights of the best epoch.

    Goes on from ``last.ckpt`` where there is one.

    Args:
        module: to train.
        data: set up.
        settings: arguments of ``lightning.Trainer``.
        callbacks: Checkpoint and BestEpoch among them.
        loggers: where metrics go.
        folder: of the run.
        checkpoints: where last.ckpt and best.ckpt lie.
    """
    best = next(callback for callback in callbacks if isinstance(callback, BestEpoch))
    checkpoint = next(callback for callback in callbacks if isinstance(callback, Checkpoint))
    last = checkpoints / LAST
    checkpoints.mkdir(parents=True, exist_ok=True)
    # The first rank's word, because another machine's file system may be late.
    resume = from_first(last.exists())
    resumed_phase = read_checkpoint(last)["callbacks"]["Checkpoint"]["phase"] if resume else 0
    epochs_before = 0
    for number, phase in enumerate(module.method.phases()):
        if number >= resumed_phase:
            start_phase(module, phase)
            checkpoint.phase, best.epochs_before = number, epochs_before
            best.best = {}
            trainer = make_trainer(settings, callbacks, loggers, folder, phase.epochs)
            module.total_steps = phase.epochs * steps_an_epoch(data, settings.get("limit_train_batches"))
            trainer.fit(module, datamodule=data, ckpt_path=last if resume else None, weights_only=True)
            if trainer.interrupted:
                raise KeyboardInterrupt
            load_best(module, checkpoints)
            resume = False
        epochs_before += phase.epochs


def test(
    module: MultiTaskModule,
    data: L.LightningDataModule,
    settings: Mapping[str, Any],
    callbacks: Sequence[Callback],
    folder: Path,
    rows: Any,
) -> Outcome | None:
    """Predictions of all test rows, once; or of the rows that another loader gives. None on ranks but the first."""
    trainer = make_trainer(settings, callbacks, [], folder, 1)
    source = {"datamodule": data} if rows is None else {"dataloaders": rows}
    trainer.test(module, **source, verbose=False)
    return module.outcome
