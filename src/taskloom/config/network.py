"""The network without memory: what sharing scheme and backbone say of each other, of the features and of the tasks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from taskloom.config.targets import SPECIAL, locate
from taskloom.config.values import Problem
from taskloom.errors import ConfigError
from taskloom.tasks import Task


def check_network(config: Mapping[str, Any], tasks: Sequence[Task]) -> Iterator[Problem]:
    """What a scheme and a backbone refuse when they are made, before any data is read.

    They are made as training makes them, but on torch's meta device, whose tensors have shapes alone. How many ids
    and rows there are is not known yet, and no layer of theirs depends on it.

    Args:
        config: the resolved config; the nodes of model, backbone and data, our own one, are right by themselves.
        tasks: the K tasks that are to be trained.
    """
    import torch  # which --help and completion do without

    from taskloom.data.spec import parse_features
    from taskloom.features import InputSpec
    from taskloom.schema import Feature, Schema

    specs = parse_features(config["data"]["features"])
    features = tuple(Feature(spec.name, spec.stored, spec.side, size=2) for spec in specs if spec.stored)
    history = tuple(name for spec in specs if spec.kind == "history" and spec.length for name in spec.of)
    schema = Schema(features, (), history, prior=tuple(config["data"].get("prior") or ()))
    names = [feature.name for feature in schema.of_kind("categorical")]
    for name in schema.prior:
        if name not in names:
            text = f"data.prior: {name!r} is no categorical feature; there are {', '.join(names)}"
            yield Problem("data.prior", text)
            return
    backbone = partial(_made, config["backbone"], inputs=InputSpec.of(schema, config["features"]["dim"]))
    try:
        with torch.device("meta"):
            _made(config["model"], backbone=backbone, tasks=tasks)
    except ConfigError as error:
        path = re.match(r"[\w.]+", str(error))
        yield Problem(path[0].rstrip(".") if path else "model", str(error))
    except Exception:  # a plugin that needs numbers where there are none; made for good, it speaks for itself
        return


def _made(node: Mapping[str, Any], **runtime: Any) -> Any:
    arguments = {key: value for key, value in node.items() if key not in SPECIAL}
    return locate(node["_target_"])(**arguments, **runtime)
