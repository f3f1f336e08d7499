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
    target: Tensor,
    prediction: Tensor,
    labelled: Tensor,
) -> Path:
    """Write one line a test row, atomically: ``row``, ``user``, and for each task its target and prediction.

    Args:
        folder: the run folder.
        task_names: the K tasks, in order.
        row: int64 (N,), the row's number in the source.
        group: int64 (N,), the user.
        target: (N, K), in the target's own units.
        prediction: (N, K), likewise; for a binary task the probability.
        labelled: bool (N, K); where it is false the target is written as null.

    Returns:
        The file, with the columns row, user, target_<task>, prediction_<task>, ...
    """
    columns = {"row": row.cpu().numpy(), "user": group.cpu().numpy()}
    frame = pl.DataFrame(columns)
    for k, task in enumerate(task_names):
        has_label = pl.Series(labelled[:, k].cpu().numpy())
        known = pl.Series(target[:, k].float().cpu().numpy())
        frame = frame.with_columns(
            pl.select(pl.when(has_label).then(known)).to_series().alias(f"target_{task}"),
            pl.Series(f"prediction_{task}", prediction[:, k].float().cpu().numpy()),
        )
    path = folder.predictions / "test.parquet"
    with file_beside(path) as temporary:
        frame.write_parquet(temporary)
    return path


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
