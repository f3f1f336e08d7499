"""What readers of reviews share: records that are none, that are there twice, or whose votes are still to come."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from taskloom.errors import DataError

DAY = 86_400  # seconds


def refuse_faulty(where: str, frame: pl.LazyFrame, faults: Mapping[str, pl.Expr]) -> None:
    """Refuses reviews that are none.

    Args:
        where: the files, for the message.
        frame: the reviews in the files' order.
        faults: what is wrong, in words that go on from "n reviews ...", to whether it is wrong with a row.

    Raises:
        DataError: a row has a fault; it names the first such record.

    Example:
        >>> rows = pl.LazyFrame({"user_id": ["x", None]})
        >>> refuse_faulty("a.jsonl", rows, {"have no user_id": pl.col("user_id").is_null()})
        Traceback (most recent call last):
            ...
        taskloom.errors.DataError: a.jsonl: 1 of 2 reviews have no user_id, the first is record 2; mend them or leave
        them out of the file
    """
    sums = [test.sum().alias(fault) for fault, test in faults.items()]
    counts = frame.select(pl.len().alias("_rows"), *sums).collect(engine="streaming").row(0, named=True)
    for fault, test in faults.items():
        if bad := counts[fault]:
            first = frame.with_row_index("_row").filter(test).select("_row").head(1).collect(engine="streaming").item()
            raise DataError(
                f"{where}: {bad:,} of {counts['_rows']:,} reviews {fault}, the first is record {first + 1:,}; mend "
                "them or leave them out of the file"
            )


def lacking(columns: Sequence[str]) -> dict[str, pl.Expr]:
    """The faults of having no value in these columns, for :func:`refuse_faulty`."""
    return {f"have no {name}": pl.col(name).is_null() for name in columns}


def without_repeats(frame: pl.LazyFrame, columns: Sequence[str]) -> tuple[pl.LazyFrame, int]:
    """The rows without those that an earlier row equals in all of these columns, and how many were left out.

    Rows are told apart by 128 bits of hash, so that a file of any size needs 24 bytes a row and no more.

    Args:
        frame: N rows.
        columns: those that count; a null equals a null.

    Example:
        >>> left, out = without_repeats(pl.LazyFrame({"a": [1, 2, 1], "b": [0, 1, 2]}), ["a"])
        >>> left.collect()["b"].to_list(), out
        ([0, 1], 1)
    """
    row = pl.struct(columns)
    marks = frame.select(row.hash(1).alias("a"), row.hash(2).alias("b")).collect(engine="streaming")
    a, b = marks["a"].to_numpy(), marks["b"].to_numpy()
    order = np.argsort(a, kind="stable")  # equal rows stay in the files' order, so that the first is kept
    repeats = order[1:][(a[order][1:] == a[order][:-1]) & (b[order][1:] == b[order][:-1])]
    if len(repeats) == 0:
        return frame, 0
    out = pl.Series(np.sort(repeats).astype(np.uint32))
    kept = frame.with_row_index("_row").filter(~pl.col("_row").is_in(out.implode())).drop("_row")
    return kept, len(repeats)


def repeated(frame: pl.LazyFrame, columns: Sequence[str]) -> int:
    """How many rows share all of these columns with an earlier row.

    Example:
        >>> repeated(pl.LazyFrame({"user": ["a", "a", "b"], "item": [1, 1, 1]}), ["user", "item"])
        1
    """
    marks = frame.select(pl.struct(columns).hash(1).alias("mark")).collect(engine="streaming")["mark"]
    return len(marks) - marks.n_unique()


def with_maturity(frame: pl.LazyFrame, time: str, days: float) -> pl.LazyFrame:
    """A column ``mature``: whether a review was old enough, when the data was taken, to have got its votes.

    The last review's time stands for the day on which the data was taken, which no file says.

    Args:
        frame: rows.
        time: the column of their times, in seconds.
        days: how much older than the last review a mature one is, at least; 0 makes all rows mature.

    Example:
        >>> rows = pl.LazyFrame({"time": [0, 5 * 86_400, 9 * 86_400]})
        >>> with_maturity(rows, "time", 4).collect()["mature"].to_list()
        [True, True, False]
    """
    last = frame.select(pl.col(time).max()).collect(engine="streaming").item()
    return frame.with_columns((pl.col(time) <= last - days * DAY).alias("mature"))
