"""From a resolved config to objects: the one place that knows both."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from taskloom.data.datamodule import DataModule
from taskloom.errors import ConfigError, TaskloomError
from taskloom.features import Features, count_ids
from taskloom.heads import head_class
from taskloom.module import MultiTaskModule
from taskloom.training.parameter_groups import parameter_groups

Config = Mapping[str, Any]


def make(config: Config, path: str, runtime: Mapping[str, Any] | None = None) -> Any:
    """The object of one ``_target_`` node.

    Args:
        config: the whole resolved config.
        path: of the node, such as ``model`` or ``logger.wandb``.
        runtime: arguments that no config can hold.

    Raises:
        ConfigError: the object could not be made; the message names the config path and the cause.
    """
    node: Any = config
    for key in path.split("."):
        node = node[key]
    try:
        made = instantiate({**node, "_partial_": True} if runtime else node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, TaskloomError):
            raise cause from None
        raise ConfigError(f"{path}: {cause or error}") from cause
    # Runtime arguments go past Hydra, which would turn a dataclass into a config.
    return made(**runtime) if runtime else made


def make_data(config: Config) -> DataModule:
    """The data module, with its tasks selected and no file touched."""
    data = Path(config["paths"]["data"])
    made: DataModule = make(
        config,
        "data",
        {
            "raw_dir": data / "raw",
            "processed_dir": data / "processed",
            "selected": config["tasks"],
            "seed": config["seed"],
        },
    )
    return made


def make_module(config: Config, data: DataModule) -> MultiTaskModule:
    """The network and its objective for data that is set up.

    Raises:
        ConfigError: parts that do not fit together.
    """
    tasks = data.tasks
    trainer = config["trainer"]
    sharded = trainer.get("strategy") == "sharded"
    meta_from = trainer["shard_from"] if sharded else None
    counts = None
    if config["features"].get("frequency_power") or config["features"].get("l2_power", 1) != 1:
        train = data.store.split("train")
        counts = count_ids(data.schema, {"categorical": train.categorical, "bags": train.bags})
    features = Features(data.schema, len(tasks), **config["features"], counts=counts, meta_from=meta_from)
    if sharded:
        from taskloom.training.sharded import shard_tables

        shard_tables(features, trainer["accelerator"])
    backbone = partial(make, config, "backbone", {"inputs": features.inputs})
    sharing = make(config, "model", {"backbone": backbone, "tasks": tasks})
    sharing.check_views(features.views)
    heads = [
        head_class(task)(
            task,
            statistics,
            sharing.width,
            sharing.wide,
            **{**config["heads"], "sides": sharing.sides, **task.options},
        )
        for task, statistics in zip(tasks, data.statistics, strict=True)
    ]
    return MultiTaskModule(
        features,
        sharing,
        heads,
        make(config, "balancer", {"tasks": tasks}),
        make(config, "method"),
        make(config, "optimizer"),
        make(config, "scheduler"),
        partial(parameter_groups, patterns=config["parameter_groups"]),
        config["reduction"],
    )


def make_callbacks(config: Config, checkpoints: Path) -> dict[str, Callback]:
    """The callbacks of the config by name, less those set to null; two of them know where checkpoints lie."""
    made: dict[str, Callback] = {}
    for name in (name for name, node in config["callbacks"].items() if node is not None):
        runtime = {"folder": checkpoints} if name in ("checkpoint", "best") else {}
        made[name] = make(config, f"callbacks.{name}", runtime)
    return made


def make_loggers(config: Config, folder: Path) -> list[Logger]:
    """The loggers of the config beside metrics.jsonl, less those set to null."""
    named = [name for name, node in config["logger"].items() if node is not None]
    made = [make(config, f"logger.{name}", {"folder": folder, "config": config}) for name in named]
    return [logger for logger in made if logger is not None]
