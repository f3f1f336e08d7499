"""Columns of values to columns of numbers, by what the training rows alone have shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskloom.data.spec import FeatureSpec
from taskloom.errors import ConfigError
from taskloom.schema import Feature


@dataclass(frozen=True)
class Encoding:
    """How one feature becomes numbers; all of it can be written as JSON.

    Args:
        name, kind, side: the feature's.
        expression: the column or SQL expression of its values.
        values: the vocabulary, sorted; ``values[i]`` has id i + 1, and id 0 is anything else.
        width: places in a padded bag.
        mean, std: of a dense feature.
    """

    name: str
    kind: str
    side: str
    expression: str
    values: tuple[Any, ...] = ()
    width: int = 1
    mean: float = 0.0
    std: float = 1.0

    @property
    def feature(self) -> Feature:
        """The schema's word for it."""
        size = 0 if self.kind == "dense" else len(self.values) + 1
        return Feature(self.name, self.kind, self.side, size=size, width=self.width)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return asdict(self) | {"values": list(self.values)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Encoding":
        """The inverse of ``to_json``."""
        return cls(**stored | {"values": tuple(stored["values"])})

    def apply(self, series: pl.Series) -> NDArray:
        """N values to numbers.

        Returns:
            categorical: int64 (N, 1). Bag: int64 (N, width), known ids first, padded with 0, those that do
            not fit dropped. Dense: float32 (N, 1), scaled to the training rows' mean 0 and deviation 1,
            a missing one 0.
        """
        if self.kind == "dense":
            values = series.cast(pl.Float64).to_numpy()
            scaled = (values - self.mean) / self.std
            return np.where(np.isfinite(scaled), scaled, 0.0).astype(np.float32)[:, None]
        if self.kind == "categorical":
            return self._ids(_keys(series))[:, None]
        rows = pl.DataFrame({"row": pl.arange(len(series), eager=True), "value": series}).explode("value")
        rows = rows.with_columns(id=pl.Series(self._ids(_keys(rows["value"])))).filter(pl.col("id") > 0)
        rows = rows.unique(["row", "id"], maintain_order=True)
        rows = rows.with_columns(place=pl.int_range(pl.len()).over("row")).filter(pl.col("place") < self.width)
        bags = np.zeros((len(series), self.width), dtype=np.int64)
        bags[rows["row"].to_numpy(), rows["place"].to_numpy()] = rows["id"].to_numpy()
        return bags

    def _ids(self, keys: pl.Series) -> NDArray[np.int64]:
        if not self.values:
            return np.zeros(len(keys), dtype=np.int64)
        vocabulary = pl.Series(list(self.values), dtype=keys.dtype, strict=False)
        ids = pl.Series(range(1, len(self.values) + 1), dtype=pl.Int64)
        return keys.replace_strict(vocabulary, ids, default=0, return_dtype=pl.Int64).fill_null(0).to_numpy()


def _keys(series: pl.Series) -> pl.Series:
    """Values as vocabularies hold them: whole numbers or text, which JSON keeps exactly."""
    if series.dtype.is_integer():
        return series.cast(pl.Int64)
    return series.cast(pl.String)


def fit(spec: FeatureSpec, train: pl.Series) -> Encoding:
    """A feature's encoding from the values of its training rows.

    Args:
        spec: the feature.
        train: its values on the training rows alone.

    Example:
        >>> spec = FeatureSpec("gender", kind="categorical", side="user")
        >>> encoding = fit(spec, pl.Series(["F", "M", None, "M"]))
        >>> encoding.values, encoding.apply(pl.Series(["M", "X", None]))[:, 0].tolist()
        (('F', 'M'), [2, 0, 0])
    """
    plain = Encoding(spec.name, spec.kind, spec.side, spec.expression)
    where = f"data.features.{spec.name}"
    is_list = isinstance(train.dtype, pl.List)
    if is_list != (spec.kind == "bag"):
        raise ConfigError(
            f"{where}: {spec.expression!r} holds {'lists' if is_list else 'single values'}; "
            f"make it kind: {'bag' if is_list else 'categorical or dense'}"
        )
    if spec.kind == "dense":
        if not (train.dtype.is_numeric() or train.dtype == pl.Boolean):
            raise ConfigError(f"{where}: {spec.expression!r} holds no numbers; make it kind: categorical")
        known = train.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
        std = float(known.std()) if len(known) else 0.0
        return replace(plain, mean=float(known.mean()) if len(known) else 0.0, std=std or 1.0)
    flat = train.explode() if is_list else train
    counts = _keys(flat.drop_nulls()).value_counts()
    values, times = counts.columns
    kept = counts.filter(pl.col(times) >= spec.min_count)[values].sort().to_list()
    width = max(1, int(train.list.len().max() or 1)) if is_list else 1  # type: ignore[arg-type]
    return replace(plain, values=tuple(kept), width=width)


def encode(encodings: Sequence[Encoding], frame: pl.DataFrame) -> dict[str, NDArray]:
    """The input columns of some rows.

    Args:
        encodings: one a feature.
        frame: N rows, a column for each feature under its name.

    Returns:
        ``categorical`` int64 (N, F), ``bags`` int64 (N, W) and ``dense`` float32 (N, C), side by side in the
        order of the features.
    """
    columns: dict[str, NDArray] = {}
    for kind, stored, dtype in (
        ("categorical", "categorical", np.int64),
        ("bag", "bags", np.int64),
        ("dense", "dense", np.float32),
    ):
        parts = [encoding.apply(frame[encoding.name]) for encoding in encodings if encoding.kind == kind]
        columns[stored] = np.concatenate([np.empty((len(frame), 0), dtype=dtype), *parts], axis=1)
    return columns
