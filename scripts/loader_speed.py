"""How many rows a second one thread makes into batches: each way of the loader beside the others.

    python scripts/loader_speed.py --rows 1000000

Rows with the shape of MovieLens-1M (8 categorical features, two tasks) are written to a folder and mapped from
there. The ways take turns, an epoch each, so that what else the machine does falls on all; the median of the
rounds counts. Rates are by the clock, and by the processor's time of this one thread, which other programmes disturb
less. The last line is the result as JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from taskloom.data.catalogue import Catalogue
from taskloom.data.events import EventIndex
from taskloom.data.loader import ColumnLoader, Columns, Extras, ShuffledLoader, mapped
from taskloom.data.negatives import Negatives, Pairs, freeze
from taskloom.data.order import Sampling
from taskloom.schema import Feature, Schema

ITEMS, EVENT_IDS = 3706, 2
SCHEMA = Schema(
    (
        *(Feature(f"user_{i}", "categorical", "user", size=9999) for i in range(5)),
        *(Feature(f"item_{i}", "categorical", "item", size=9999) for i in range(3)),
    ),
    targets=("interact", "rating"),
)


def write(folder: Path, n: int, per_row: int) -> None:
    """Random rows of n / 166 users in time, with all that a store may hold beside the columns."""
    random = np.random.default_rng(0)
    users = max(n // 166, 1)
    # A few users and items have most of the rows.
    user = (random.random(n) ** 2 * users).astype(np.int32)
    item = (random.random(n) ** 2 * ITEMS).astype(np.int32)
    place = np.arange(n, dtype=np.int32)
    by_user = np.argsort(user, kind="stable")
    first = np.searchsorted(user[by_user], user).astype(np.int32)
    end = np.empty(n, np.int32)
    end[by_user] = place
    pairs = np.unique(user.astype(np.int64) * ITEMS + item)
    reach = np.stack([np.full(n, ITEMS, np.int32), place + 1], axis=1)
    evaluated = np.arange(0, n, 100)
    drawn = freeze(evaluated, user[::100], item[::100], reach[::100], pairs, ITEMS, per_row, "uniform", None, 1)
    sides = [*(user + i for i in range(5)), *(item + i for i in range(3))]
    arrays = {
        "categorical": np.stack(sides, axis=1) + 1,
        "bags": np.empty((n, 0), np.int32),
        "dense": np.empty((n, 0), np.float32),
        "targets": np.stack([np.ones(n), random.integers(1, 6, n)], axis=1).astype(np.float32),
        "group": user,
        "row": place.astype(np.int64),
        "history": np.stack([first, end], axis=1),
        "source": (place % 10 == 0).astype(np.int8),
        "reach": reach,
        "events": np.stack([item[by_user] + 1] * EVENT_IDS, axis=1),
        "pairs": pairs,
        "popularity": item,
        "drawn_": drawn,  # of a hundredth of the rows: the evaluation
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)


def ways(folder: Path, batch_size: int, length: int, per_row: int, block: int, device: str) -> dict[str, Callable]:
    """Each way's loader."""
    columns = Columns.open(folder).to(device)
    events = EventIndex(mapped(folder / "events.npy").to(device), length)
    places = torch.arange(ITEMS)
    items = torch.stack([places * 0] * 5 + [places + i for i in range(1, 4)], dim=1).int()
    catalogue = Catalogue(SCHEMA, items, torch.empty(ITEMS, 0, dtype=torch.int32), torch.empty(ITEMS, 0))
    pairs, popularity = Pairs(mapped(folder / "pairs.npy"), ITEMS), mapped(folder / "popularity.npy")
    uniform = Negatives(catalogue, pairs, 0, per_row, "uniform", 1).to(device)
    popular = Negatives(catalogue, pairs, 0, per_row, "popularity", 1, popularity).to(device)
    told, stamped = replace(columns, reach=None), replace(columns, history=None)
    plain = replace(told, history=None)
    part = columns.select(torch.arange(0, len(columns), 100, device=device))
    evaluation = replace(part, history=None, drawn=mapped(folder / "drawn_.npy").to(device))

    def shuffled(
        columns: Columns, events: EventIndex | None = None, negatives: Negatives | None = None, **how: Any
    ) -> Any:
        extras = Extras(events, negatives)
        return lambda: ShuffledLoader(columns, [[0], [1]], batch_size, seed=1, extras=extras, **how)

    return {
        "in order": lambda: ColumnLoader(plain, [[0], [1]], batch_size),
        "shuffled": shuffled(plain),
        f"in blocks of {block:,}": shuffled(plain, block=block),
        "two tables, equally": shuffled(plain, sampling=Sampling("equal")),
        f"history of {length}": shuffled(told, events),
        f"{per_row} negatives, uniform": shuffled(stamped, None, uniform),
        f"{per_row} negatives, by popularity": shuffled(stamped, None, popular),
        f"history and {per_row} negatives": shuffled(columns, events, uniform),
        "evaluation, frozen negatives": lambda: ColumnLoader(
            evaluation, [[0], [1]], batch_size, extras=Extras(negatives=uniform)
        ),
    }


def measure(make: Callable[[], ColumnLoader], device: str) -> tuple[float, float, float]:
    """Rows of the store a second by the clock, and of the processor's time; and rows of batches a row of the store."""
    began, worked = time.perf_counter(), time.thread_time()
    loader = make()
    given = sum(len(batch) for batch in loader)
    if device != "cpu":
        torch.cuda.synchronize()
    n = len(loader.columns)
    return n / (time.perf_counter() - began), n / (time.thread_time() - worked), given / n


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--history", type=int, default=50, help="events of a history")
    parser.add_argument("--negatives", type=int, default=4, help="negatives of a training row")
    parser.add_argument("--frozen", type=int, default=50, help="negatives of an evaluation row")
    parser.add_argument("--block", type=int, default=16_384, help="rows of a block")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="where the columns are kept")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options.rows, options.frozen)
        made = ways(folder, options.batch_size, options.history, options.negatives, options.block, options.device)
        rates: dict[str, list[tuple[float, float, float]]] = {way: [] for way in made}
        for round_ in range(options.rounds + 1):
            for way, make in made.items():
                rate = measure(make, options.device)
                if round_:  # the first warms up
                    rates[way].append(rate)
    names = ("rows_per_s", "rows_per_processor_s", "rows_in_batches")
    result = {
        way: {name: statistics.median(rate) for name, rate in zip(names, zip(*each, strict=True), strict=True)}
        for way, each in rates.items()
    }
    print(f"{'':36}{'rows/s':>14}{'rows/processor s':>18}{'rows in batches/row':>21}")
    for way, rates_of in result.items():
        by_clock, by_processor, in_batches = rates_of.values()
        print(f"{way:36}{by_clock:>14,.0f}{by_processor:>18,.0f}{in_batches:>21.2f}")
    print(json.dumps({**vars(options), "ways": result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
