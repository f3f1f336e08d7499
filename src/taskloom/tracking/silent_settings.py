"""Settings that have no say in what a run learns, or that tell repetitions of one configuration apart."""

from collections.abc import Mapping
from typing import Any

#: seeds, names, folders, and how a run is watched
SILENT = frozenset(
    {
        "seed",
        "data.split.seed",
        "name",
        "command",
        "resume",
        "plugins",
        "floors",
        "data.source",
        "data.eval_batch_size",
        "data.device_resident",
        "trainer.log_every_n_steps",
        "trainer.threads",
        "trainer.profile",
    }
)
#: the same, for all keys below
SILENT_SECTIONS = (
    "paths",
    "logger",
    "callbacks.progress",
    "callbacks.throughput",
    "callbacks.checkpoint",
    "callbacks.conflict",
    "data.floors",
)


def is_silent(key: str) -> bool:
    """Whether a setting has no say.

    Args:
        key: dotted.

    Example:
        >>> [is_silent(key) for key in ("seed", "paths.root", "optimizer.lr")]
        [True, True, False]
    """
    return key in SILENT or any(key == section or key.startswith(f"{section}.") for section in SILENT_SECTIONS)


def loud(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A config's settings that have a say, nested as they were.

    Example:
        >>> loud({"seed": 1, "data": {"name": "films", "split": {"seed": 2, "kind": "random"}}})
        {'data': {'name': 'films', 'split': {'kind': 'random'}}}
    """
    kept = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if not is_silent(name):
            kept[key] = loud(value, f"{name}.") if isinstance(value, Mapping) else value
    return kept
