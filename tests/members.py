"""The members of conf/model and conf/backbone as factories, so that a new YAML is tested without a new test."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from taskloom.config.targets import locate
from taskloom.schema import Feature, Schema
from taskloom.tasks import Task

CONF = Path(__file__).resolve().parents[1] / "conf"

#: what every member can read: sides, a bag, numbers, a history and a scenario
SCHEMA = Schema(
    (
        Feature("user", "categorical", "user", size=12),
        Feature("item", "categorical", "item", size=9),
        Feature("hour", "categorical", "context", size=4),
        Feature("genres", "bag", "item", size=5, width=3),
        Feature("age", "dense", "user"),
    ),
    targets=("like", "rating"),
    history=("item",),
    prior=("hour",),
)
#: a chain of two, and one beside it
TASKS = (Task("like", "binary"), Task("rating", "regression"), Task("buy", "binary", target="like", parent="like"))


def names(group: str) -> list[str]:
    """The members of a config group."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def node(group: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A member's own node, and what else its file sets."""
    config: Any = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))
    return (config[group], config) if group in config else (config, {})


def scheme(name: str, **changes: Any) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """A sharing scheme as conf has it, less its backbone and tasks, and the views that it can read, its own first."""
    own, config = node("model", name)
    made, views = locate(own["_target_"]), config["features"]["views"]
    arguments = {key: value for key, value in own.items() if key != "_target_"}
    return partial(made, **{**arguments, **changes}), tuple(sorted(made.views, key=lambda other: other != views))


def backbone(name: str, **changes: Any) -> Callable[..., Any]:
    """A backbone as conf has it, but small and without dropout; it still wants its InputSpec."""
    own, _ = node("backbone", name)
    arguments = {key: value for key, value in own.items() if key != "_target_"}
    small = {"hidden": [16, 8], **{key: 0.0 for key in arguments if "dropout" in key}}
    if "width" in arguments:
        small["width"] = 8
    return partial(locate(own["_target_"]), **{**arguments, **small, **changes})
