"""predictions/test.parquet: what the model said of every test row, beside what was true."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from torch import Tensor

from taskloom.atomic import file_beside
from taskloom.errors import RunError
from taskloom.tracking.run_folder import RunFolder


def write_predictions(
    folder: RunFolder,
    task_names: Sequence[str],
    row: Tensor,
    group: Tensor,
    target: Sequence[Tensor],
    prediction: Sequence[Tensor],
    labelled: Tensor,
    columns: Sequence[Sequence[str]] | None = None,
) -> Path:
    """Write one line a test row, atomically: ``row``, ``user``, and for each task its target and prediction.

    Args:
        folder: the run folder.
        task_names: the K tasks, in order.
        row: int64 (N,), the row's number in the source.
        group: int64 (N,), the user.
        target: of each task, (N,) or (N, t), in the target's own units.
        prediction: of each task, (N,), (N, t) or, of C classes, (N, C). For a binary task the
            probability.
        labelled: bool (N, K); where it is false the target is written as null.
        columns: the names of each prediction's columns, such as a multilabel task's target columns or ``task_class``;
            None names each after its task, and there are no predictions of several columns.

    Returns:
        The file, with the columns row, user, target_<task>, prediction_<task>, ...
    """
    frame = pl.DataFrame({"row": row.cpu().numpy(), "user": group.cpu().numpy()})
    for k, task in enumerate(task_names):
        parts = list(columns[k]) if columns else [task]
        known = _series("target", [task] if target[k].dim() == 1 else parts, target[k])
        labels = pl.Series(labelled[:, k].cpu().numpy())
        frame = frame.hstack([pl.select(pl.when(labels).then(one).alias(one.name)).to_series() for one in known])
        frame = frame.hstack(_series("prediction", parts, prediction[k]))
    path = folder.predictions / "test.parquet"
    with file_beside(path) as temporary:
        frame.write_parquet(temporary)
    return path


def _series(what: str, names: Sequence[str], values: Tensor) -> list[pl.Series]:
    """The columns of (N,) or (N, t) values, ``what_name`` each."""
    each = values[:, None] if values.dim() == 1 else values
    return [
        pl.Series(f"{what}_{name}", column.float().cpu().numpy())
        for name, column in zip(names, each.unbind(1), strict=True)
    ]


def read_predictions(folder: RunFolder) -> pl.DataFrame:
    """The predictions of a run, as `write_predictions` lays them out.

    Raises:
        RunError: the run has none, or the file is damaged.
    """
    path = folder.predictions / "test.parquet"
    if not path.exists():
        raise RunError(f"{folder.path} has no predictions; finish the run or repeat its test with evaluate.py")
    try:
        return pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise RunError(f"{path} is damaged ({error}); repeat the run's test with evaluate.py") from None
