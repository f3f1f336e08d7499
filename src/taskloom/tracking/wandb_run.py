"""A run's view in Weights & Biases: on by default and never in the way.

The run folder is the truth and W&B a copy of it, so nothing that happens here ends a training: no key, no
server, a server that dies, a W&B that does not start. Each of them costs one line and the copy.
"""

import logging
import os
import statistics
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from taskloom.errors import RunError
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.wandb_local import link_to_sweep, sync_command
from taskloom.tracking.wandb_mode import (
    Mode,
    base_url,
    decide_mode,
    has_stored_key,
    server_answers,
    silent_setup,
)
from taskloom.tracking.wandb_names import group_name, keys_of_agent, run_id, shown_config, tags_of
from taskloom.tracking.wandb_ranks import SystemMetrics, rank_settings, several_ranks

INIT_SECONDS = 10.0
FINISH_SECONDS = 10.0
#: numbers of run.json that W&B shows as ``cost/<name>``
COSTS = ("rows_per_s", "seconds", "parameters", "peak_memory_mb")


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
    system_metrics: SystemMetrics = "first_rank",
) -> WandbLogger | None:
    """Start a W&B run in a run folder, or tell in one line why there is none.

    The run's id is kept in run.json under ``wandb`` beside ``mode``, ``dir``, ``url``, ``entity`` and ``project``, so
    that a resumed run goes on under the same id; a run already open in this process is finished first, so that two
    jobs are two runs. A process that an agent of W&B's own sweeps started takes id, project and entity from it, and
    leaves the config keys alone that the agent has set.

    Args:
        folder: the run folder, which holds a run.json; W&B's files go to ``wandb/`` in it.
        config: the resolved config, plain.
        project: W&B's project.
        entity: user or team; None takes the default of the key.
        group: None makes one of what the command line asked for, without the seeds, so that the seeds of a point lie
            together.
        tags: added to the names of the data set, of the model and of the sweep.
        name: None takes the model's name and the seed.
        job_type: None takes the config's ``command``.
        system_metrics: of a job on several ranks: the first one's, or ``each_rank``'s, which takes W&B's server.

    Returns:
        The Lightning logger; None where W&B is disabled or does not start.

    Raises:
        ConfigError: ``WANDB_MODE`` is none of W&B's modes.
        RunError: the folder holds no run.json.
    """
    run_folder = RunFolder.open(folder)
    mode = decide_mode(os.environ, lambda: server_answers(base_url()))
    if mode == "disabled":
        return None
    if mode == "online" and not has_stored_key():
        _say("there is no key (`wandb login` stores one), so this run is kept offline")
        mode = "offline"  # W&B would ask for a key and wait
    record = run_folder.read()
    agent = keys_of_agent(os.environ) if os.environ.get("WANDB_SWEEP_ID") else None
    options: dict[str, Any] = {
        "group": group or group_name(config, record),
        "tags": tags_of(config, record, tags),
        "name": name or f"{config.get('name') or 'run'} seed {config.get('seed')}",
        "job_type": job_type or str(config.get("command") or "train"),
        "resume": "allow",
        "config": shown_config(config, record, agent or ()),
        "dir": str(run_folder.path),
    }
    if agent is None:
        own = (record.get("wandb") or {}).get("id") or run_id(run_folder.path, config, record)
        options |= {"id": own, "project": project, "entity": entity}
    shared = system_metrics == "each_rank" and several_ranks()
    run = _start(options, mode, shared)
    if run is not None and run.offline and shared:
        _say("system_metrics=each_rank takes its server; offline there are the first rank's alone")
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
            "entity": run.entity or entity,
            "project": run.project,
        }
    )
    if record.get("sweep"):
        link_to_sweep(directory, run_folder.path.parent)
    return _Logger(project=project, save_dir=str(run_folder.path), experiment=run)


def finish(exit_code: int) -> None:
    """End the W&B run of this process, if there is one; belongs in a ``finally``.

    What run.json says by then beside the metrics goes along: the score of the best epoch, which W&B would take from
    the last one, speed and memory. Waits `FINISH_SECONDS` at most for what is still to be sent; what is not sent stays
    in the run folder.

    Args:
        exit_code: 0 for a run that went well; anything else marks it as failed.
    """
    wandb = sys.modules.get("wandb")
    run = getattr(wandb, "run", None)
    if wandb is None or run is None:
        return
    later = sync_command([run.settings.sync_dir], online=not run.offline)
    if run.settings.x_primary:
        with suppress(Exception):  # where its service is gone, the end says so
            _complete(run)
    try:
        wandb.finish(exit_code=exit_code)
    except Exception as error:
        _say(f"not all of the run was sent ({_short(error)}); `{later}` sends it later")


def _complete(run: Any) -> None:
    """Adds what only run.json knows."""
    try:
        record = RunFolder(run.settings.root_dir).read()
    except RunError:  # not a run folder's
        return
    costs = {name: record.get(name) for name in COSTS}
    if isinstance(memory := costs["peak_memory_mb"], Mapping):  # of the devices, where there are any
        devices = [value for place, value in memory.items() if place != "host" and value is not None]
        costs["peak_memory_mb"] = max(devices, default=memory.get("host"))
    run.summary.update({f"cost/{name}": cost for name, cost in costs.items() if cost is not None})
    scores = [unit.get("score") for unit in (record.get("best") or {}).values()]
    if scores and all(isinstance(score, int | float) for score in scores):
        run.summary.update({"val/score": statistics.fmean(scores)})
    if record["state"] == "pruned":
        run.tags = (*run.tags, "pruned")


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


def start_beside(run: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Joins the W&B run of another process, which keeps it; what goes wrong costs a line and this rank's copy.

    Args:
        run: its ``id``, ``project``, ``entity``, and ``dir``.
        settings: W&B's, of this process's share.
    """
    import wandb

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        silent_setup()
        wandb.init(**run, mode="shared", settings=_settings(wandb, settings))
    except Exception as error:
        _say(f"{settings['x_label']} did not join the run ({_short(error)}); its system metrics are missing")


def _start(options: dict[str, Any], mode: Mode, shared: bool) -> Any:
    """A W&B run, offline where online fails, None where both do."""
    import wandb

    _forget_dead_service()

    # W&B's own telemetry tells on the terminal when it cannot be delivered.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    for attempt in ("online", "offline") if mode == "online" else ("offline",):
        try:
            silent_setup()
            sharing = shared and attempt == "online"
            run = wandb.init(
                **options,
                mode="shared" if sharing else attempt,
                reinit="finish_previous",
                settings=_settings(wandb, rank_settings(0) if sharing else {}),
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


def _forget_dead_service() -> None:
    """Where the environment names another process's W&B service, and it is gone, we start one of our own."""
    import wandb

    if not os.environ.get("WANDB_SERVICE"):
        return
    try:
        silent_setup().ensure_service()
    except Exception:
        del os.environ["WANDB_SERVICE"]
        wandb.teardown()


def _settings(wandb: Any, further: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {
        **further,
        "console": "off",  # capturing the terminal would break the progress bar
        "init_timeout": INIT_SECONDS,
        "finish_timeout": FINISH_SECONDS,
        "finish_timeout_raises": True,
    }
    try:  # private: without it a killed run loses its last 15 seconds
        return wandb.Settings(**values, x_transaction_log_flush_interval=1)
    except Exception:
        return wandb.Settings(**values)


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _say(sentence: str) -> None:
    print(f"W&B: {sentence}", file=sys.stderr, flush=True)
