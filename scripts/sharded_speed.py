"""What a step of one embedding table costs on several processes: whole on each (ddp), or in shards of rows.

    torchrun --standalone --nproc-per-node=2 scripts/sharded_speed.py --way exchange --rows 4000000

Ways: ``exchange`` (trainer=sharded), ``rowwise`` (PyTorch's RowwiseParallel on the same table, for comparison) and
``ddp``. A step is the look-up of a batch of random ids, the gradient and fused Adam; there is no network behind it.
The first process prints a line of JSON: bytes of table, and peak memory, a process; milliseconds and processor time a
step, median and fastest; bytes that a process hands to others in a step.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import torch
import torch.distributed as dist
from torch import Tensor, nn

WARM = 2


class Sent:
    """Counts the bytes that this process hands to others."""

    def __init__(self) -> None:
        self.total = 0.0
        self._exchange = dist.all_to_all_single

    def count_exchanges(self) -> None:
        """Looks at every all-to-all."""

        def counted(output: Tensor, input: Tensor, *splits: Any, **named: Any) -> Any:
            parts = splits[1] if len(splits) > 1 else [len(input) // dist.get_world_size()] * dist.get_world_size()
            others = sum(parts) - parts[dist.get_rank()]
            self.total += others * input[0].numel() * input.element_size() if others else 0
            return self._exchange(output, input, *splits, **named)

        dist.all_to_all_single = counted


def exchange(rows: int, dim: int, fields: int) -> nn.Module:
    """The table as trainer=sharded has it."""
    from taskloom.features import Features
    from taskloom.schema import Feature, Schema
    from taskloom.training.sharded import shard_tables

    names = [Feature(f"f{i}", "categorical", "user", size=rows // fields) for i in range(fields)]
    features = Features(Schema(tuple(names), targets=("y",)), n_tasks=1, dim=dim, meta_from=1)
    shard_tables(features, "cpu")
    return _First(features.tables)


class _First(nn.Module):
    """Rows of the only table."""

    def __init__(self, tables: nn.Module) -> None:
        super().__init__()
        self.tables = tables

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (b, F) to rows (b, F, D)."""
        found: Tensor = self.tables([ids])[0][0]
        return found


def rowwise(rows: int, dim: int, fields: int) -> nn.Module:
    """The table under RowwiseParallel: all ranks' ids to everyone, a masked look-up, a reduce-scatter."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard
    from torch.distributed.tensor.parallel import RowwiseParallel, parallelize_module

    style = RowwiseParallel(input_layouts=Shard(0), output_layouts=Shard(0), use_local_output=True)
    return parallelize_module(nn.Embedding(rows, dim), init_device_mesh("cpu", (dist.get_world_size(),)), style)


def ddp(rows: int, dim: int, fields: int) -> nn.Module:
    """The whole table on each process, its gradient summed over all."""
    return nn.parallel.DistributedDataParallel(nn.Embedding(rows, dim))


WAYS: dict[str, Callable[[int, int, int], nn.Module]] = {"exchange": exchange, "rowwise": rowwise, "ddp": ddp}


def formula(way: str, rows: int, dim: int, ids: int, world: int) -> float | None:
    """Bytes that a process hands to others in a step, of the ways that do not depend on what the ids are.

    Args:
        way: rowwise or ddp.
        rows, dim: of the table.
        ids: that a process looks up in a step.
        world: number of processes.

    Example:
        >>> formula("rowwise", 1000, 4, ids=10, world=2), formula("ddp", 1000, 4, ids=10, world=2)
        (400.0, 16000.0)
        >>> formula("exchange", 1000, 4, 10, 2) is None
        True
    """
    if way == "rowwise":  # ids; rows; their gradients
        return float((world - 1) * ids * (8 + 2 * 4 * dim))
    return 2 * (world - 1) / world * rows * dim * 4 if way == "ddp" else None


def measure(way: str, rows: int, dim: int, fields: int, batch: int, steps: int) -> dict[str, Any]:
    """The figures of one way.

    Args:
        way: of ``WAYS``.
        rows, dim: of the table.
        fields: ids a row of the batch.
        batch: rows of the batch of a process.
        steps: that are timed, after two that are not.
    """
    # So that no way pays for another's imports.
    from torch.distributed.tensor import parallel  # noqa: F401

    import taskloom.training.sharded  # noqa: F401

    world = dist.get_world_size()
    before = _peak()
    table = WAYS[way](rows, dim, fields)
    weight: Any = next(table.parameters())
    local = weight.to_local() if hasattr(weight, "to_local") else weight
    optimizer = torch.optim.Adam(table.parameters(), lr=1e-3, fused=True)
    sent = Sent()
    if way == "exchange":
        sent.count_exchanges()
    generator = torch.Generator().manual_seed(dist.get_rank())
    walls, processor = [], []
    for step in range(WARM + steps):
        ids = torch.randint(rows, (batch, fields), generator=generator)
        dist.barrier()
        sent.total = sent.total if step > WARM else 0.0  # of the timed steps alone
        wall, cpu = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        table(ids).square().mean().backward()
        optimizer.step()
        walls.append(1000 * (time.perf_counter() - wall))
        processor.append(1000 * (time.process_time() - cpu))
    walls, processor = sorted(walls[WARM:]), sorted(processor[WARM:])
    by_formula = formula(way, rows, dim, batch * fields, world)
    return {
        "way": way,
        "processes": world,
        "table_mb": round(local.numel() * local.element_size() / 1e6, 1),
        "peak_mb": round((_peak() - before) / 1e6, 1),
        "ms": round(walls[len(walls) // 2], 1),
        "ms_fastest": round(walls[0], 1),
        "processor_ms": round(processor[len(processor) // 2], 1),
        "sent_mb": round((sent.total / steps if by_formula is None else by_formula) / 1e6, 3),
    }


def _peak() -> int:
    """Most memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=WAYS, default="exchange")
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4_096, help="rows of a process")
    parser.add_argument("--steps", type=int, default=10)
    given = parser.parse_args()
    if "RANK" not in os.environ:
        parser.error("start it with torchrun --standalone --nproc-per-node=2 scripts/sharded_speed.py ...")
    dist.init_process_group("gloo")
    figures = measure(given.way, given.rows, given.dim, given.fields, given.batch, given.steps)
    if dist.get_rank() == 0:
        print(json.dumps(figures))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
