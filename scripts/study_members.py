"""The data sets of `study.py`, what each is searched through, and the members that stand in its table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import phase_runs

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Study:
    """A data set, and what a search on it looks through.

    Args:
        chosen: what all members have in common, as overrides.
        search: what the search has beside that, such as a sample in place of all rows.
        space: what every member is searched through.
        metrics: of the table, as ``task/metric``.
        backbones: that stand for themselves in the table; empty for all.
        schemes: beside hard_sharing and single_task; empty for all.
        stronger: by how much more than on the sample embeddings are held where all rows train, at first. An id is
            learnt from more of them there, and what kept the sample from overfitting is too little: on MovieLens-1M,
            five times the rows, the validation score is .440, .446, .449 and .432 with 1, 1.4, 2 and 3 times as much
            (hard_sharing on fm). One number where the search has all rows.
        near: of a validation score, what another point of the search, or another seed, may change.
        seeds: of the runs on all rows.
    """

    chosen: tuple[str, ...]
    search: tuple[str, ...]
    space: tuple[str, ...]
    metrics: tuple[str, ...]
    backbones: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    stronger: tuple[float] | tuple[float, float] = (1.0,)
    near: float = 0.004
    seeds: tuple[int, ...] = (1, 2, 3)


RATINGS = ("optimizer.lr=tag(log,interval(5e-4,5e-3))", "features.l2=tag(log,interval(0.01,0.3))")
#: where rows are few, and so are steps
QUICK = ("optimizer.lr=tag(log,interval(1e-3,1e-2))", "features.l2=tag(log,interval(0.01,0.3))")
#: where an epoch is 33 steps: hard_sharing on mlp and on dcn_v2 are best above the rates of the others
FEW = ("optimizer.lr=tag(log,interval(2e-3,3e-2))", "features.l2=tag(log,interval(0.01,0.3))")
#: so small that the rate that is best on the sample is best on all rows too: at 4,096 it is twice as high there
BATCH = "data.batch_size=1024"
#: those of the map in docs/results.md
MAPPED = tuple(name for name in phase_runs.SCHEMES if name != "hard_sharing")
#: chosen with hard_sharing on fm, by validation rows of MovieLens-1M: see docs/results.md
BY_FREQUENCY, PRODUCT_DROPOUT = "features.l2_power=0.3", "backbone.product_dropout=0.1"
#: what products want, by the same rows: a peak that twelve trials over the range above miss
PRODUCT_L2 = "features.l2=tag(log,interval(0.1,0.6))"
TABLE = (
    "optimizer.lr=tag(log,interval(5e-4,5e-3))",
    "features.l2=tag(log,interval(1e-3,0.1))",
    "backbone.dropout=choice(0.1,0.3,0.5)",
)
STUDIES = {
    "movielens_1m": Study(
        ("data=movielens_1m", "data.split.seed=0", "method.epochs=12", BATCH, BY_FREQUENCY),
        ("+data.split.sample=0.2",),
        RATINGS,
        ("like/auc", "rating/rmse"),
        stronger=(1.4, 2.0),
    ),
    "interact": Study(
        # A batch has four films drawn by chance beside each of its rows, and large ones are few steps. On validation
        # rows of 30% of the users `interact` has an AUC of .714 to .770 (rates of 2e-3 and 1e-2) after 6 epochs of
        # 1,024 rows, which are 150 steps, and of .800 (5e-3) after 12 of 256: hard_sharing on fm.
        (
            *("data=movielens_100k", "data.split.seed=0", "tasks=[interact,rating]", "data.ranking=null"),
            *("data.negatives.eval_per_row=4", "data.batch_size=256", "method.epochs=10"),
        ),
        ("+data.split.sample=0.2",),
        QUICK,
        ("interact/auc", "rating/rmse"),
        ("fm", "mlp", "din"),
        MAPPED,
        (1.0, 1.7),
    ),
    "census_income": Study(
        # education defines college, so it is a feature of none of the three
        ("experiment=census_income", "tasks=[income,never_married,college]", "data.features.education=null"),
        ("+data.split.sample=0.5",),
        TABLE,
        ("income/auc", "never_married/auc", "college/auc"),
        ("mlp", "dcn_v2", "deepfm", "autoint", "fm"),
        stronger=(1.0, 1.4),
        near=0.001,  # all backbones are within .003, and seeds differ by .0003
    ),
    "kuairand_subset": Study(
        (
            # watch_time in seconds, as it is scored, and not by its logarithm, which is after the median
            *("data=kuairand_subset", "tasks=[label,click,watch_time]", "data.tasks.watch_time.options.transform=none"),
            "method.epochs=12",
        ),
        (),
        FEW,
        ("label/auc", "click/auc", "watch_time/rmse"),
        ("fm", "mlp", "dcn_v2", "deepfm"),
        MAPPED,
        # A run takes seconds, and seeds differ by .011 of validation score (hard_sharing on fm): as good settings do.
        seeds=tuple(range(1, 11)),
    ),
}
#: schemes that need a chain or a scenario, of which these sets have none
ELSEWHERE = ("esmm", "aitm", "pepnet")
#: which all others are held against: a member a task, searched by itself, that are one line on top of the table; the
#: one whose runs also fit the floors
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
    "cross_stitch": ("model.initial=interval(0.5,1)", "features.views=choice(shared,per_task)"),
    "sluice": (
        "model.initial=interval(0.5,1)",
        "features.views=choice(shared,per_task)",
        "model.orthogonality=tag(log,interval(1e-5,1e-1))",
    ),
    "attention": ("model.hidden=choice(16,32,64)",),
    "task_transformer": ("model.width=choice(16,32,64)", "model.layers=choice(1,2)"),
}


@dataclass(frozen=True)
class Member:
    """A line of the table.

    Args:
        name: ``<scheme>``, ``hard_sharing.<backbone>`` or ``single_task.<task>``.
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


def for_ratings(study: Study, backbone: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is set for ratings and what is searched there, where the backbone has products."""
    text = (ROOT / "conf/backbone" / f"{backbone}.yaml").read_text(encoding="utf-8")
    products = BY_FREQUENCY in study.chosen and "product_dropout" in text
    return ((PRODUCT_DROPOUT,), (PRODUCT_L2,)) if products else ((), ())


def schemes(study: Study, found: Callable[[str], tuple[float, float]], only: str = "") -> list[Member]:
    """Every other scheme with this word in its name, on the fastest of the backbones that came out best.

    Args:
        study: of which data set.
        found: the validation score of a member's best trial and its rows/s, by the member's name.
        only: a word.
    """
    tasks = dict.fromkeys(metric.partition("/")[0] for metric in study.metrics)
    alone = [Member(f"{ALONE}.{task}", (f"model={ALONE}", f"tasks=[{task}]")) for task in tasks]
    others = study.schemes or [name for name in names("model") if name not in ("hard_sharing", ALONE, *ELSEWHERE)]
    members = alone + [Member(name, (f"model={name}",), SCHEMES.get(name, ())) for name in others]
    wanted = [member for member in members if only in member.name]
    if not wanted:
        return []
    searched = {member.name.partition(".")[2]: found(member.name) for member in backbones(study)}
    best = max(score for score, _ in searched.values())
    near = [name for name, (score, _) in searched.items() if score >= best - study.near]
    backbone = max(near, key=lambda name: searched[name][1])
    fixed, space = for_ratings(study, backbone)
    return [Member(it.name, (*it.chosen, f"backbone={backbone}", *fixed), (*space, *it.space)) for it in wanted]
