"""One combination of sharing scheme, backbone and kinds of task: does it hold together?

Run pair by pair by tests/combinations, and in full by scripts/every_combination.py.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

import members
from taskloom.balancers.equal import Equal
from taskloom.data.shape import shape
from taskloom.errors import ConfigError
from taskloom.features import Features
from taskloom.heads import HEADS, head_class
from taskloom.methods.supervised import Supervised
from taskloom.module import MultiTaskModule
from taskloom.outcome import OutcomeCollector
from taskloom.schema import Batch, Schema
from taskloom.tasks import TargetStatistics, Task
from taskloom.training.parameter_groups import parameter_groups
from taskloom.training.schedules import constant

ROWS = 12
#: how much of the way from a constant prediction to a perfect one counts as learnt: small networks with five tasks that
#: have nothing in common do not get much further
LEARNT = 0.6
#: initialisations from which a batch may be learnt: layers of 8 units are at times dead for one task from the start
TRIES = 3
#: beside the kind that is looked at: a chain of two, then others
OTHERS = ("binary", "binary", "regression", "count")


class RefusedError(Exception):
    """A combination that makes no sense, and the sentence that says so."""


def kinds_of(kind: str, n_tasks: int) -> list[str]:
    """Tasks of mixed kinds, the last of which is the one that is looked at.

    Example:
        >>> kinds_of("ordinal", 3)
        ['binary', 'binary', 'ordinal']
    """
    return [*OTHERS[: n_tasks - 1], kind]


def make_tasks(kinds: Sequence[str]) -> list[Task]:
    """A task of each kind; the first is the parent of all others."""
    return [
        Task(
            f"t{k}",
            kind,
            target=(f"t{k}_0", f"t{k}_1") if kind == "multilabel" else (f"t{k}",),
            parent="t0" if k else None,
        )
        for k, kind in enumerate(kinds)
    ]


def draw(kind: str, n_columns: int, g: torch.Generator) -> torch.Tensor:
    """Targets (ROWS, n_columns) of a kind."""
    shape = (ROWS, n_columns)
    if kind in ("binary", "multilabel", "ranking"):
        return (torch.arange(ROWS).unsqueeze(1) % 3 != torch.randint(0, 3, shape, generator=g)).float()
    if kind in ("ordinal", "multiclass"):
        return torch.arange(ROWS).remainder(3).unsqueeze(1)[torch.randperm(ROWS, generator=g)] + 1.0
    if kind == "count":
        return torch.poisson(torch.full(shape, 2.0), generator=g)
    if kind == "zero_inflated":
        return (torch.randn(shape, generator=g).exp() * (torch.rand(shape, generator=g) < 0.6)).index_fill(
            0, torch.tensor([0]), 0.0
        )
    return 2 + torch.randn(shape, generator=g)


def statistics(targets: torch.Tensor) -> TargetStatistics:
    """What the data's preparation would say of these training rows."""

    def plain(values: torch.Tensor) -> dict[str, tuple[float, ...]]:
        return {"mean": tuple(values.mean(0).tolist()), "std": tuple(values.std(0, correction=0).tolist())}

    values, counts = targets.unique(return_counts=True)
    logs = TargetStatistics(n=ROWS, **plain(targets.clamp_min(0).log1p()))
    return TargetStatistics(
        n=ROWS,
        least=tuple(targets.amin(0).tolist()),
        values=tuple(values.tolist()),
        counts=tuple(counts.tolist()),
        transformed=logs,
        **plain(targets),
        **shape(targets[:, 0].numpy()),
    )


