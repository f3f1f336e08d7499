"""A run's view in Weights & Biases: on by default and never in the way.

The run folder is the truth and W&B a copy of it, so nothing that happens here ends a training: no key, no
server, a server that dies, a W&B that does not start. Each of them costs one line and the copy.
"""

import hashlib
import json
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from taskloom.tracking.run_folder import RunFolder, plain
from taskloom.tracking.wandb_mode import (
    Mode,
    base_url,
    decide_mode,
    has_stored_key,
    server_answers,
    silent_setup,
)

INIT_SECONDS = 10.0
FINISH_SECONDS = 10.0


def wandb_logger(
    folder: Path | str,
    config: Mapping[str, Any],
    *,
    project: str,
    entity: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    name: str | None = None,
    job_type: str | None = None,
) -> WandbLogger | None:
    """Start a W&B run in a run folder, or tell in one line why there is none.

    The run's id is kept in run.json under ``wandb`` beside ``mode``, ``dir`` and ``url``, so that a resumed
    run goes on under the same id; a run already open in this process is finished first, so that two jobs are
    two runs.

    Args:
        folder: the run folder, which holds a run.json; W&B's files go to ``wandb/`` in it.
        config: the resolved config, plain.
        project: W&B's project.
        entity: user or team; None takes the default of the key.
        group: None makes one of the config without its seed, so that the seeds of a point lie together.
        tags: added to the names of the data set and of the model.
        name: None takes the model's name and the seed.
        job_type: None takes the config's ``command``.

    Returns:
        The Lightning logger; None where W&B is disabled or does not start.

    Raises:
        ConfigError: ``WANDB_MODE`` is none of W&B's modes.
        RunError: the folder holds no run.json.
    """
    run_folder = RunFolder.open(folder)
    if (
        getattr(rank_zero_only, "rank", 0) != 0
    ):  # a stand-in: Lightning gives the other processes a run that does nothing
        return _Logger(project=project, save_dir=str(run_folder.path))
    label = str(config.get("name") or "run")
    mode = decide_mode(os.environ, lambda: server_answers(base_url()))
    if mode == "disabled":
        return None
    if mode == "online" and not has_stored_key():
        _say("there is no key (`wandb login` stores one), so this run is kept offline")
        mode = "offline"  # W&B would ask for a key and wait
    data = config.get("data") or {}
    options = {
        "project": project,
        "entity": entity,
        "group": group or f"{label}-{_digest(_without(config, 'seed', 'paths', 'logger', 'resume'))[:6]}",
        "tags": _tags([data.get("name"), label, *tags]),
        "name": name or f"{label} seed {config.get('seed')}",
        "job_type": job_type or str(config.get("command") or "train"),
        "id": (run_folder.read().get("wandb") or {}).get("id") or _run_id(run_folder, config),
        "resume": "allow",
        "config": plain(_without(config, "paths")),
        "dir": str(run_folder.path),
    }
    run = _start(options, mode)
    if run is None:
        return None
    directory = Path(run.settings.sync_dir)
    inside = directory.is_relative_to(run_folder.path)
    run_folder.update(
        wandb={
            "id": run.id,
            "mode": "offline" if run.offline else "online",
            "dir": str(directory.relative_to(run_folder.path) if inside else directory),
            "url": None if run.offline else run.url,
        }
    )
    return _Logger(project=project, save_dir=str(run_folder.path), experiment=run)


def finish(exit_code: int) -> None:
    """End the W&B run of this process, if there is one; belongs in a ``finally``.

    Waits `FINISH_SECONDS` at most for what is still to be sent; what is not sent stays in the run folder.

    Args:
        exit_code: 0 for a run that went well; anything else marks it as failed.
    """
    wandb = sys.modules.get("wandb")
    if wandb is None or getattr(wandb, "run", None) is None:
        return
    directory = wandb.run.settings.sync_dir
    try:
        wandb.finish(exit_code=exit_code)
    except Exception as error:
        _say(f"not all of the run was sent ({_short(error)}); `wandb sync {directory}` sends it later")


class _Logger(WandbLogger):
    """Lightning's logger, which after the first failure of W&B says so and keeps still."""

    _lost = False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._try(super().log_metrics, metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        self._try(super().log_hyperparams, params)

    def _try(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._lost:
            return
        try:
            call(*arguments)
        except Exception as error:
            self._lost = True
            _say(f"it takes no more values ({_short(error)}); metrics.jsonl has them all")


def _start(options: dict[str, Any], mode: Mode) -> Any:
    """A W&B run, offline where online fails, None where both do."""
    import wandb

    # W&B's own telemetry tells on the terminal when it cannot be delivered.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    for attempt in ("online", "offline") if mode == "online" else ("offline",):
        try:
            silent_setup()
            run = wandb.init(
                **options,
                mode=attempt,
                reinit="finish_previous",
                settings=_settings(wandb),
            )
            # The step is a value like others: wandb's own step would refuse rows of one step logged apart.
            run.define_metric("trainer/global_step")
            run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
            return run
        except Exception as error:
            then = "this run is kept offline" if attempt == "online" else "this run goes without it"
            _say(f"it did not start ({_short(error)}); {then}")
            # The service holds on to an id whose start failed, and a second start with it would fail too.
            try:
                wandb.teardown()
            except Exception as second:
                _say(f"nor did it stop cleanly ({_short(second)})")
    return None


def _settings(wandb: Any) -> Any:
    values: dict[str, Any] = {
        "console": "off",  # capturing the terminal would break the progress bar
        "init_timeout": INIT_SECONDS,
        "finish_timeout": FINISH_SECONDS,
        "finish_timeout_raises": True,
    }
    try:  # private: without it a killed run loses its last 15 seconds
        return wandb.Settings(**values, x_transaction_log_flush_interval=1)
    except Exception:
        return wandb.Settings(**values)


def _run_id(folder: RunFolder, config: Mapping[str, Any]) -> str:
    """The config and its seed; also where and when, because two runs of one config are two runs."""
    where = [folder.path.parent.name, folder.path.name, folder.read().get("created")]
    return _digest({"config": _without(config, "paths"), "where": where})[:16]


def _digest(value: Any) -> str:
    text = json.dumps(plain(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _without(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}


def _tags(words: Sequence[Any]) -> list[str]:
    """Each once, and no longer than W&B takes."""
    return list(dict.fromkeys(str(word)[:64] for word in words if word))


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _say(sentence: str) -> None:
    print(f"W&B: {sentence}", file=sys.stderr, flush=True)
