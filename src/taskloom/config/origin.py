"""Where a job's config came from, for its run.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def origin(config: dict[str, Any], overrides: Sequence[str], choices: Mapping[str, Any]) -> dict[str, Any]:
    """What ``run.json`` says of a config's origin; makes the config's own paths absolute on the way.

    Args:
        config: resolved; a run is resumed from any working directory, so that its plugins' and its source's paths
            must not depend on one.
        overrides: the job's command line.
        choices: the member chosen in each group.
    """
    config["plugins"] = [str(Path(path).expanduser().resolve()) for path in config["plugins"]]
    if config["data"].get("source") is not None:
        config["data"]["source"] = str(Path(config["data"]["source"]).expanduser().resolve())
    return {
        "overrides": list(overrides),
        "choices": {group: member for group, member in choices.items() if "/" not in group and member is not None},
    }
