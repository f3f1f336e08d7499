"""Target columns of some rows: labels, where there are any, and the noise of labels."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskloom.data.spec import TargetSpec
from taskloom.errors import ConfigError, DataError


def letters(target: TargetSpec) -> list[str]:
    """What stands for a target's expressions, in the order of ``inputs_of_target``."""
    return ["t", *(["o"] if target.observed else []), *(["n"] if target.noise else [])]


def label_columns(targets: Sequence[TargetSpec], chunk: pl.DataFrame, first_row: int) -> dict[str, NDArray[np.float32]]:
    """Target columns and the noise of their labels, NaN where there is no label.

    Args:
        targets: T of them.
        chunk: N rows, with the columns ``t:<name>``, and ``o:<name>`` and ``n:<name>`` where a target has them.
        first_row: the first one's number in the source.

    Returns:
        ``targets`` and ``noise``, float32 (N, T).

    Raises:
        ConfigError: an expression that gives something else than numbers, or true and false.
        DataError: a negative or infinite noise.

    Example:
        >>> rows = pl.DataFrame({"t:like": [1, None, 0], "o:like": [True, True, False]})
        >>> label_columns([TargetSpec("like", "like", "like", observed="seen")], rows, 0)["targets"][:, 0].tolist()
        [1.0, nan, nan]
    """
    columns, noises = [], []
    for target in targets:
        where = f"data.tasks.{target.task}"
        values = _numbers(f"{where}.target", target.expression, chunk[f"t:{target.name}"], first_row)
        if target.observed:
            given = chunk[f"o:{target.name}"]
            if not (given.dtype.is_numeric() or given.dtype in (pl.Boolean, pl.Null)):
                raise ConfigError(
                    f"{where}.observed: {target.observed!r} gives {given.dtype}, neither true nor false; compare it, "
                    "as in opened = 1"
                )
            values = np.where(given.cast(pl.Boolean).fill_null(False).to_numpy(), values, np.float32("nan"))
        columns.append(values)
        if not target.noise:
            noises.append(np.zeros(len(values), dtype=np.float32))
            continue
        spread = _numbers(f"{where}.noise", target.noise, chunk[f"n:{target.name}"], first_row)
        spread = np.where(np.isnan(values) | np.isnan(spread), np.float32(0), spread)
        wrong = (spread < 0) | np.isinf(spread)
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                f"{where}.noise: {target.noise!r} is {spread[row]:g} in row {first_row + row + 1:,}, and a "
                "deviation is a number >= 0; mend the expression"
            )
        noises.append(spread)
    return {"targets": np.stack(columns, axis=1), "noise": np.stack(noises, axis=1)}


def _numbers(where: str, text: str, series: pl.Series, first_row: int) -> NDArray[np.float32]:
    """Numbers, NaN where missing."""
    if series.dtype == pl.String and series.null_count() < len(series):
        row = int(series.is_not_null().arg_max() or 0)
        raise ConfigError(
            f"{where}: {text!r} gives text, not numbers: row {first_row + row + 1:,} has {series[row]!r}; compare it, "
            f"as in {text if text.isidentifier() else 'it'} = {series[row]!r}, or cast it"
        )
    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null, pl.String)):
        raise ConfigError(f"{where}: {text!r} gives {series.dtype}, not numbers; compare it, or cast it")
    return series.cast(pl.Float32).fill_null(float("nan")).to_numpy()
