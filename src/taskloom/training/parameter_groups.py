"""Parameter groups by name pattern: embeddings and trunks may differ in weight decay and learning rate."""

import re
from collections.abc import Mapping
from typing import Any

from torch import nn


def parameter_groups(
    parameters: Mapping[str, nn.Parameter], patterns: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The optimiser's groups; the first pattern that matches a parameter's name takes it.

    A balancer's parameters have a group of their own without weight decay. What no pattern takes is left to the
    optimiser's own settings. Embedding tables stand in groups without other parameters: where they are spread over
    ranks, no kernel for many parameters takes both.

    Args:
        parameters: by name.
        patterns: of each group, ``pattern`` (a regular expression, searched from the name's beginning) and the
            settings of the optimiser that differ, such as ``weight_decay`` and ``lr``; a null leaves one as it is.

    Example:
        >>> groups = parameter_groups(
        ...     {"features.tables.0.weight": nn.Parameter(), "heads.0.bias": nn.Parameter()},
        ...     {"embeddings": {"pattern": "features", "weight_decay": 0.0, "lr": None}})
        >>> [(group["name"], len(group["params"])) for group in groups]
        [('embeddings', 1), ('others', 1)]
        >>> groups[0]["weight_decay"], "lr" in groups[0]
        (0.0, False)
    """
    compiled = {"balancer": re.compile(r"balancer\.")}
    settings: dict[str, dict[str, Any]] = {"balancer": {"weight_decay": 0.0}}
    for name, group in patterns.items():
        compiled[name] = re.compile(group["pattern"])
        settings[name] = {key: v for key, v in group.items() if key != "pattern" and v is not None}
    members: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        found = (group for group, pattern in compiled.items() if pattern.match(name))
        members.setdefault((next(found, "others"), name.startswith("features.tables.")), []).append(parameter)
    return [{"name": name, "params": params, **settings.get(name, {})} for (name, _), params in members.items()]
