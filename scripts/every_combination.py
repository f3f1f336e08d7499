"""Every sharing scheme on every backbone under every kind of task: ``python scripts/every_combination.py``.

Each combination, with two, three and five tasks of mixed kinds, takes steps, predicts, and learns a small batch by
heart from one of three initialisations (tests/combination.py says what must hold). What has been looked at is in
``logs/combinations.jsonl``: run the command again, after Ctrl-C or a kill, and it goes on; ``--anew`` begins from the
start. The exit code is 1 where a combination does not hold together.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZES = (2, 3, 5)
Combination = tuple[str, str, str, int]
Found = dict[str, Any]


def every() -> list[Combination]:
    """Scheme, backbone, kind of the last task, number of tasks."""
    import members
    from combination import KINDS

    return list(itertools.product(members.names("model"), members.names("backbone"), KINDS, SIZES))


def look(one: Combination) -> Found:
    """What becomes of a combination: ``holds`` after how many tries, ``refused`` or ``fails`` for which reason."""
    import torch

    from combination import RefusedError, check, kinds_of

    torch.set_num_threads(1)
    scheme, backbone, kind, n_tasks = one
    began = time.perf_counter()
    found: Found
    try:
        found = {"state": "holds", "tries": check(scheme, backbone, kinds_of(kind, n_tasks), by_heart=True)}
    except RefusedError as refused:
        found = {"state": "refused", "reason": str(refused)}
    except Exception as error:  # one that breaks must not end the rest
        found = {"state": "fails", "reason": f"{type(error).__name__}: {error}"}
    return {"combination": list(one), **found, "seconds": round(time.perf_counter() - began, 2)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one a core)")
    parser.add_argument("--only", default="", help="those with this word in them, such as mmoe or mmoe/fm")
    parser.add_argument("--file", type=Path, default=ROOT / "logs/combinations.jsonl", help="what has been looked at")
    parser.add_argument("--anew", action="store_true", help="looks at all of them again")
    arguments = parser.parse_args(argv)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    if arguments.anew:
        arguments.file.unlink(missing_ok=True)
    known: dict[Combination, Found] = {tuple(found["combination"]): found for found in read(arguments.file)}
    wanted = [one for one in every() if arguments.only in "/".join(map(str, one))]
    left = [one for one in wanted if known.get(one, {}).get("state") in (None, "fails")]
    print(f"{len(wanted):,} combinations, {len(left):,} to look at, in {arguments.file}")
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ProcessPoolExecutor(arguments.jobs, initializer=prepare) as pool, arguments.file.open("a") as file:
        try:
            for n, done in enumerate(as_completed([pool.submit(look, one) for one in left]), 1):
                found = done.result()
                known[tuple(found["combination"])] = found
                file.write(json.dumps(found) + "\n")
                file.flush()
                if n % 50 == 0 or n == len(left):
                    minutes = (time.monotonic() - began) / n * (len(left) - n) / 60
                    print(f"{n:,} of {len(left):,}, about {minutes:.0f} minutes left", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            print("stopped; the same command goes on", file=sys.stderr)
            return 130
    return conclude([known[one] for one in wanted])


def prepare() -> None:
    """Paths of a worker process, which may have been started from nothing."""
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]


def read(file: Path) -> list[Found]:
    """The lines of a file of JSON lines; a last one that a kill left half-written is cut off."""
    if not file.exists():
        return []
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        os.truncate(file, len(whole.encode()))
    return [json.loads(line) for line in whole.splitlines()]


def conclude(found: list[Found]) -> int:
    """Prints what holds, what is refused for which reason, and what fails."""
    states = Counter(one["state"] for one in found)
    print(f"{states['holds']:,} hold, {states['refused']:,} refused, {states['fails']:,} fail")
    again = sum(one.get("tries", 1) > 1 for one in found)
    if again:
        print(f"{again:,} of those that hold learnt the batch from a second or third initialisation only")
    for reason, n in Counter(one["reason"] for one in found if one["state"] == "refused").most_common():
        print(f"refused {n:,} times: {reason}")
    for one in found:
        if one["state"] == "fails":
            print(f"fails: {'/'.join(map(str, one['combination']))}: {one['reason']}")
    return 1 if states["fails"] else 0


if __name__ == "__main__":
    sys.exit(main())
