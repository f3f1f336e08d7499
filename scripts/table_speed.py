"""What a step of one embedding table costs with dense and with sparse gradients, side by side.

    python scripts/table_speed.py --rows 1000000

A step is the look-up of a batch of random ids, the gradient of a penalty on their rows, and the optimiser; there is no
network behind it. Ways: ``dense`` (torch.optim.Adam, fused) and ``sparse`` (features.sparse=true with
optimizer=sparse_adam). They take turns in one process, so that what else the machine does falls on both. The last line
is JSON: milliseconds of a step, median and fastest, of both, the median ratio of the pairs, and the bytes of the table
with its gradient and the optimiser's states.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import torch

WARM = 2


def way(sparse: bool, rows: int, dim: int, fields: int, device: torch.device) -> tuple[torch.nn.Module, Any]:
    """The tables as a run has them, and their optimiser.

    Args:
        sparse: whether gradients are.
        rows, dim: of the table.
        fields: that share it.
        device: where they are.
    """
    from taskloom.features import Features
    from taskloom.schema import Feature, Schema
    from taskloom.training.sparse_adam import SparseAdam

    names = [Feature(f"f{i}", "categorical", "user", size=rows // fields) for i in range(fields)]
    features = Features(Schema(tuple(names), targets=("y",)), n_tasks=1, dim=dim, sparse=sparse).to(device)
    make: Callable[..., Any] = SparseAdam if sparse else torch.optim.Adam
    return features, make(features.parameters(), lr=1e-3, fused=True)


def step(features: Any, optimizer: Any, ids: torch.Tensor) -> float:
    """Milliseconds of one step."""
    began = time.perf_counter()
    optimizer.zero_grad()
    features.tables([ids])[0][0].square().mean().backward()
    optimizer.step()
    if ids.is_cuda:
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - began)


def measure(rows: int, dim: int, fields: int, batch: int, steps: int, device: torch.device) -> dict[str, Any]:
    """The figures of one size.

    Args:
        rows, dim: of the table.
        fields: ids a row of the batch.
        batch: rows of a batch.
        steps: that are timed of each way, after two that are not.
        device: where it runs.
    """
    ways = {name: way(name == "sparse", rows, dim, fields, device) for name in ("dense", "sparse")}
    generator = torch.Generator().manual_seed(0)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(WARM + steps):
        ids = torch.randint(rows, (batch, fields), generator=generator).to(device)
        for name, (features, optimizer) in ways.items():
            taken[name].append(step(features, optimizer, ids))
    taken = {name: times[WARM:] for name, times in taken.items()}
    ratios = [dense / sparse for dense, sparse in zip(taken["dense"], taken["sparse"], strict=True)]
    figures: dict[str, Any] = {"rows": rows, "dim": dim, "ids": batch * fields}
    for name, times in taken.items():
        figures[f"{name}_ms"] = round(statistics.median(times), 2)
        figures[f"{name}_ms_fastest"] = round(min(times), 2)
    figures["dense_over_sparse"] = round(statistics.median(ratios), 2)
    table = rows * dim * 4 / 1e6
    return {**figures, "dense_mb": round(4 * table, 1), "sparse_mb": round(3 * table, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4_096)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    print(json.dumps(measure(given.rows, given.dim, given.fields, given.batch, given.steps, device)))


if __name__ == "__main__":
    main()
