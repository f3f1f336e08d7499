"""Parameters and arithmetic of every scheme and backbone, for docs/models.md.

    python scripts/model_costs.py

Builds each member of conf/model over an mlp, and each of conf/backbone under hard_sharing, at one setting, counts,
and puts the two tables into the page.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from omegaconf import OmegaConf
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bare_loop import COLUMNS
from taskloom.config.compose import composer
from taskloom.module import MultiTaskModule
from taskloom.schema import Batch, Feature, Schema
from taskloom.tasks import TargetStatistics, Task
from taskloom.training.build import make_module

ROOT = Path(__file__).resolve().parents[1]
CONF, PAGE = ROOT / "conf", ROOT / "docs" / "models.md"
#: ids of MovieLens-1M's columns, and for whom reads them a history of films and a scenario
SCHEMA = Schema(
    tuple(Feature(name, "categorical", side, size=size) for name, (size, side) in COLUMNS.items()),
    targets=("click", "buy"),
)
LENGTH = 20
TASKS = (Task("click", "binary"), Task("buy", "binary", parent="click"))


@dataclass(frozen=True)
class Cost:
    """What a model of one setting takes.

    Args:
        network: parameters beside the embedding tables.
        tables: parameters in them.
        flops: of a row's forward pass; a multiplication and an addition are two.
    """

    network: int
    tables: int
    flops: int


def names(group: str) -> list[str]:
    """The members of a config group."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


@cache
def base() -> dict[str, Any]:
    """The config that all members are laid over."""
    with composer(CONF, "train") as compose:
        composed = compose.compose(["model=hard_sharing", "backbone=mlp", "heads.hidden=[64]"])
    assert not composed.problems, composed.problems
    return composed.config


def build(model: str, backbone: str) -> MultiTaskModule:
    """A scheme over a backbone, both as conf has them, at the setting."""
    config: dict[str, Any] = {**base()}
    history: tuple[str, ...] = ()
    for group, name in (("model", model), ("backbone", backbone)):
        own: Any = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))
        config[group] = own.get(group, own)
        config["features"] = {**config["features"], **own.get("features", {})}
        history = ("item",) if "data" in own else history
    config["backbone"]["hidden"], config["features"]["dim"] = [256, 128], 16
    schema = replace(SCHEMA, history=history, prior=("year",) if model == "pepnet" else ())
    statistics = [TargetStatistics((0.2,), (0.4,), 1000)] * len(TASKS)
    data: Any = SimpleNamespace(schema=schema, tasks=list(TASKS), statistics=statistics)
    return make_module(config, data).eval()


def batch(schema: Schema, n: int) -> Batch:
    """So many rows; what the ids are makes no difference."""
    ids = torch.ones(n, len(schema.features), dtype=torch.int64)
    nothing, labelled = ids.new_empty(n, 0), torch.ones(n, len(TASKS), dtype=torch.bool)
    extras: dict[str, Any] = {"prior": ids[:, : len(schema.prior)]} if schema.prior else {}
    if schema.history:
        extras["history"] = torch.ones(n, LENGTH, len(schema.history), dtype=torch.int64)
        extras["history_mask"] = torch.ones(n, LENGTH, dtype=torch.bool)
    return Batch(ids, nothing, nothing.float(), labelled.float(), labelled, ids[:, 0], ids[:, 0], **extras)


def flops(module: MultiTaskModule, n: int) -> int:
    """Of the forward pass of a batch of n rows, by torch's own counter."""
    # Written out, attention is products, which the counter knows on every device.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(batch(module.features.schema, n))
    return int(counter.get_total_flops())


def cost(module: MultiTaskModule) -> Cost:
    """What a model takes."""
    tables = sum(parameter.numel() for parameter in module.features.parameters())
    every = sum(parameter.numel() for parameter in module.parameters())
    # What a batch costs whatever its size, as penalties on weights do, is no row's.
    return Cost(every - tables, tables, (flops(module, 16) - flops(module, 8)) // 8)


def table(group: str, costs: Sequence[tuple[str, Cost]]) -> str:
    """A table of Markdown, cheapest first."""
    base = dict(costs)["hard_sharing" if group == "model" else "mlp"]
    rows = [
        f"| `{name}` | {c.network:,} | {c.tables:,} | {c.flops:,} | {c.flops / base.flops:.1f} |"
        for name, c in sorted(costs, key=lambda one: (one[1].flops, one[0]))
    ]
    of = "hard_sharing" if group == "model" else "mlp"
    head = f"| `{group}=` | parameters of the network | of the tables | flops a row | times `{of}` |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def tables() -> dict[str, str]:
    """Both tables by their names in the page."""
    return {
        "model": table("model", [(name, cost(build(name, "mlp"))) for name in names("model")]),
        "backbone": table("backbone", [(name, cost(build("hard_sharing", name))) for name in names("backbone")]),
    }


def update(page: str, made: dict[str, str]) -> str:
    """The page with these tables in place of its own."""
    for name, text in made.items():
        block = re.compile(rf"(<!-- costs: {name} .*?-->\n).*?(<!-- end -->)", re.DOTALL)
        page, n = block.subn(rf"\g<1>{text}\n\g<2>", page)
        assert n == 1, f"the page has {n} tables of {name}, not one"
    return page


def main() -> int:
    made = tables()
    print("\n\n".join(made.values()))
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
