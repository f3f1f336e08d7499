"""Seconds and memory from raw files to a finished store, on made ratings of any number.

    python scripts/prepare_speed.py rows=20000000

Writes ratings in MovieLens-20M's layout (CSV) to a temporary folder, then prepares them in a process of its own with
a history switched on: CSV to columns, event index included. The ratings' writing is not measured.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
USERS, ITEMS = 138_493, 26_744
CHUNK = 2_000_000


def write_ratings(folder: Path, rows: int, seed: int = 0) -> None:
    """Ratings of popular films by busy users, sorted by user as in the original."""
    rng = np.random.default_rng(seed)
    share = rng.pareto(1.5, USERS) + 0.2
    per_user = np.maximum(1, np.round(share / share.sum() * rows)).astype(np.int64)
    popularity = 1 / np.arange(1, ITEMS + 1) ** 0.8
    with (folder / "ratings.csv").open("wb") as file:
        file.write(b"userId,movieId,rating,timestamp\n")
        user = np.repeat(np.arange(1, USERS + 1), per_user)[:rows]
        for start in range(0, len(user), CHUNK):
            some = user[start : start + CHUNK]
            n = len(some)
            frame = pl.DataFrame(
                {
                    "userId": some,
                    "movieId": rng.choice(ITEMS, n, p=popularity / popularity.sum()) + 1,
                    "rating": rng.integers(1, 11, n) / 2,
                    "timestamp": rng.integers(789_652_009, 1_427_784_002, n),
                }
            )
            frame.write_csv(file, include_header=False)
    genres = ["Comedy", "Action|Drama"]
    movies = [f'{i},"Film, The {i} ({1920 + i % 100})",{genres[i % 2]}' for i in range(1, ITEMS + 1)]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(movies) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="rows=<number>, and overrides of data.py")
    parser.add_argument("--prepare", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(Path(arguments.prepare), arguments.overrides)
        return
    rows = next((int(o.removeprefix("rows=")) for o in arguments.overrides if o.startswith("rows=")), 20_000_000)
    overrides = [o for o in arguments.overrides if not o.startswith("rows=")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "ml-20m"
        folder.mkdir()
        write_ratings(folder, rows)
        size = (folder / "ratings.csv").stat().st_size / 1e6
        print(f"{rows:,} ratings, {size:,.0f} MB of CSV", flush=True)
        for what in ("first", "again"):
            begun = time.perf_counter()
            command = [sys.executable, __file__, "--prepare", scratch, *overrides]
            subprocess.run(command, check=True)
            print(f"{what}: {time.perf_counter() - begun:.2f} s with the start of Python", flush=True)


def prepare(scratch: Path, overrides: list[str]) -> None:
    """Builds the store in this process and says what it took."""
    sys.path.insert(0, str(ROOT / "src"))
    from taskloom.config.compose import composer
    from taskloom.training.build import make_data

    with composer(ROOT / "conf", "data") as compose:
        wanted = ["data=movielens_20m", f"data.source={scratch / 'ml-20m'}", f"paths.root={scratch}"]
        config = compose.compose([*wanted, "data.features.history.length=50", *overrides]).config
    begun, cpu = time.perf_counter(), time.process_time()
    data = make_data(config)
    data.prepare_data()
    data.setup()
    wall, busy = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    written = sum(path.stat().st_size for path in data.store.folder.rglob("*") if path.is_file()) / 1e6
    print(f"prepared in {wall:.2f} s ({busy:.2f} s of processor), peak {peak:,.0f} MB", flush=True)
    print(f"store {written:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
