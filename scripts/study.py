"""How good every sharing scheme and every backbone is on a data set, at equal budget.

    python scripts/study.py movielens_1m source=<ml-1m zip> search    # trials of each member, by validation rows
    python scripts/study.py movielens_1m source=<ml-1m zip> final     # its best trial in full, with three seeds
    python scripts/study.py movielens_1m table                        # what was found
    python scripts/study.py movielens_1m page draw                    # the same in docs/results.md, and its picture

Studies are movielens_1m, interact (MovieLens-100K, watched or not beside the rating), census_income and
kuairand_subset. Members are every backbone under hard sharing, then every scheme on the fastest of the backbones that
are within .004 of the best by validation score. A member is a sweep of its own in ``logs/study``, so that the
command can be killed at any moment and goes on when it is typed again; ``only=mmoe`` takes one member. What a sweep
came to is written to docs/studies/<study>.json, and a member that stands there with the same settings is not run again,
on whatever machine; remove the file to begin anew. Test rows are looked at by ``final`` alone.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from study_members import ALONE, ROOT, STUDIES, Member, Study, backbones, schemes
from study_record import Record
from study_table import draw, table, write

TRIALS, SEEDS = 12, (1, 2, 3)
#: the steps that only look at the record
SHOWN = ("table", "page", "draw")
BASE = (
    "scheduler=cosine",
    "logger=none",
    "floors=[constant]",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "callbacks.checkpoint.every_steps=100000",
)


def train(words: Sequence[str]) -> None:
    """A command line of train.py, in a process of its own."""
    code = subprocess.run([sys.executable, str(ROOT / "src/train.py"), "-m", *words], cwd=ROOT).returncode
    if code != 0:
        sys.exit(code)


def sweep(folder: Path, words: Sequence[str], source: str, jobs: int) -> None:
    """Begins a sweep, or goes on with it; one that is done is left alone."""
    launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
    mine = [*words, f"data.source={source}", f"hydra.sweep.dir={folder}"]
    if (folder / "sweep.json").is_file():
        begun = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["overrides"]
        if not {*words} <= {*begun}:
            sys.exit(f"{folder} was begun with other settings ({' '.join({*begun} - {*mine})}); remove it")
        if not (folder / "finished").is_file():
            train([f"resume={folder}", *launcher])
    else:
        train([*mine, *launcher])
    (folder / "finished").touch()


def runs(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of a sweep's runs that are done."""
    for file in sorted(folder.glob("*/run.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["state"] == "done":
            yield record


def kept(run: dict[str, Any], search: bool) -> dict[str, Any]:
    """What the record keeps of a run; nothing of a trial's test rows."""
    common = {"seconds": run["seconds"], "rows_per_s": run["rows_per_s"], "parameters": run["parameters"]}
    if search:
        return {"params": run["trial"]["params"], "score": run["trial"]["values"]["val/score"], **common}
    test = {name: round(value, 6) for name, value in run["test"].items()}
    best = run["best"].get("all", {}).get("score")
    machine = run["machine"]["cpu"]
    return {"seed": run["seed"], "score": best, "test": test, "floors": run["floors"], **common, "cpu": machine}


def searched(study: Study, member: Member) -> list[str]:
    """The command line of a member's search."""
    named = {word.split("=")[0] for word in member.space}  # a member's own range stands for that of all
    space = [word for word in study.space if word.split("=")[0] not in named]
    # No pruner: early epochs are better the less a setting regularises, and its last ones worse.
    optuna = ["hydra/sweeper=optuna", f"hydra.sweeper.n_trials={TRIALS}"]
    return [*study.chosen, *BASE, *study.search, *optuna, *space, *member.chosen, *member.space]


def finalised(study: Study, record: Record, member: Member) -> list[str]:
    """The command line of a member's final runs."""
    chosen = record.best(member.name)
    # The factorisation and its like are fitted once, beside the baseline.
    floors = ["floors=null"] if member.name == ALONE else []
    return [*study.chosen, *BASE, *member.chosen, *chosen, *floors, f"seed={','.join(map(str, SEEDS))}"]


def carry_out(step: str, study: Study, record: Record, folder: Path, source: str, only: str, jobs: int) -> None:
    """One of the steps ``search`` and ``final``, for all members with a word in their name."""
    # Schemes follow from the backbones' searches.
    for of in (lambda: backbones(study), lambda: schemes(study, record.found, only)):
        for member in of():
            if only not in member.name:
                continue
            words = searched(study, member) if step == "search" else finalised(study, record, member)
            if not record.done(step, member.name, words):
                place = folder / step / member.name
                sweep(place, words, source, jobs)
                record.add(step, member.name, words, [kept(run, step == "search") for run in runs(place)])


def main(words: list[str]) -> int:
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    chosen, *steps = [word for word in words if "=" not in word] or [""]
    keys, known = (
        {"source", "only", "jobs", "folder", "record", "picture"},
        {"search", "final", "table", "page", "draw"},
    )
    lacks_source = "source" not in settings and not {*steps} <= {"table", "page", "draw"}
    if chosen not in STUDIES or not steps or {*settings} - keys or {*steps} - known or lacks_source:
        print(__doc__, file=sys.stderr)
        return 2
    study, source, only = STUDIES[chosen], settings.get("source", ""), settings.get("only", "")
    folder = Path(settings.get("folder", ROOT / "logs/study")).resolve() / chosen
    record = Record(Path(settings.get("record", ROOT / f"docs/studies/{chosen}.json")))
    jobs = int(settings.get("jobs", 2))
    try:
        for step in ("search", "final"):
            if step in steps:
                carry_out(step, study, record, folder, source, only, jobs)
        if "table" in steps:
            print(table(study, record))
        if "page" in steps:
            write(ROOT / "docs/results.md", chosen, table(study, record))
        if "draw" in steps:
            picture = Path(settings.get("picture", ROOT / f"docs/images/study_{chosen}.png"))
            draw(study, record, picture, f"{chosen}: test scores of every member, {len(SEEDS)} seeds each")
    except KeyError as error:
        sys.exit(str(error.args[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
