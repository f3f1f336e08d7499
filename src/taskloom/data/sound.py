"""Values of a feature that no row may have: infinite numbers, words where numbers are wanted, times that are none."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskloom.data.encode import LARGEST, calendar, numbers
from taskloom.data.feature_spec import FeatureSpec
from taskloom.errors import ConfigError, DataError

FURTHEST = 1e10  # seconds from 1970: the years 1653 to 2286
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def refuse_unsound(spec: FeatureSpec, values: pl.Series, kept: NDArray[np.bool_], first_row: int) -> None:
    """Looks at some rows of all parts: what the training rows alone teach would make the mean of a test row's infinity.

    Args:
        spec: of the feature.
        values: of N rows.
        kept: (N,) whether a row is in any part.
        first_row: the first one's number in the source.

    Raises:
        ConfigError: values of another kind than the feature's.
        DataError: an infinite number, or what should be a time and is none.

    Example:
        >>> refuse_unsound(FeatureSpec("age", "dense"), pl.Series([30.0, float("inf")]), np.ones(2, dtype=bool), 0)
        Traceback (most recent call last):
            ...
        taskloom.errors.DataError: data.features.age: 1 row has an infinite age (the first is row 2: inf); mend the
        data, or leave the cell empty where the value is missing
    """
    where = f"data.features.{spec.name}"
    if spec.kind == "time":
        _refuse_times(spec, values, kept, first_row, where)
    elif spec.stored == "dense":
        _refuse_numbers(spec, values, kept, first_row, where)


def _refuse_numbers(spec: FeatureSpec, values: pl.Series, kept: NDArray[np.bool_], first_row: int, where: str) -> None:
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        found = f"holds {values.dtype}"
        if values.dtype == pl.String:
            if values.null_count() == len(values):  # a column without any value is of no type
                return
            words = values.cast(pl.Float64, strict=False).is_null() & values.is_not_null()
            row = int((words if words.any() else values.is_not_null()).arg_max() or 0)
            found = f"holds text, such as {values[row]!r} in row {first_row + row + 1:,}"
        raise ConfigError(
            f"{where}: {spec.expression!r} {found}, and a dense feature is a number; mend the column (own tables: name "
            "such texts in data.reader.missing, or say its type in data.reader.types), or make it kind: categorical"
        )
    sizes = np.abs(np.nan_to_num(numbers(values, spec.log), nan=0.0, posinf=np.inf, neginf=-np.inf))
    endless = (sizes > LARGEST) & kept
    if count := int(endless.sum()):
        row = int(endless.argmax())
        raise DataError(
            f"{where}: {count:,} {'row has' if count == 1 else 'rows have'} an infinite {spec.expression} (the first "
            f"is row {first_row + row + 1:,}: {values[row]}); mend the data, or leave the cell empty where the value "
            "is missing"
        )


def _refuse_times(spec: FeatureSpec, values: pl.Series, kept: NDArray[np.bool_], first_row: int, where: str) -> None:
    text, said = spec.expression, "is no date"
    advice = "write ISO dates such as 2024-03-01 or 2024-03-01T12:30:00, or seconds since 1970"
    if values.dtype == pl.String:
        wrong = (calendar(values, spec.unit, "year").is_null() & values.is_not_null()).to_numpy() & kept
    elif values.dtype.is_numeric():
        given = values.cast(pl.Float64).fill_null(0.0).fill_nan(0.0).to_numpy()
        wrong = (np.abs(given) > FURTHEST * PER_SECOND[spec.unit]) & kept
        said = f"is out of the years 1653 to 2286 in {spec.unit}"
        advice = "set unit to s, ms, us or ns, whichever it is in, or leave the cell empty"
    elif values.dtype in (pl.Date, pl.Null) or isinstance(values.dtype, pl.Datetime):
        return
    else:
        raise ConfigError(f"{where}: {text!r} holds {values.dtype}, which is no time; {advice}")
    if count := int(wrong.sum()):
        row = int(wrong.argmax())
        raise DataError(
            f"{where}: {text} {said} in {count:,} row{'s' * (count > 1)} (the first is row {first_row + row + 1:,}: "
            f"{values[row]!r}); {advice}"
        )
