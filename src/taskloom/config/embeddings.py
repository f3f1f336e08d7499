"""Whether the options of embedding tables go with each other and with the rest of a job."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from taskloom.config.values import Problem

#: PyTorch's optimisers that take sparse gradients, and their options that do not
_TAKE_SPARSE: dict[str, dict[str, Any]] = {
    "torch.optim.SGD": {"momentum": 0, "fused": False},
    "torch.optim.Adagrad": {"fused": False},
}


def check_embeddings(config: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with ``features``, whose values are right by themselves, beside other sections."""
    features, trainer = config["features"], config["trainer"]
    narrow, sparse = features.get("frequency_power"), features.get("sparse")
    if narrow and features.get("hash_above"):
        yield Problem(
            "features.frequency_power",
            "features.frequency_power does not go with features.hash_above: hashed ids share rows, so that none has a "
            "width of its own; choose one of them",
        )
    for name in ("frequency_power", "sparse"):
        if features.get(name) and trainer["strategy"] == "sharded":
            yield Problem(
                f"features.{name}",
                f"features.{name} does not go with trainer=sharded, which spreads rows of one width and their dense "
                f"gradients over processes; choose another trainer, or leave features.{name} out",
            )
    if sparse:
        yield from _check_sparse(config)


def _check_sparse(config: Mapping[str, Any]) -> Iterator[Problem]:
    trainer, optimizer = config["trainer"], config["optimizer"]
    target = str(optimizer["_target_"])
    if trainer["precision"] == "16-mixed":
        yield Problem(
            "features.sparse",
            "features.sparse does not go with trainer.precision=16-mixed, whose loss scale PyTorch takes from dense "
            "gradients alone; choose trainer.precision=bf16-mixed",
        )
    if trainer["strategy"] == "ddp" and trainer["accelerator"] != "cpu":
        yield Problem(
            "features.sparse",
            "features.sparse does not go with several GPUs, between which PyTorch adds up no sparse gradients; choose "
            "trainer=gpu, trainer=ddp_cpu or trainer=sharded with features.sparse=false",
        )
    wanted = _TAKE_SPARSE.get(target)
    if target.startswith("torch.optim.") and wanted is None:
        yield Problem(
            "optimizer",
            f"optimizer: {target.rpartition('.')[2]} takes no sparse gradients (features.sparse); choose "
            "optimizer=sparse_adam, or optimizer=sgd optimizer.momentum=0 optimizer.fused=false",
        )
    for name, value in (wanted or {}).items():
        if (optimizer.get(name) or 0) != value:
            where = f"optimizer.{name}"
            text = f"{where} takes no sparse gradients (features.sparse); set {where}={str(value).lower()}"
            yield Problem(where, text)
    where, decay = _decay(config)
    if decay:
        yield Problem(
            where,
            f"{where}: weight decay would move every row of a table, which features.sparse is to spare; set it to 0, "
            "and features.l2 for the rows looked up",
        )


def _decay(config: Mapping[str, Any]) -> tuple[str, float]:
    """The weight decay of embedding tables, and the config path that it comes from."""
    for name, group in config["parameter_groups"].items():
        if re.match(group["pattern"], "features.tables.0.weight"):
            if group.get("weight_decay") is not None:
                return f"parameter_groups.{name}.weight_decay", group["weight_decay"]
            break
    return "optimizer.weight_decay", config["optimizer"].get("weight_decay") or 0.0