def make(
    scheme: str, backbone: str, kinds: Sequence[str], views: str | None = None, seed: int = 0
) -> tuple[MultiTaskModule, Batch]:
    """A small network of the combination, initialised with a seed, and a batch for it.

    Raises:
        RefusedError: the scheme says that it makes no sense for these tasks.
    """
    torch.manual_seed(seed)
    tasks = make_tasks(kinds)
    g = torch.Generator().manual_seed(1)
    targets = [draw(task.kind, len(task.targets), g) for task in tasks]
    # There is no purchase without a click.
    targets = [t * targets[0] if task.kind == "binary" else t for task, t in zip(tasks, targets, strict=True)]
    schema = replace(members.SCHEMA, targets=tuple(name for task in tasks for name in task.targets))
    made, possible = members.scheme(scheme)
    arguments = dict(made.keywords)
    try:
        made.func.check_tasks(tasks, arguments)
    except ConfigError as error:
        raise RefusedError(str(error)) from None
    features = Features(schema, len(tasks), dim=4, views=views or possible[0], init_std=0.3)
    sharing = made(partial(members.backbone(backbone), features.inputs), tasks)
    heads = [
        head_class(task)(task, statistics(target), sharing.width, sharing.wide)
        for task, target in zip(tasks, targets, strict=True)
    ]
    adam = partial(torch.optim.Adam, lr=0.02)
    module = MultiTaskModule(
        features,
        sharing,
        heads,
        Equal(tasks),
        Supervised(epochs=1),
        adam,
        constant,
        partial(parameter_groups, patterns={}),
    )
    return module, make_batch(schema, torch.cat(targets, 1), len(tasks), g)


def make_batch(schema: Schema, targets: torch.Tensor, n_tasks: int, g: torch.Generator) -> Batch:
    """Rows that all differ, in three groups, with histories of 0 to 4 events."""
    sizes = [feature.size for feature in schema.of_kind("categorical")]
    ids = torch.stack([torch.randint(1, size, (ROWS,), generator=g) for size in sizes], 1)
    ids[:, 0] = torch.arange(ROWS) % sizes[0]
    mask = torch.arange(4) >= (torch.arange(ROWS) % 5).unsqueeze(1)
    return Batch(
        categorical=ids,
        bags=torch.randint(0, 5, (ROWS, 3), generator=g),
        dense=torch.randn(ROWS, schema.n_dense, generator=g),
        targets=targets,
        labelled=torch.ones(ROWS, n_tasks, dtype=torch.bool),
        group=torch.arange(ROWS) % 3,
        row=torch.arange(ROWS),
        history=torch.randint(1, 9, (ROWS, 4, 1), generator=g) * mask.unsqueeze(2),
        history_mask=mask,
        prior=ids[:, 2:3],
    )


def check(scheme: str, backbone: str, kinds: Sequence[str], views: str | None = None, by_heart: bool = False) -> int:
    """Takes a step and a prediction, and looks at what must hold of any combination.

    Args:
        scheme, backbone: members of conf/model and conf/backbone.
        kinds: of the tasks, which get a chain of parents.
        views: of the embeddings; None takes the scheme's own.
        by_heart: also learns the batch by heart, from the first of some initialisations that can; a second each.

    Returns:
        how many initialisations that took.

    Raises:
        RefusedError: the combination makes no sense, with the reason.
        AssertionError: it does not hold together.
    """
    reasons: list[str] = []
    for seed in range(TRIES):
        module, batch = make(scheme, backbone, kinds, views, seed)
        predictions(module, batch)
        unlabelled(module, batch)
        steps(module, batch, 60 if by_heart else 8)
        reason = learn(module, batch) if by_heart else None
        if reason is None:
            return seed + 1
        reasons.append(reason)
    raise AssertionError("not learnt by heart: " + "; ".join(reasons))


