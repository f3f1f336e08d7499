"""Columns of values to columns of numbers, by what the training rows alone have shown."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskloom.data.dates import dates
from taskloom.data.feature_spec import FeatureSpec
from taskloom.data.moments import Moments
from taskloom.data.text import ngrams
from taskloom.errors import ConfigError
from taskloom.schema import Feature

LARGEST = float(np.finfo(np.float32).max)  # beyond it, what a batch would hold is infinite


@dataclass(frozen=True)
class Encoding:
    """How one feature becomes numbers; all of it can be written as JSON.

    Args:
        name, side: the feature's.
        kind: ``categorical``, ``bag`` or ``dense``: which tensor holds it.
        made: the kind in the data config, such as ``text``.
        expression: the column or SQL expression of its values.
        values: the vocabulary, sorted; ``values[i]`` has id i + 1, and id 0 is anything else.
        width: places in a padded bag.
        mean, std: of a dense feature (after the logarithm).
        log: dense: whether the logarithm is taken first.
        separator: of a bag that comes as one text.
        buckets, words, characters: of a text.
        unit, part: of a time.
    """

    name: str
    kind: str
    side: str
    expression: str
    made: str = ""
    values: tuple[Any, ...] = ()
    width: int = 1
    mean: float = 0.0
    std: float = 1.0
    log: bool = False
    separator: str | None = None
    buckets: int = 0
    words: tuple[int, ...] = ()
    characters: tuple[int, ...] = ()
    unit: str = "s"
    part: str = ""

    @property
    def feature(self) -> Feature:
        """The schema's word for it."""
        size = 0 if self.kind == "dense" else (self.buckets or len(self.values)) + 1
        return Feature(self.name, self.kind, self.side, size=size, width=self.width)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values, less those that are as a rule."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return kept | {"values": list(self.values)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Encoding":
        """The inverse of ``to_json``."""
        lists: dict[str, Any] = {key: tuple(stored[key]) for key in ("values", "words", "characters") if key in stored}
        given: dict[str, Any] = {**stored, **lists}
        return cls(**given)

    def apply(self, series: pl.Series) -> NDArray:
        """N values to numbers.

        Returns:
            categorical: int32 (N, 1). Bag: int32 (N, width), known ids first, padded with 0, those that do
            not fit dropped. Dense: float32 (N, 1), scaled to the training rows' mean 0 and deviation 1,
            a missing one 0.
        """
        if self.kind == "dense":
            scaled = np.clip((numbers(series, self.log) - self.mean) / self.std, -LARGEST, LARGEST)
            return np.where(np.isnan(scaled), 0.0, scaled).astype(np.float32)[:, None]
        if self.made == "text":
            return ngrams(series, self.buckets, self.words, self.characters, self.width)
        if self.kind == "categorical":
            return self._ids(keys(prepared(self, series)))[:, None]
        lists = prepared(self, series)
        if lists.dtype == pl.Null:
            return np.zeros((len(series), self.width), dtype=np.int32)
        lengths = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
        ids = self._ids(keys(lists.drop_nulls().explode(empty_as_null=False)))
        return _side_by_side(np.repeat(np.arange(len(series)), lengths), ids, len(series), self.width)

    def _ids(self, values: pl.Series) -> NDArray[np.int32]:
        if not self.values:
            return np.zeros(len(values), dtype=np.int32)
        vocabulary = pl.Series(list(self.values), dtype=values.dtype, strict=False)
        ids = pl.Series(range(1, len(self.values) + 1), dtype=pl.Int32)
        return values.replace_strict(vocabulary, ids, default=0, return_dtype=pl.Int32).fill_null(0).to_numpy()


def _side_by_side(row: NDArray, ids: NDArray[np.int32], n: int, width: int) -> NDArray[np.int32]:
    """Known ids of each row, in their order, each once; those that do not fit are dropped.

    Args:
        row: (M,) the row that each id is of, rising.
        ids: (M,), 0 for an unknown one.
        n: rows.
        width: ids a row.
    """
    known = ids > 0
    row, ids = row[known], ids[known]
    pair = row * (int(ids.max(initial=0)) + 1) + ids
    _, first = np.unique(pair, return_index=True)
    if len(first) < len(pair):
        first.sort()
        row, ids = row[first], ids[first]
    begins = np.searchsorted(row, np.arange(n))
    place = np.arange(len(row)) - begins[row]
    bags = np.zeros((n, width), dtype=np.int32)
    fits = place < width
    bags[row[fits], place[fits]] = ids[fits]
    return bags


def keys(series: pl.Series) -> pl.Series:
    """Values as vocabularies hold them: whole numbers or text, which JSON keeps exactly."""
    if series.dtype.is_integer():
        return series.cast(pl.Int64)
    # NaN is no value, and none that an id could stand for.
    return (series.fill_nan(None) if series.dtype.is_float() else series).cast(pl.String)


def numbers(series: pl.Series, log: bool) -> NDArray[np.float64]:
    """Dense values, NaN where missing."""
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.sign(values) * np.log1p(np.abs(values)) if log else values


def prepared(encoding: Encoding, series: pl.Series) -> pl.Series:
    """Values as the vocabulary takes them: a time's part, a text split into a list."""
    if encoding.made == "time":
        return calendar(series, encoding.unit, encoding.part)
    if encoding.separator is not None and series.dtype == pl.String:
        # An empty text is an empty list, not a list of one empty text.
        parts = series.str.split(encoding.separator).list.eval(pl.element().str.strip_chars())
        return parts.list.eval(pl.element().filter(pl.element() != ""))
    return series


