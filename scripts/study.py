"""How good every sharing scheme and every backbone is on a data set, at equal budget.

    python scripts/study.py movielens_1m source=<ml-1m zip> search    # trials of each member, by validation rows
    python scripts/study.py movielens_1m source=<ml-1m zip> final     # its best trial in full, with three seeds
    python scripts/study.py movielens_1m table                        # the rows of docs/results.md

Studies are movielens_1m, interact (MovieLens-1M, watched or not beside the rating), census_income and kuairand_subset.
Members are every backbone under hard sharing, then every scheme on the backbones that validation likes best. A member
is a sweep of its own in ``logs/study``, so that the command can be killed at any moment and goes on when it is typed
again; ``only=mmoe`` takes one member. Test rows are looked at by ``final`` alone.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TRIALS, SEEDS = 12, (1, 2, 3)
BASE = (
    "scheduler=cosine",
    "logger=none",
    "floors=[constant]",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "callbacks.checkpoint.every_steps=100000",
)


@dataclass(frozen=True)
class Study:
    """A data set, and what a search on it looks through.

    Args:
        chosen: what all members have in common, as overrides.
        search: what the search has beside that, such as a sample in place of all rows.
        space: what every member is searched through.
        metrics: of the table, as ``task/metric``.
        backbones: that stand for themselves in the table; empty for all.
    """

    chosen: tuple[str, ...]
    search: tuple[str, ...]
    space: tuple[str, ...]
    metrics: tuple[str, ...]
    backbones: tuple[str, ...] = ()


RATINGS = ("optimizer.lr=tag(log,interval(5e-4,5e-3))", "features.l2=tag(log,interval(0.01,0.8))")
#: so small that the rate that is best on the sample is best on all rows too: at 4,096 it is twice as high there
BATCH = "data.batch_size=1024"
#: chosen with hard_sharing on fm, by validation rows of MovieLens-1M: see docs/results.md
BY_FREQUENCY, PRODUCT_DROPOUT = "features.l2_power=0.3", "backbone.product_dropout=0.1"
#: what products want, by the same rows: a peak that twelve trials over the range above miss
PRODUCT_L2 = "features.l2=tag(log,interval(0.1,0.6))"
TABLE = (
    "optimizer.lr=tag(log,interval(5e-4,5e-3))",
    "features.l2=tag(log,interval(1e-3,0.1))",
    "backbone.dropout=choice(0.1,0.3,0.5)",
)
SAMPLE = "+data.split.sample=0.2"
STUDIES = {
    "movielens_1m": Study(
        ("data=movielens_1m", "data.split.seed=0", "method.epochs=12", BATCH, BY_FREQUENCY),
        (SAMPLE,),
        RATINGS,
        ("like/auc", "rating/rmse"),
    ),
    "interact": Study(
        (
            "data=movielens_1m",
            "data.split.seed=0",
            "tasks=[interact,rating]",
            "data.ranking=null",
            "method.epochs=6",
            BATCH,
            BY_FREQUENCY,
        ),
        (SAMPLE,),
        RATINGS,
        ("interact/auc", "rating/rmse"),
    ),
    "census_income": Study(
        ("experiment=census_income",),
        (),
        TABLE,
        ("income/auc", "never_married/auc"),
        ("mlp", "dcn_v2", "deepfm", "autoint", "fm"),
    ),
    "kuairand_subset": Study(
        ("data=kuairand_subset", "method.epochs=12"),
        (),
        RATINGS,
        ("label/auc", "click/auc", "watch_time/rmse"),
    ),
}
#: schemes that need a chain or a scenario, of which these sets have none
ELSEWHERE = ("esmm", "aitm", "pepnet")
#: which all others are held against: on top of the table, and the one whose runs also fit the floors
ALONE = "single_task"
#: what a scheme alone has to look for
SCHEMES: dict[str, tuple[str, ...]] = {
    "soft_sharing": (
        "model.strength=tag(log,interval(1e-5,1e-1))",
        "model.embedding_strength=tag(log,interval(0.1,10))",
    ),
    "mmoe": ("model.experts=choice(2,4,8)",),
    "omoe": ("model.experts=choice(2,4,8)",),
    "dselect_k": ("model.experts=choice(4,8)", "model.entropy=tag(log,interval(1e-4,1e-1))"),
    "cgc": ("model.own_experts=choice(1,2)", "model.shared_experts=choice(1,2,4)"),
    "ple": ("model.own_experts=choice(1,2)", "model.shared_experts=choice(1,2,4)"),
    "adatt": ("model.own_experts=choice(1,2)", "model.shared_experts=choice(0,1)"),
    "stem": ("model.own_experts=choice(1,2)", "model.shared_experts=choice(1,2)"),
    "cross_stitch": ("model.initial=interval(0.5,1)",),
    "sluice": ("model.initial=interval(0.5,1)", "model.orthogonality=tag(log,interval(1e-5,1e-1))"),
    "attention": ("model.hidden=choice(16,32,64)",),
    "task_transformer": ("model.width=choice(16,32,64)", "model.layers=choice(1,2)"),
}


@dataclass(frozen=True)
class Member:
    """A line of the table.

    Args:
        name: ``<scheme>`` or ``hard_sharing.<backbone>``.
        chosen: what it is, as overrides.
        space: what its search looks through beside what all are.
    """

    name: str
    chosen: tuple[str, ...]
    space: tuple[str, ...] = ()


def names(group: str) -> list[str]:
    """The members of a config group."""
    return sorted(file.stem for file in (ROOT / "conf" / group).glob("*.yaml"))


def backbones(study: Study) -> list[Member]:
    """Every backbone under hard sharing."""
    return [
        Member(f"hard_sharing.{name}", ("model=hard_sharing", f"backbone={name}", *fixed), space)
        for name in study.backbones or names("backbone")
        for fixed, space in [for_ratings(study, name)]
    ]


def for_ratings(study: Study, *chosen: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is set for ratings and what is searched there, where all of these backbones have products."""
    files = [(ROOT / "conf/backbone" / f"{name}.yaml").read_text(encoding="utf-8") for name in chosen]
    products = BY_FREQUENCY in study.chosen and all("product_dropout" in text for text in files)
    return ((PRODUCT_DROPOUT,), (PRODUCT_L2,)) if products else ((), ())


