"""What a trained run leaves: scores beside floors, predictions, figures and the table."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from taskloom.metrics.scoring import listed
from taskloom.module import MultiTaskModule
from taskloom.outcome import Outcome, main_metric
from taskloom.tracking.curves import draw_curves
from taskloom.tracking.predictions import write_predictions
from taskloom.tracking.table import TaskRows, print_results
from taskloom.tracking.throughput import Throughput
from taskloom.tracking.verdict import below_floor, verdict_lines
from taskloom.training.best import BestEpoch
from taskloom.training.floors import Floors
from taskloom.training.ranking import CatalogueRanking
from taskloom.training.train import Job, Tested


def conclude(
    job: Job,
    tested: Mapping[str, Tested],
    simple: Floors,
    callbacks: Mapping[str, Callback],
    loggers: Sequence[Logger],
) -> None:
    """Scores and writes what was tested, and says in ``run.json`` that the run is done.

    Args:
        job: trained.
        tested: the model's predictions by part, ``test`` and further test sets.
        simple: the floors.
        callbacks: of the training, by name.
        loggers: where metrics go.
    """
    module, folder = job.module, job.folder
    outcome, values = tested["test"].outcome, tested["test"].values(module)
    for logger in loggers:
        logger.log_metrics({f"test/{name}": value for name, value in values.items()}, step=_steps(callbacks))
    write_predictions(
        folder,
        [task.name for task in module.tasks],
        outcome.row,
        outcome.group,
        outcome.targets,
        outcome.predictions,
        outcome.labelled,
        [head.columns for head in module.heads],  # type: ignore[misc]
    )
    floors = simple.score(outcome)
    if job.data.ranking is not None and floors:
        floors["popularity"] |= CatalogueRanking(job.data).of_popularity()
    further = {part: _further(job, simple, part, found) for part, found in tested.items() if part != "test"}
    rows = task_rows(job, outcome)
    best = next(callback for callback in callbacks.values() if isinstance(callback, BestEpoch))
    throughput = [callback.result() for callback in callbacks.values() if isinstance(callback, Throughput)]
    folder.update(
        state="done",
        test=values,
        floors=floors,
        below_floor=below_floor(values, floors, rows),
        tests={part: found for part, (found, _, _) in further.items()},
        floors_of={part: beside for part, (_, beside, _) in further.items()},
        best=best.best,
        main_metrics=_main_metrics(module),
        **(throughput[0] if throughput else {}),
    )
    draw_curves(folder.path)
    for part, (found, beside, their_rows) in further.items():
        print(f"\nfurther test set {part}")
        print_results(job.label, found, beside, their_rows, notes=verdict_lines(job.label, found, beside, their_rows))
    notes = verdict_lines(job.label, values, floors, rows)
    print_results(job.label, values, floors, rows, folder, notes=notes)


def task_rows(job: Job, outcome: Outcome) -> list[TaskRows]:
    """What tables and verdicts need of each task's test rows."""
    return [
        TaskRows(
            task.name,
            task.kind,
            int(outcome.labelled[:, k].sum()),
            {name: spec.higher_is_better for name, spec in listed(specs, outcome.group).items()}
            | _ranked(job, task.name),
            main_metric(specs),
            _cases(task.kind, outcome, k),
        )
        for k, (task, specs) in enumerate(zip(job.module.tasks, job.module.metrics(), strict=True))
    ]


def _further(
    job: Job, floors: Floors, part: str, tested: Tested
) -> tuple[dict[str, float], dict[str, dict[str, float]], list[TaskRows]]:
    """Scores of the model and of the floors on a test set beside the main one."""
    return tested.values(job.module), floors.score(tested.outcome, part), task_rows(job, tested.outcome)


def _ranked(job: Job, task: str) -> dict[str, bool | None]:
    """The metrics of ranking the whole catalogue by a task, and their direction."""
    spec = job.data.ranking
    if spec is None or spec.task != task:
        return {}
    return {f"{name}@{k}": True for k in spec.at for name in ("ndcg", "recall", "mrr")} | {"rankable": None}


def _cases(kind: str, outcome: Outcome, k: int) -> int:
    """Test rows that a verdict on task k rests on: positive ones where the labels are yes and no."""
    targets = outcome.targets[k][outcome.labelled[:, k]]
    return int((targets > 0).sum()) if kind in ("binary", "multilabel") else len(targets)


def _main_metrics(module: MultiTaskModule) -> dict[str, dict[str, Any]]:
    found = {}
    for task, specs in zip(module.tasks, module.metrics(), strict=True):
        name = main_metric(specs)
        found[task.name] = {"metric": name, "higher_is_better": specs[name].higher_is_better}
    return found


def _steps(callbacks: Mapping[str, Callback]) -> int:
    return next((c.last_step for c in callbacks.values() if isinstance(c, BestEpoch)), 0)