def calendar(series: pl.Series, unit: str, part: str) -> pl.Series:
    """A part of the calendar, in UTC; null where there is no time.

    Example:
        >>> calendar(pl.Series([0]), "s", "hour_weekday").to_list()  # 1 January 1970 was a Thursday
        [400]
    """
    if series.dtype.is_numeric():
        micro = {"s": 1_000_000, "ms": 1_000, "us": 1}
        whole = series.cast(pl.Float64) * micro[unit] if unit in micro else series.cast(pl.Float64) / 1_000
        when = whole.fill_nan(None).cast(pl.Int64).cast(pl.Datetime("us"))
    elif series.dtype == pl.String:
        when = series.to_frame("at").select(dates(pl.col("at"))).to_series()
    else:
        when = series.cast(pl.Datetime("us"))
    if part == "hour_weekday":
        return when.dt.weekday().cast(pl.Int64) * 100 + when.dt.hour().cast(pl.Int64)
    return getattr(when.dt, part)().cast(pl.Int64)


class Fitter:
    """Learns a feature's encoding from its training rows, some at a time.

    Args:
        spec: the feature.

    Example:
        >>> fitter = Fitter(FeatureSpec("gender", kind="categorical", side="user"))
        >>> fitter.add(pl.Series(["F", "M", None, "M"]))
        >>> encoding = fitter.finish()
        >>> encoding.values, encoding.apply(pl.Series(["M", "X", None]))[:, 0].tolist()
        (('F', 'M'), [2, 0, 0])
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        assert spec.stored is not None
        self.encoding = Encoding(
            spec.name,
            spec.stored,
            spec.side,
            spec.expression if spec.kind != "asof" else f"{spec.take}({spec.of}) of earlier rows by {spec.by}",
            spec.kind,
            log=spec.log,
            separator=spec.separator,
            buckets=spec.buckets if spec.kind == "text" else 0,
            words=tuple(spec.words) if spec.kind == "text" else (),
            characters=tuple(spec.characters) if spec.kind == "text" else (),
            unit=spec.unit,
            part=spec.parts[0] if spec.kind == "time" else "",
        )
        self._moments = Moments()
        self._counts: pl.DataFrame | None = None
        self._longest = 1

    def add(self, train: pl.Series) -> None:
        """Looks at the values of some training rows.

        Raises:
            ConfigError: values of another kind than the config says.
        """
        spec, where = self.spec, f"data.features.{self.spec.name}"
        if spec.kind == "text":
            if train.dtype not in (pl.String, pl.Null):
                raise ConfigError(f"{where}: {spec.expression!r} holds {train.dtype}, not text; choose another kind")
            return
        if self.encoding.kind == "dense":
            self._add_numbers(train, where)
            return
        series = prepared(self.encoding, train)
        is_list = isinstance(series.dtype, pl.List)
        if is_list != (self.encoding.kind == "bag") and series.dtype != pl.Null:
            advice = "bag" if is_list else "categorical or dense"
            hint = f"; make it kind: {advice}" if is_list else f"; give it a separator, or make it kind: {advice}"
            raise ConfigError(f"{where}: {spec.expression!r} holds {'lists' if is_list else 'single values'}{hint}")
        if is_list:
            self._longest = max(self._longest, int(series.list.len().max() or 1))  # type: ignore[arg-type]
        flat = keys((series.explode() if is_list else series).drop_nulls().rename("value"))
        counts = flat.value_counts(name="times")
        if self._counts is not None:
            if self._counts["value"].dtype != counts["value"].dtype:
                both = [frame.with_columns(pl.col("value").cast(pl.String)) for frame in (self._counts, counts)]
            else:
                both = [self._counts, counts]
            counts = pl.concat(both).group_by("value").agg(pl.col("times").sum())
        self._counts = counts

    def _add_numbers(self, train: pl.Series, where: str) -> None:
        spec = self.spec
        words = train.dtype == pl.String and train.null_count() < len(train)
        if words or not (train.dtype.is_numeric() or train.dtype in (pl.Boolean, pl.Null, pl.String)):
            raise ConfigError(f"{where}: {spec.expression!r} holds no numbers; make it kind: categorical")
        self._moments.add(numbers(train, spec.log))

    def finish(self) -> Encoding:
        """The encoding, after all training rows."""
        if self.encoding.kind == "dense":
            return replace(self.encoding, mean=self._moments.mean, std=self._moments.std or 1.0)
        width = 1
        if self.encoding.kind == "bag":
            width = self.spec.width or (32 if self.spec.kind == "text" else self._longest)
        kept: tuple[Any, ...] = ()
        if self._counts is not None:
            kept = tuple(self._counts.filter(pl.col("times") >= self.spec.min_count)["value"].sort().to_list())
        return replace(self.encoding, values=kept, width=width)


def encode(encodings: Sequence[Encoding], frame: pl.DataFrame) -> dict[str, NDArray]:
    """The input columns of some rows.

    Args:
        encodings: one a feature.
        frame: N rows, a column for each feature under its name.

    Returns:
        ``categorical`` int32 (N, F), ``bags`` int32 (N, W) and ``dense`` float32 (N, C), side by side in the
        order of the features.
    """
    columns: dict[str, NDArray] = {}
    for kind, stored, dtype in (
        ("categorical", "categorical", np.int32),
        ("bag", "bags", np.int32),
        ("dense", "dense", np.float32),
    ):
        parts = [encoding.apply(frame[encoding.name]) for encoding in encodings if encoding.kind == kind]
        columns[stored] = np.concatenate([np.empty((len(frame), 0), dtype=dtype), *parts], axis=1)
    return columns
