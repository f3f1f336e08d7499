"""What a run was set to: members of config groups, and the flattened keys of its config."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Value = str | int | float | bool | None

#: groups of which a member says nothing about what is learnt
_SILENT_GROUPS = ("logger", "paths", "callbacks", "hydra", "sweep")


def flatten(config: Mapping[str, Any]) -> dict[str, Value]:
    """A config's leaves by dotted key; a list is one leaf, as text.

    Example:
        >>> flatten({"seed": 1, "optimizer": {"lr": 0.01, "betas": [0.9, 0.99]}, "callbacks": {}})
        {'seed': 1, 'optimizer.lr': 0.01, 'optimizer.betas': '[0.9, 0.99]', 'callbacks': '{}'}
    """
    return dict(_leaves(config, ""))


def _leaves(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Value]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, list | dict):
            text = json.dumps(value, ensure_ascii=False)
            yield f"{prefix}{key}", text.replace('"', "") if isinstance(value, list) else text
        else:
            yield f"{prefix}{key}", value


def chosen(record: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, str]:
    """The member chosen in each config group, as far as a run's record tells.

    Runs of today say so themselves (``choices``). Of an older one the command line names some, and the classes in its
    config the rest: ``taskloom.sharing.soft_sharing.SoftSharing`` is ``soft_sharing``.

    Args:
        record: run.json.
        overrides: the run's own command line.

    Example:
        >>> chosen({"config": {"model": {"_target_": "a.SoftSharing"}}}, ["backbone=fm"])
        {'model': 'soft_sharing', 'backbone': 'fm'}
    """
    known = record.get("choices")
    if isinstance(known, dict):
        return {group: str(member) for group, member in known.items() if member is not None and _tells(group)}
    config = record.get("config") or {}
    found = {}
    for group, node in config.items():
        if isinstance(node, dict) and "_target_" in node and _tells(group):
            found[group] = str(node["name"]) if group == "data" and node.get("name") else _snake(str(node["_target_"]))
    for override in overrides:
        key, equals, value = override.lstrip("+").partition("=")
        is_group = key not in config or isinstance(config[key], dict)
        if equals and is_group and _tells(key) and "." not in key and not value.startswith(("{", "[")):
            found[key] = value
    return found


def named(overrides: Sequence[str]) -> list[str]:
    """The groups and keys that a command line names, in its order.

    Example:
        >>> named(["model=fm", "+optimizer.eps=1e-8", "seed=3", "model=mlp"])
        ['model', 'optimizer.eps', 'seed']
    """
    return list(dict.fromkeys(override.partition("=")[0].lstrip("+~").partition("@")[0] for override in overrides))


def tasks_of(config: Mapping[str, Any]) -> list[str]:
    """The tasks that a config trains, in order."""
    data = config.get("data") or {}
    tasks = config.get("tasks") or data.get("default_tasks") or list(data.get("tasks") or {})
    return [str(task) for task in tasks]


def show(value: Value) -> str:
    """A setting as a person reads it.

    Example:
        >>> [show(value) for value in (0.0010, 3e-05, True, None, "fm", 20)]
        ['0.001', '3e-05', 'true', '–', 'fm', '20']
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _tells(group: str) -> bool:
    return group.partition("/")[0] not in _SILENT_GROUPS


def _snake(target: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", target.rpartition(".")[2]).lower()
