"""What a job of a sweep costs beside its training: ``python scripts/job_overhead.py jobs=8``.

Runs a sweep of short jobs on simulated data with W&B offline, in one warm worker process, and prints for each job the
seconds from the end of the job before it to its own end, less the seconds of training that its run.json has. Composing
the config, opening the data, making the network, validation, the test, W&B, the curves and the ledger all count.
"""

import itertools
import json
import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = (
    "data=synthetic",
    "data.reader.users=200",
    "data.reader.items=100",
    "data.reader.rows=20000",
    "method.epochs=3",
    "floors=[constant]",
    "hydra/launcher=joblib",
    "hydra.launcher.n_jobs=1",
)


def overheads(sweep: Path) -> list[float]:
    """Seconds beside training of every job but the first, in which the worker starts."""
    from taskloom.sweeping.ledger import Ledger

    ledger = Ledger.open(sweep)
    ended = [(e["job"], datetime.fromisoformat(e["time"])) for e in ledger.events() if e["event"] == "done"]
    found = []
    for (_, before), (job, now) in itertools.pairwise(ended):
        training = json.loads((sweep / job / "run.json").read_text(encoding="utf-8"))["seconds"]
        found.append((now - before).total_seconds() - training)
    return found


def main(words: list[str]) -> int:
    """Runs the sweep and prints the figures."""
    from taskloom.config.command import run_command

    jobs = int(dict(word.split("=", 1) for word in words if word.startswith("jobs=")).get("jobs", 8))
    further = [word for word in words if not word.startswith("jobs=")]
    seeds = ",".join(map(str, range(1, jobs + 1)))
    with tempfile.TemporaryDirectory() as folder:
        place = [f"paths.root={folder}", f"hydra.sweep.dir={folder}/sweep", f"seed={seeds}"]
        code = run_command("train", ["-m", *SETTINGS, *place, *further], ROOT / "conf")
        if code == 0:
            found = overheads(Path(folder) / "sweep")
            print(f"\nseconds beside training, a job: {', '.join(f'{seconds:.2f}' for seconds in found)}")
            print(f"median {statistics.median(found):.2f} s, {len(found)} jobs in a warm worker")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
