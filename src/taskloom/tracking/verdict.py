"""The verdict under the table: on which tasks a model does not beat the simple predictors."""

from collections.abc import Mapping, Sequence

from taskloom.tracking.table import LABELS, TaskRows

#: test rows (of a binary or multilabel task, positive ones) below which there is no verdict
ENOUGH = 100

Scores = Mapping[str, float | None]


def below_floor(test: Scores, floors: Mapping[str, Scores], tasks: Sequence[TaskRows]) -> dict[str, str]:
    """The tasks on which a model is not better than the best floor, by the main metric as the table shows it.

    Tasks with fewer than 100 test rows to judge by (of a binary or multilabel task, positive ones) are left out, as are
    those whose main metric is not defined.

    Args:
        test: the model's numbers, ``task/metric`` to value.
        floors: the same for each floor.
        tasks: with their main metrics.

    Returns:
        The best floor's name by task.

    Example:
        >>> task = TaskRows("income", "binary", 9000, {"auc": True}, main="auc", cases=600)
        >>> below_floor({"income/auc": 0.949}, {"boosting": {"income/auc": 0.953}}, [task])
        {'income': 'boosting'}
    """
    found = {}
    for task in tasks:
        best, score, own = _compared(test, floors, task)
        if task.cases >= ENOUGH and best is not None and (own == score or (own > score) != task.metrics[task.main]):
            found[task.name] = best
    return found


def verdict_lines(model_name: str, test: Scores, floors: Mapping[str, Scores], tasks: Sequence[TaskRows]) -> list[str]:
    """A sentence for each task on which the model does not beat the floors, or on which nobody can tell.

    Args:
        model_name: what the table calls the model.
        test: see `below_floor`.
        floors: see `below_floor`.
        tasks: see `below_floor`.

    Example:
        >>> task = TaskRows("income", "binary", 9000, {"auc": True}, main="auc", cases=600)
        >>> verdict_lines("mmoe", {"income/auc": 0.949}, {"boosting": {"income/auc": 0.953}}, [task])
        ['income: boosting 0.9530 is better than mmoe 0.9490 (AUC); the model is not worth its parameters here']
    """
    below = below_floor(test, floors, tasks)
    lines = []
    for task in tasks:
        best, score, own = _compared(test, floors, task)
        if best is None:
            continue
        label = LABELS.get(task.main, task.main.replace("_", " "))
        if task.cases < ENOUGH:
            which = "positive test rows" if task.kind in ("binary", "multilabel") else "test rows"
            lines.append(f"{task.name}: no verdict on {task.cases:,} {which}; it takes {ENOUGH}")
        elif task.name in below:
            than = "as good as" if own == score else "better than"
            lines.append(
                f"{task.name}: {best} {score:.4f} is {than} {model_name} {own:.4f} ({label}); "
                "the model is not worth its parameters here"
            )
    return lines


def _compared(test: Scores, floors: Mapping[str, Scores], task: TaskRows) -> tuple[str | None, float, float]:
    """The best floor of a task, its main metric and the model's, rounded as the table shows them; None for none."""
    key = f"{task.name}/{task.main}"
    own = test.get(key)
    known = {name: scores.get(key) for name, scores in floors.items()}
    shown = {name: round(value, 4) for name, value in known.items() if value is not None and value == value}
    if own is None or own != own or not shown:
        return None, 0.0, 0.0
    best = (max if task.metrics[task.main] else min)(shown, key=lambda name: shown[name])
    return best, shown[best], round(own, 4)