def predictions(module: MultiTaskModule, batch: Batch) -> None:
    """Shapes, and finite numbers that metrics can read."""
    output, k = module(batch), len(module.tasks)
    assert module.sharing(module.features(batch)).h.shape == (ROWS, k, module.sharing.width)
    assert [raw.shape for raw in output.raw] == [(ROWS, head.n_raw) for head in module.heads]
    assert output.penalty.shape == ()
    collector = OutcomeCollector()
    made = module.predict(batch)
    assert all(prediction.isfinite().all() and len(prediction) == ROWS for prediction in made)
    collector.add(batch, made, module.columns)
    outcome = collector.finish()
    assert outcome is not None
    scores = outcome.score(module.tasks, module.metrics())
    for name, metric in module.main_metrics.items():
        assert torch.tensor(scores[f"{name}/{metric}"]).isfinite(), f"{name}/{metric}"


def unlabelled(module: MultiTaskModule, batch: Batch) -> None:
    """A task without labels leaves its own parameters alone; with labels it moves its head."""
    for k in {0, len(module.tasks) - 1}:
        without = batch.select(torch.arange(ROWS))
        without.labelled[:, k] = False
        module.zero_grad()
        output = module(without)
        losses, _ = module.losses(output.raw, without)
        assert losses.isfinite().all()
        assert losses[k] == 0
        losses.sum().backward()
        for name, parameter in module.named_parameters():
            still = parameter.grad is None or not parameter.grad.any()
            own = module.owner(name)
            # Where probabilities are chained, a child's labels say something of its parent's head, too.
            assert still or own != k or (chained(module, k) and name.startswith("heads")), name
        assert any(p.grad is not None and p.grad.any() for p in module.heads[1 if k == 0 else 0].parameters())
    module.zero_grad()


def chained(module: MultiTaskModule, k: int) -> bool:
    """Whether the scheme composes the outputs of a task with those of others."""
    composes = type(module.sharing).compose is not type(module.sharing).__mro__[-3].compose  # type: ignore[attr-defined]
    return composes and any(task.parent == module.tasks[k].name for task in module.tasks)


def steps(module: MultiTaskModule, batch: Batch, n: int) -> None:
    """Steps of training bring the objective down."""
    module.train()
    optimizer = module.make_optimizer(module.make_groups(dict(module.named_parameters())))
    found = []
    for _ in range(n):
        optimizer.zero_grad()
        loss, _ = module.objective(batch)
        assert loss.isfinite()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    assert min(found[1:]) < found[0]


def learn(module: MultiTaskModule, batch: Batch) -> str | None:
    """With more steps, each task's main metric is far beyond what a constant prediction gets, all at one time.

    It is enough that they get there, with steps that become smaller: at a constant rate a likelihood whose spread has
    become narrow, or a product of many layers, leaves again. Returns how far they got if that is not enough.
    """
    n = 600
    optimizer = module.make_optimizer(module.make_groups(dict(module.named_parameters())))
    ways: dict[str, float] = {}
    for step in range(1, n + 1):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (1 - step / n)
        module.train()
        optimizer.zero_grad()
        loss, _ = module.objective(batch)
        loss.backward()
        optimizer.step()
        if step % 30 == 0:
            ways = ways_to_perfect(module, batch)
            if min(ways.values()) > LEARNT:
                return None
    return f"after {n} steps {ways}"


def ways_to_perfect(module: MultiTaskModule, batch: Batch) -> dict[str, float]:
    """How much of the way from a constant prediction to a perfect one each task's main metric has gone."""
    module.eval()
    collector = OutcomeCollector()
    collector.add(batch, module.predict(batch), module.columns)
    outcome = collector.finish()
    assert outcome is not None
    specs = module.metrics()
    values = outcome.score(module.tasks, specs)
    constants = [head.constant_prediction(ROWS) for head in module.heads]  # type: ignore[operator]
    constant = outcome.predicted(constants).score(module.tasks, specs)
    ways = {}
    for task, spec in zip(module.tasks, specs, strict=True):
        name = f"{task.name}/{module.main_metrics[task.name]}"
        perfect = 1.0 if spec[module.main_metrics[task.name]].higher_is_better else 0.0
        ways[name] = (values[name] - constant[name]) / (perfect - constant[name])
    return ways


KINDS = sorted(HEADS)
