"""What a run is called in W&B: its group, its tags, its id, and the config that is shown of it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from taskloom.tracking.run_folder import plain
from taskloom.tracking.silent_settings import is_silent, loud

LONGEST_GROUP, LONGEST_TAG = 128, 64  # W&B takes no more characters
_READABLE = 96  # of a group's name, before its digest
Record = Mapping[str, Any]


def group_name(config: Mapping[str, Any], record: Record) -> str:
    """The name that the runs of one configuration share: the same for each seed, another for each configuration.

    What a person would call the configuration comes first, for reading; a digest of all the rest of the config
    follows, so that two configurations never share a group.

    Args:
        config: the resolved config.
        record: run.json, whose ``overrides`` and ``choices`` say what was asked for; an older one has neither.

    Example:
        >>> record = {"choices": {"model": "soft_sharing"}, "overrides": ["seed=3", "optimizer.lr=0.1"]}
        >>> group_name({"seed": 3, "optimizer": {"lr": 0.1}}, record)
        'model=soft_sharing optimizer.lr=0.1 · a2c56bce'
    """
    choices = record.get("choices") or {}
    words = {group: f"{group}={choices[group]}" for group in ("model", "backbone") if choices.get(group)}
    apart = str((record.get("sweep") or {}).get("label", "")).split()
    overrides = [str(override).lstrip("+~") for override in record.get("overrides") or ()]
    for override in sorted(overrides, key=lambda override: override not in apart):
        key = override.partition("=")[0]
        if not is_silent(key) and not key.startswith("hydra"):
            words[key] = override
    readable = " ".join(words.values()) or str(config.get("name") or "run")
    if len(readable) > _READABLE:
        readable = f"{readable[: _READABLE - 1].rstrip()}…"
    return f"{readable} · {digest(loud(config))[:8]}"


def tags_of(config: Mapping[str, Any], record: Record, more: Sequence[str] = ()) -> list[str]:
    """The data set, the model, the run's name and the sweep, each once and no longer than W&B takes.

    Args:
        config: the resolved config.
        record: run.json.
        more: the user's own.
    """
    data = config.get("data") or {}
    words = [data.get("name"), (record.get("choices") or {}).get("model"), config.get("name"), sweep_name(record)]
    return list(dict.fromkeys(str(word)[:LONGEST_TAG] for word in (*words, *more) if word))


def sweep_name(record: Record) -> str | None:
    """The name of the folder of the sweep that a run is a job of; None for a run of its own."""
    folder = (record.get("sweep") or {}).get("folder")
    return Path(folder).name if folder else None


def run_id(folder: Path, config: Mapping[str, Any], record: Record) -> str:
    """The config and its seed; also where and when, because two runs of one config are two runs."""
    where = [folder.parent.name, folder.name, record.get("created")]
    return digest({"config": {key: value for key, value in config.items() if key != "paths"}, "where": where})[:16]


def shown_config(config: Mapping[str, Any], record: Record, of_agent: Sequence[str] = ()) -> dict[str, Any]:
    """The config as W&B gets it: less its paths, with the members chosen and the sweep beside it.

    Args:
        config: the resolved config.
        record: run.json.
        of_agent: keys that an agent of W&B has set already, and holds: where one of them is the name of a section,
            the section's values stand beside it under dotted names, which W&B shows alike.

    Example:
        >>> shown_config({"model": {"strength": 0.1}, "seed": 1, "paths": {}}, {}, of_agent=["model"])
        {'seed': 1, 'model.strength': 0.1}
    """
    shown = {key: value for key, value in config.items() if key != "paths"}
    for key in of_agent:
        section = shown.pop(key, None)
        if isinstance(section, Mapping):
            shown |= {name: value for name, value in _leaves(section, key) if name not in of_agent}
    further = {"choices": record.get("choices"), "sweep": sweep_name(record)}
    shown |= {key: value for key, value in further.items() if value and key not in of_agent}
    return dict(plain(shown))


def keys_of_agent(environ: Mapping[str, str]) -> list[str]:
    """The parameters that an agent of W&B gives this process; empty where there is no agent.

    Args:
        environ: the environment variables, among which the agent leaves the name of a file of them.
    """
    try:
        given = yaml.safe_load(Path(environ["WANDB_SWEEP_PARAM_PATH"]).read_text(encoding="utf-8"))
    except (KeyError, OSError, yaml.YAMLError):
        return []
    return [str(key) for key in given if key != "wandb_version"] if isinstance(given, Mapping) else []


def digest(value: Any) -> str:
    """A hash of anything that JSON can say, in whatever order its keys are."""
    text = json.dumps(plain(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _leaves(section: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", value