def schemes(study: Study, folder: Path, only: str = "") -> list[Member]:
    """Every other scheme with this word in its name, on the two backbones whose searches came out best."""
    wanted = [name for name in names("model") if name not in ("hard_sharing", *ELSEWHERE) and only in name]
    if not wanted:
        return []
    best = sorted(backbones(study), key=lambda member: -best_trial(folder, member)[1])[:2]
    found = [member.name.partition(".")[2] for member in best]
    choice, (fixed, space) = f"backbone=choice({','.join(found)})", for_ratings(study, *found)
    return [Member(name, (f"model={name}", *fixed), (choice, *space, *SCHEMES.get(name, ()))) for name in wanted]


def train(words: Sequence[str]) -> None:
    """A command line of train.py, in a process of its own."""
    code = subprocess.run([sys.executable, str(ROOT / "src/train.py"), "-m", *words], cwd=ROOT).returncode
    if code != 0:
        sys.exit(code)


def sweep(folder: Path, words: Sequence[str], jobs: int) -> None:
    """Begins a sweep, or goes on with it; one that is done is left alone."""
    launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
    if (folder / "sweep.json").is_file():
        if not (folder / "finished").is_file():
            train([f"resume={folder}", *launcher])
    else:
        train([*words, f"hydra.sweep.dir={folder}", *launcher])
    (folder / "finished").touch()


