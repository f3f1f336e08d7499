"""Rows on disk: a reader's table, written once and then taken some rows or some columns at a time."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskloom.data.expression import expression
from taskloom.errors import ConfigError, DataError

CHUNK = 500_000  # rows at a time


class Rows:
    """N rows in a file of their own.

    Args:
        frame: of a reader.
        needed: the columns that anything is computed from.
        folder: an existing one, for the file.
    """

    def __init__(self, frame: pl.LazyFrame, needed: Sequence[str], folder: Path) -> None:
        path = folder / "rows.arrow"
        # A row number keeps the count where no column is needed.
        frame.select(needed).sink_ipc(path, compression="uncompressed", maintain_order=True)
        self._scan = pl.scan_ipc(path)
        self.columns = list(needed)
        self.n = int(self._scan.select(pl.len()).collect().item())

    def chunks(self, exprs: Mapping[str, pl.Expr]) -> Iterator[tuple[slice, pl.DataFrame]]:
        """Some expressions over all rows, ``CHUNK`` rows at a time."""
        for start in range(0, max(self.n, 1), CHUNK):
            yield slice(start, min(start + CHUNK, self.n)), self._evaluate(self._scan.slice(start, CHUNK), exprs)

    def sample(self, exprs: Mapping[str, pl.Expr], n: int, step: int = 1) -> pl.DataFrame:
        """The expressions over each step-th of the first n rows and nothing else."""
        return self._evaluate(self._scan.head(n).gather_every(step), exprs)

    def alone(self, exprs: Mapping[str, pl.Expr], n: int, step: int) -> pl.DataFrame:
        """The expressions over each step-th of the first n rows, every one as if there were no other."""
        some = self._scan.head(n).gather_every(step).collect()
        return pl.concat([self._evaluate(some[place : place + 1].lazy(), exprs) for place in range(len(some))])

    def column(self, where: str, text: str) -> pl.Series:
        """One expression over all rows.

        Args:
            where: the config path, for messages.
            text: a column or an SQL expression.
        """
        parsed = expression(where, text, self.columns)
        try:
            return self._evaluate(self._scan, {"value": parsed})["value"]
        except pl.exceptions.PolarsError as error:
            raise ConfigError(f"{where}: {text!r} cannot be computed ({error}); mend the expression") from error

    @staticmethod
    def _evaluate(frame: pl.LazyFrame, exprs: Mapping[str, pl.Expr]) -> pl.DataFrame:
        # All at once, so that each sees the columns as they were; with_columns repeats a constant for each row.
        named = [parsed.alias(f" {name}") for name, parsed in exprs.items()]
        found = frame.with_columns(named).select(f" {name}" for name in exprs).collect()
        return found.rename({f" {name}": name for name in exprs})


def times(rows: Rows, name: str) -> NDArray:
    """When each row was, as numbers; dates and times as seconds since 1970.

    Raises:
        DataError: a row without a time, or times that are text.
    """
    series = rows.column("data.reader.time", name)
    if series.dtype == pl.Date or isinstance(series.dtype, pl.Datetime):
        series = series.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
    if not series.dtype.is_numeric():
        raise DataError(
            f"data.reader.time: column {name} is the time of a row and holds {series.dtype}; give seconds since 1970, "
            "or a date"
        )
    refuse_missing("data.reader.time", series, name)
    if series.dtype.is_float() and (endless := series.is_infinite()).any():
        raise DataError(
            f"data.reader.time: row {int(endless.arg_max() or 0) + 1:,} has an infinite {name}; give each row a time, "
            "or leave it out"
        )
    return series.to_numpy()


def refuse_missing(where: str, series: pl.Series, name: str) -> None:
    """Refuses rows without a value where each must have one.

    Raises:
        DataError: how many there are, and the first of them.
    """
    missing = series.is_null() | series.is_nan() if series.dtype.is_float() else series.is_null()
    if count := int(missing.sum()):
        raise DataError(
            f"{where}: {count:,} of {len(series):,} rows have no {name} (the first is row "
            f"{int(missing.arg_max() or 0) + 1:,}); give each row one, or leave it out"
        )


def alike(one: pl.Series, two: pl.Series) -> bool:
    """Whether values are the same, but for a last figure that may hang on how many are computed at once."""
    if not (one.dtype.is_float() and two.dtype.is_float()):
        return one.equals(two)
    return bool(np.allclose(one.to_numpy(), two.to_numpy(), rtol=1e-6, atol=0, equal_nan=True))


def by_value(series: pl.Series) -> NDArray[np.int64]:
    """Whole numbers that hang on a value alone, whatever other rows there are; a row without one has its own number.

    Example:
        >>> numbers = by_value(pl.Series(["b", "a", "b"]))
        >>> bool(numbers[0] == numbers[2] == by_value(pl.Series(["b"]))[0])
        True
    """
    if not series.dtype.is_integer():
        texts = series.cast(pl.String)
        known = texts.drop_nulls().unique()
        hashes = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1 for text in known]
        series = texts.replace_strict(known, pl.Series(hashes, dtype=pl.Int64), default=None, return_dtype=pl.Int64)
    return np.where(series.is_null().to_numpy(), np.arange(len(series)), series.fill_null(0).to_numpy()).astype(
        np.int64
    )


def codes(series: pl.Series, optional: bool = False) -> NDArray[np.int32]:
    """Whole numbers from 0 for values, in their order; where allowed, a row without a value has a number of its own.

    Example:
        >>> codes(pl.Series(["b", "a", "b"])).tolist()
        [1, 0, 1]
    """
    ranks = series.rank("dense").cast(pl.Int32)
    missing = ranks.is_null()
    if optional and missing.any():
        found = ranks.fill_null(0).to_numpy().astype(np.int32) - 1
        gaps = missing.to_numpy()
        found[gaps] = int(found.max()) + 1 + np.arange(int(gaps.sum()), dtype=np.int32)
        return found
    return ranks.to_numpy().astype(np.int32) - 1
