"""The fixed sections of a config: their keys, kinds and ranges. The values themselves are in conf/."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge

from taskloom.ranges import Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt, Share

Limit = NonNegativeInt | Share | None  # batches, or a share of them


@dataclass
class FeaturesSection:
    """Arguments of :class:`taskloom.features.features.Features`."""

    dim: PositiveInt
    views: Literal["shared", "per_task", "both"]
    l2: NonNegative
    dropout: Fraction
    l2_power: NonNegative = 1.0
    init_std: Positive = 0.01
    frequency_power: NonNegative = 0.0
    hash_above: Annotated[int, Ge(3)] | None = None  # unknown, and two rows to share
    sparse: bool = False


@dataclass
class HeadsSection:
    """What every task's head has in common."""

    hidden: list[PositiveInt]
    dropout: Fraction


@dataclass
class ParameterGroup:
    """Parameters whose names match a pattern, and what the optimiser does differently with them."""

    pattern: str
    weight_decay: NonNegative | None = None
    lr: NonNegative | None = None


@dataclass
class TrainerSection:
    """How and on what a model is trained."""

    accelerator: Literal["auto", "cpu", "gpu"]
    strategy: Literal["single", "ddp", "sharded"]
    devices: PositiveInt | Literal["auto"]
    num_nodes: PositiveInt
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"]
    gradient_clip_val: NonNegative | None
    log_every_n_steps: PositiveInt
    limit_train_batches: Limit
    limit_val_batches: Limit
    limit_test_batches: Limit
    threads: PositiveInt | None
    deterministic: bool
    profile: bool
    shard_from: PositiveInt | None = None


@dataclass
class PathsSection:
    """Folders."""

    root: str
    data: str
    logs: str
    runs: str


@dataclass
class TrainConfig:
    """The root of ``conf/train.yaml``; a section with a ``_target_`` is checked by its signature instead."""

    command: Literal["train"]
    name: str
    seed: Annotated[int, Ge(0)]
    tasks: list[str] | None
    plugins: list[str]
    floors: list[str] | None
    resume: None  # a command of its own: it never becomes part of a config
    reduction: Literal["mean_labelled", "sum"]
    features: FeaturesSection
    heads: HeadsSection
    parameter_groups: dict[str, ParameterGroup]
    data: dict[str, Any]
    model: dict[str, Any]
    backbone: dict[str, Any]
    balancer: dict[str, Any]
    method: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    trainer: TrainerSection
    callbacks: dict[str, Any]
    logger: dict[str, Any]
    paths: PathsSection
    debug_mode: str | None


# The groups whose member is one node, and what the programme itself gives to it.
NODES: dict[str, tuple[str, ...]] = {
    "data": ("raw_dir", "processed_dir", "selected", "seed"),
    "model": ("backbone", "tasks"),
    "backbone": ("inputs",),
    "balancer": ("tasks",),
    "method": (),
    "optimizer": ("params",),
    "scheduler": ("optimizer", "total_steps"),
}
# The groups that hold a node a name.
COLLECTIONS: dict[str, tuple[str, ...]] = {"callbacks": ("folder",), "logger": ("folder", "config")}