def runs(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of a sweep's runs that are done."""
    for file in sorted(folder.glob("*/run.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["state"] == "done":
            yield record


def best_trial(folder: Path, member: Member) -> tuple[list[str], float]:
    """The overrides of a member's best trial, and its validation score."""
    trials = [record["trial"] for record in runs(folder / "search" / member.name)]
    if not trials:
        sys.exit(f"{member.name}: no trial is done; run `search` first")
    best = max(trials, key=lambda trial: trial["values"]["val/score"])
    return [f"{key}={value}" for key, value in best["params"].items()], best["values"]["val/score"]


def search(study: Study, folder: Path, source: str, only: str, jobs: int) -> None:
    """Looks for each member's settings on a sample, by validation rows."""
    # No pruner: early epochs are better the less a setting regularises, and its last ones worse.
    optuna = ["hydra/sweeper=optuna", f"hydra.sweeper.n_trials={TRIALS}"]
    common = [*study.chosen, *BASE, f"data.source={source}", *study.search, *optuna]
    # Schemes follow from the backbones' searches.
    for of in (lambda: backbones(study), lambda: schemes(study, folder, only)):
        for member in of():
            if only in member.name:
                named = {word.split("=")[0] for word in member.space}  # a member's own range stands for that of all
                space = [word for word in study.space if word.split("=")[0] not in named]
                sweep(folder / "search" / member.name, [*common, *space, *member.chosen, *member.space], jobs)


def final(study: Study, folder: Path, source: str, only: str, jobs: int) -> None:
    """Trains each member's best trial on all rows, with three seeds."""
    for member in [*backbones(study), *schemes(study, folder, only)]:
        if only in member.name:
            chosen, _ = best_trial(folder, member)
            whole = [*study.chosen, *BASE, f"data.source={source}", *member.chosen, *chosen]
            floors = ["floors=null"] if member.name == ALONE else []
            sweep(folder / "final" / member.name, [*whole, *floors, f"seed={','.join(map(str, SEEDS))}"], jobs)


def table(study: Study, folder: Path) -> None:
    """Prints the rows of docs/results.md: floors, single_task, and the others, best first by the first metric."""
    rows = []
    floors: dict[str, dict[str, float]] = {}
    for member in [*backbones(study), *schemes(study, folder)]:
        done = list(runs(folder / "final" / member.name))
        if len(done) == len(SEEDS):
            scores = [[run["test"][metric] for run in done] for metric in study.metrics]
            chosen, _ = best_trial(folder, member)
            speed = statistics.median(run["rows_per_s"] for run in done)
            place = (member.name != ALONE, -statistics.mean(scores[0]))
            rows.append((place, member.name, scores, done[0]["parameters"], speed, chosen))
            floors = done[0]["floors"] if member.name == ALONE else floors
    print(f"| member | {' | '.join(study.metrics)} | parameters | rows/s | chosen |")
    print("|" + "---|" * (len(study.metrics) + 4))
    for name, found in floors.items():
        shown = " | ".join(f"{found[metric]:.4f}" if metric in found else "" for metric in study.metrics)
        print(f"| floor: {name} | {shown} | | | |")
    for _, name, scores, parameters, speed, chosen in sorted(rows):
        shown = " | ".join(f"{statistics.mean(x):.4f} ± {statistics.stdev(x):.4f}" for x in scores)
        print(f"| `{name}` | {shown} | {parameters:,} | {speed:,.0f} | `{' '.join(chosen)}` |")


def main(words: list[str]) -> int:
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    chosen, *steps = [word for word in words if "=" not in word] or [""]
    wrong = {*settings} - {"source", "only", "jobs", "folder"} | {*steps} - {"search", "final", "table"}
    if chosen not in STUDIES or wrong or not steps or ("source" not in settings and steps != ["table"]):
        print(__doc__, file=sys.stderr)
        return 2
    study, source, only = STUDIES[chosen], settings.get("source", ""), settings.get("only", "")
    folder = Path(settings.get("folder", ROOT / "logs/study")).resolve() / chosen
    jobs = int(settings.get("jobs", 2))
    if "search" in steps:
        search(study, folder, source, only, jobs)
    if "final" in steps:
        final(study, folder, source, only, jobs)
    if "table" in steps:
        table(study, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
