"""How good every sharing scheme and every backbone is on a data set, at equal budget.

    python scripts/study.py movielens_1m source=<ml-1m zip> search    # trials of each member, by validation rows
    python scripts/study.py movielens_1m source=<ml-1m zip> promote   # the best in full, by validation rows
    python scripts/study.py movielens_1m source=<ml-1m zip> final     # what was best there, with two more seeds
    python scripts/study.py movielens_1m source=<ml-1m zip> speed     # rows/s of all, while nothing else runs
    python scripts/study.py movielens_1m table                        # what was found
    python scripts/study.py movielens_1m page draw                    # the same in docs/results.md, and its picture

Studies are movielens_1m, interact (MovieLens-100K, watched or not beside the rating), census_income and
kuairand_subset. Members are every backbone under hard sharing, then every scheme (or those a study names) on the
fastest of the backbones that are level with the best by validation score; single_task is a member a task, each searched
by itself. A member is a sweep of its own in ``logs/study``, so that the command can be killed at any moment and goes on
when it is typed again; ``only=mmoe`` takes one member. ``sampler=2`` searches by other chances, to see what luck there
is in it; give it a ``folder=`` and a ``record=`` of its own. What a sweep came to is written to
docs/studies/<study>.json, and a member that stands there with the same settings is not run again, on whatever machine;
remove the file to begin anew. Nothing is chosen by test rows.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from study_members import ALONE, ROOT, STUDIES, Member, Study, backbones, schemes
from study_record import NotDoneError, Record
from study_table import draw, table, write

TRIALS = 12
RATE, PENALTY = "optimizer.lr", "features.l2"
#: on all rows an epoch has more steps, and a smaller rate suits them: hard_sharing on fm has a validation score of .446
#: there with what is best on a fifth of them and 1.4 times the penalty, and of .453 with half of that rate
SLOWER = 0.5
#: runs of a member on all rows with the first seed, where its penalty is sought anew
MOST = 6
#: a validation score that says no more than a constant prediction: the penalty has brought the embeddings to zero
NOTHING = 0.02
#: what the penalty is multiplied by where a seed comes to nothing with all that were attempted
WEAKER = 0.7
#: how often each member's speed is taken, by turns, and of what training: the first of its epochs warms up
ROUNDS = 2
BRIEF = (
    "method.epochs=3",
    "trainer.limit_train_batches=60",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
)
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


def trial(run: dict[str, Any]) -> dict[str, Any]:
    """What the record keeps of a trial: nothing of its test rows."""
    return {"params": run["trial"]["params"], "score": run["trial"]["values"]["val/score"], **_cost(run)}


def whole(run: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """What the record keeps of a run on all rows."""
    [best] = run["best"].values()
    test = {name: round(value, 6) for name, value in run["test"].items()}
    about = {"test": test, "floors": run["floors"], "cpu": run["machine"]["cpu"]}
    return {"params": params, "seed": run["seed"], "score": best["score"], **about, **_cost(run)}


def _cost(run: dict[str, Any]) -> dict[str, Any]:
    return {key: run[key] for key in ("seconds", "rows_per_s", "parameters")}


def shared(study: Study, member: Member) -> list[str]:
    """What all have in common, but for what this member says of the same keys."""
    said = {word.split("=")[0] for word in member.chosen}
    return [*(word for word in study.chosen if word.split("=")[0] not in said), *BASE]


def search(study: Study, member: Member, record: Record, place: Path, source: str, jobs: int) -> None:
    """Trials on a sample."""
    named = {word.split("=")[0] for word in member.space}  # a member's own range stands for that of all
    space = [word for word in study.space if word.split("=")[0] not in named]
    # No pruner: early epochs are better the less a setting regularises, and its last ones worse.
    optuna = ["hydra/sweeper=optuna", f"hydra.sweeper.n_trials={TRIALS}"]
    words = [*shared(study, member), *study.search, *optuna, *space, *member.chosen, *member.space]
    if not record.done("search", member.name, words):
        sweep(place, words, source, jobs)
        record.add("search", member.name, words, [trial(run) for run in runs(place)])


def promote(study: Study, member: Member, record: Record, place: Path, source: str, jobs: int) -> None:
    """The best trial on all rows with the first seed, by two rates and several strengths of its penalty.

    The penalty that the study names first is attempted with the trial's rate and half of it, the other with the better
    of both, and then further steps until the best lies between two others, six runs at most. A search on all rows
    stands as it is.
    """
    best = record.best(member.name)["params"]
    common = [*shared(study, member), *member.chosen, f"seed={study.seeds[0]}"]
    words = [*common, *overrides(best), f"{RATE} x {SLOWER}", f"{PENALTY} x {study.stronger}", f"at most {MOST}"]
    if record.done("promote", member.name, words):
        return
    found: list[dict[str, Any]] = []

    def attempt(rate: float, factor: float) -> float:
        params = best | {RATE: rate * best[RATE], PENALTY: factor * best[PENALTY]}
        at = place / f"{rate:g}-{factor:.3g}"
        sweep(at, [*common, *overrides(params)], source, jobs)
        [run] = runs(at)
        found.append(whole(run, params))
        return float(found[-1]["score"])

    low, high = study.stronger[0], study.stronger[-1]
    score = attempt(1, low)
    if high > low:
        slower = attempt(SLOWER, low)
        rate, score = (SLOWER, slower) if slower > score else (1, score)
        climb(lambda factor: attempt(rate, factor), score, low, high, MOST - len(found))
    record.add("promote", member.name, words, found)


def climb(attempt: Callable[[float], float], score: float, low: float, high: float, most: int) -> None:
    """Goes on by steps of high / low, up or down, until the best lies between two others.

    Args:
        attempt: a factor to its score.
        score: that of ``low``.
        low, high: the first two factors.
        most: how often to attempt.

    Example:
        >>> tried = []
        >>> climb(lambda factor: tried.append(factor) or -abs(factor - 5), -4, low=1, high=2, most=9)
        >>> tried
        [2, 4.0, 8.0]
    """
    scores = {low: score}
    at = high
    for _ in range(most):
        scores[at] = attempt(at)
        best = max(scores, key=lambda factor: scores[factor])
        if min(scores) < best < max(scores):
            return
        at = best * high / low if best == max(scores) else best * low / high


def overrides(params: dict[str, Any]) -> list[str]:
    """Parameters of a trial as a command line has them."""
    return [f"{key}={value}" for key, value in params.items()]


def final(study: Study, member: Member, record: Record, place: Path, source: str, jobs: int) -> None:
    """The best of those, by validation rows, with the other seeds.

    Where a seed comes to nothing with it, it is dropped, and the next best is taken that has not come to nothing
    itself; where none is left, weaker penalties, until all seeds learn or a member has twice the runs that others may
    have: then it has no final ones. The record keeps what was dropped.
    """
    # The factorisation and its like are fitted once, beside the baseline.
    floors = ["floors=null"] if member.name.startswith(ALONE) else []
    common = [*shared(study, member), *member.chosen]
    while True:
        promoted = record.needed("promote", member.name)
        dropped = record.members("dropped", of=member.name)
        left = [run for run in promoted if run["score"] >= NOTHING and as_dropped(member, run) not in dropped]
        if not left and len(promoted) >= 2 * MOST:
            print(f"{member.name}: a seed comes to nothing with each of {len(promoted)} settings", file=sys.stderr)
            return
        if not left:
            weaken(study, member, record, place.parent.parent / "promote" / member.name, source, jobs)
            continue
        best = max(left, key=lambda run: float(run["score"]))
        words = [*common, *overrides(best["params"]), *floors, f"seed={','.join(map(str, study.seeds[1:]))}"]
        if not record.done("final", member.name, words):
            at = place.with_name(f"{member.name}-{len(dropped) + 1}") if dropped else place
            sweep(at, words, source, jobs)
            record.add("final", member.name, words, [best, *(whole(run, best["params"]) for run in runs(at))])
        if all(run["score"] >= NOTHING for run in record.runs("final", member.name)):
            return
        record.move("final", member.name, "dropped", as_dropped(member, best))


def speed(study: Study, members: Sequence[Member], record: Record, place: Path, source: str) -> None:
    """Rows/s of the members that have final runs, with the setting of these: brief trainings, one at a time, by turns.

    On a machine that does nothing else, or the figures are of what it did.
    """
    words = {}
    for member in members:
        if found := record.runs("final", member.name):
            common = shared(study, replace(member, chosen=(*member.chosen, *BRIEF)))
            setting = [*member.chosen, *overrides(found[0]["params"]), f"seed={study.seeds[0]}"]
            words[member.name] = [*common, *setting, *BRIEF]
    rounds = f"{ROUNDS} rounds"
    left = {name: those for name, those in words.items() if not record.done("speed", name, [*those, rounds])}
    for turn in range(ROUNDS):
        for name, those in left.items():
            sweep(place / name / str(turn), those, source, 1)
    for name, those in left.items():
        took = [run for turn in range(ROUNDS) for run in runs(place / name / str(turn))]
        timed = [{"rows_per_s": run["rows_per_s"], "cpu": run["machine"]["cpu"]} for run in took]
        record.add("speed", name, [*those, rounds], timed)


def as_dropped(member: Member, run: dict[str, Any]) -> str:
    """What the record calls a setting that was dropped."""
    return f"{member.name} {RATE}={run['params'][RATE]:.3g} {PENALTY}={run['params'][PENALTY]:.3g}"


def weaken(study: Study, member: Member, record: Record, place: Path, source: str, jobs: int) -> None:
    """One more run with the first seed: the best setting, with a penalty weaker than all before."""
    promoted = record.needed("promote", member.name)
    best = max(promoted, key=lambda run: float(run["score"]))
    params = best["params"] | {PENALTY: WEAKER * min(run["params"][PENALTY] for run in promoted)}
    at = place / f"weaker-{params[PENALTY]:.3g}"
    sweep(at, [*shared(study, member), *member.chosen, f"seed={study.seeds[0]}", *overrides(params)], source, jobs)
    [run] = runs(at)
    record.extend("promote", member.name, whole(run, params))


STEPS = {"search": search, "promote": promote, "final": final}
#: the step that all members have by turns
SPEED = "speed"


def carry_out(
    steps: Sequence[str], study: Study, record: Record, folder: Path, source: str, only: str, jobs: int
) -> None:
    """Steps for all members with a word in their name: backbones, then the schemes, on the one that came out best.

    Their searches tell which did; or, where these have all rows, the runs after them, which have more seeds.
    """
    found = record.found if study.search else record.settled
    taken: list[Member] = []
    for of in (lambda: backbones(study), lambda: schemes(study, found, only)):
        for member in of():
            if only in member.name:
                taken.append(member)
                for step in STEPS:
                    if step in steps:
                        STEPS[step](study, member, record, folder / step / member.name, source, jobs)
    if SPEED in steps:
        speed(study, taken, record, folder / SPEED, source)


def main(words: list[str]) -> int:
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    chosen, *steps = [word for word in words if "=" not in word] or [""]
    keys = {"source", "only", "jobs", "sampler", "folder", "record", "picture"}
    unknown = {*settings} - keys | {*steps} - {*STEPS, SPEED, *SHOWN}
    lacking = {"source"} - {*settings} if {*STEPS, SPEED} & {*steps} else set()
    # Other chances are another record, or they would be taken for a change of settings and begin it anew.
    lacking |= {"folder", "record"} - {*settings} if "sampler" in settings else set()
    if chosen not in STUDIES or not steps or unknown or lacking:
        print(__doc__, file=sys.stderr)
        return 2
    study, source, only = STUDIES[chosen], settings.get("source", ""), settings.get("only", "")
    folder = Path(settings.get("folder", ROOT / "logs/study")).resolve() / chosen
    record = Record(Path(settings.get("record", ROOT / f"docs/studies/{chosen}.json")))
    jobs = int(settings.get("jobs", 2))
    if "sampler" in settings:
        study = replace(study, search=(*study.search, f"hydra.sweeper.seed={settings['sampler']}"))
    try:
        if {*STEPS, SPEED} & {*steps}:
            carry_out(steps, study, record, folder, source, only, jobs)
        if "table" in steps:
            print(table(study, record))
        if "page" in steps:
            write(ROOT / "docs/results.md", chosen, table(study, record))
        if "draw" in steps:
            picture = Path(settings.get("picture", ROOT / f"docs/images/study_{chosen}.png"))
            draw(study, record, picture, f"{chosen}: test scores of every member, {len(study.seeds)} seeds each")
    except NotDoneError as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
