"""Figures of a store's columns, a million rows at a time: labels, features, correlations, repeats."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from taskloom.data.loader import Columns
from taskloom.schema import Schema

CHUNK = 1_000_000  # rows at a time
SAMPLE = 100_000  # labels by which it is guessed whether their values are few or round
MOST_VALUES = 1000  # up to which values may be round
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BARS = 30  # of a histogram
MOST_CLASSES = 50
FEW_VALUES = 12  # of a number that are told one by one
MOST_ROWS_HASHED = 5_000_000  # rows up to which repeated ones are looked for


def chunks(column: Tensor) -> Iterator[NDArray]:
    """A column's rows, some at a time; what is mapped to a file is read as it is asked for."""
    for start in range(0, len(column), CHUNK):
        yield column[start : start + CHUNK].numpy()


def label_figures(targets: Tensor, kind: str) -> dict[str, Any]:
    """What the labels of one task say in one part.

    Args:
        targets: float32 (N, t), NaN where there is no label.
        kind: the task's; any but the kinds of classes is described as a number.

    Returns:
        rows, labelled, coverage; then by kind. binary: positives, rate. multilabel: positives and rate, a list with
        one a label. ordinal, multiclass: classes {value: rows}, the most frequent ones. Others: mean, std, least, most,
        quantiles {share: value}, and classes where there are few values, else histogram {edges, rows, step}; its outer
        bars hold what lies beyond the 0.5% and 99.5% quantile, and step is that of round values, 0 where they are not.

    Example:
        >>> import torch
        >>> label_figures(torch.tensor([[1.0], [0.0], [float("nan")], [1.0]]), "binary")
        {'rows': 4, 'labelled': 3, 'coverage': 0.75, 'positives': 2, 'rate': 0.6666666666666666}
    """
    n, width = targets.shape
    classes = kind in ("binary", "multilabel")
    labelled, sums, parts = 0, np.zeros(width), []
    for rows in chunks(targets):
        known = rows[~np.isnan(rows).any(axis=1)]
        labelled += len(known)
        sums += known.sum(axis=0, dtype=np.float64)
        if not classes:
            parts.append(known[:, 0].copy())
    found: dict[str, Any] = {"rows": n, "labelled": labelled, "coverage": labelled / n if n else 0.0}
    if not labelled:
        return found
    if classes:
        positives, rates = [int(x) for x in sums], [float(x) for x in sums / labelled]
        single = kind == "binary"
        return {**found, "positives": positives[0] if single else positives, "rate": rates[0] if single else rates}
    return found | _numbers(np.concatenate(parts), kind)


def _numbers(values: NDArray[np.float32], kind: str) -> dict[str, Any]:
    """Of labelled values (N,), N >= 1."""
    if kind in ("ordinal", "multiclass"):
        return {"classes": _classes(values, MOST_CLASSES)}
    quantiles = np.quantile(values, [0.005, *QUANTILES, 0.995]).astype(np.float64)
    found: dict[str, Any] = {
        "mean": float(values.mean(dtype=np.float64)),
        "std": float(values.std(dtype=np.float64)),
        "least": float(values.min()),
        "most": float(values.max()),
        "quantiles": {f"{share:g}": float(value) for share, value in zip(QUANTILES, quantiles[1:-1], strict=True)},
    }
    if len(np.unique(values[:SAMPLE])) <= FEW_VALUES and len(classes := _classes(values, FEW_VALUES + 1)) <= FEW_VALUES:
        return found | {"classes": classes}
    edges, step = _edges(values, quantiles[0], quantiles[-1])
    counts = np.zeros(len(edges) - 1, dtype=np.int64)
    for start in range(0, len(values), CHUNK):
        counts += np.histogram(np.clip(values[start : start + CHUNK], edges[0], edges[-1]), edges)[0]
    return found | {"histogram": {"edges": edges.tolist(), "rows": counts.tolist(), "step": step}}


def _classes(values: NDArray[np.float32], most: int) -> dict[str, int]:
    """Rows of each value, the most frequent ones where there are too many, in the order of the values."""
    some, times = np.unique(values, return_counts=True)
    kept = np.sort(np.argsort(-times, kind="stable")[:most])
    return {f"{some[place]:g}": int(times[place]) for place in kept}


def _edges(values: NDArray[np.float32], low: float, high: float) -> tuple[NDArray[np.float64], float]:
    """Where the bars of a histogram begin and end, and the step between values where they are round, else 0.

    Each bar has room for as many round values as any other, which lie within it, not on its edges.
    """
    if not low < high:
        return np.array([low - 0.5, low + 0.5]), 0.0
    some = np.unique(values[:SAMPLE]).astype(np.float64)
    step = float(np.diff(some).min()) if 1 < len(some) <= MOST_VALUES else 0.0
    if step <= 1e-6 * (high - low):
        return np.linspace(low, high, BARS + 1), 0.0
    wide = step * np.ceil((high - low + step) / step / BARS)
    return low - step / 2 + wide * np.arange(np.ceil((high - low + step) / wide) + 1), step


def correlations(targets: Tensor, logs: Sequence[bool]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    r"""Pearson's correlation of each pair of columns, over the rows where both are known; φ where both are 0 or 1.

    Args:
        targets: float32 (N, T), NaN where there is no label.
        logs: of which columns log1p is taken.

    Returns:
        (T, T), NaN where one of the two does not vary; and the rows of each pair, (T, T).

    Example:
        >>> import torch
        >>> nan = float("nan")
        >>> value, rows = correlations(torch.tensor([[0, 1.0], [1, 3], [2, 5], [9, nan]]), [False, False])
        >>> float(value[0, 1]), rows.tolist()
        (1.0, [[4, 3], [3, 3]])
    """
    width = targets.shape[1]
    n, cross = np.zeros((width, width)), np.zeros((width, width))
    total, square = np.zeros((width, width)), np.zeros((width, width))
    centre: NDArray[np.float64] | None = None
    taken = np.array(logs, dtype=bool)
    for rows in chunks(targets):
        values = rows.astype(np.float64)
        values[:, taken] = np.log1p(np.maximum(values[:, taken], -1 + 1e-9))
        known = ~np.isnan(values)
        if centre is None:  # near the mean, so that squares do not swamp what differs
            centre = np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        values = np.where(known, values - centre, 0.0)
        mask = known.astype(np.float64)
        n += mask.T @ mask
        total += values.T @ mask  # [i, j]: the sum of i over rows where j is known too
        square += (values**2).T @ mask
        cross += values.T @ values
    scatter = n * square - total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (n * cross - total * total.T) / np.sqrt(scatter * scatter.T)
    flat = scatter <= 1e-12 * np.maximum(n * square, 1e-300)
    value[flat | flat.T] = np.nan
    return np.clip(value, -1, 1), n.astype(np.int64)


def feature_figures(schema: Schema, columns: Columns) -> dict[str, dict[str, Any]]:
    """How much of each feature is unknown in one part, and whether it varies.

    Args:
        schema: the features.
        columns: the rows of the part.

    Returns:
        By name: unknown, the share of rows without a known id (missing, too rare or never seen in training), of empty
        bags, or of missing numbers (which are filled by the mean, so that an exact mean counts as missing too); and
        varies.
    """
    n = len(columns)
    found: dict[str, dict[str, Any]] = {}
    for kind, tensor in (("categorical", columns.categorical), ("bag", columns.bags), ("dense", columns.dense)):
        features = schema.of_kind(kind)  # type: ignore[arg-type]
        if not features:
            continue
        ends = np.cumsum([feature.width for feature in features])
        places = [slice(end - feature.width, end) for end, feature in zip(ends, features, strict=True)]
        nothing = [0] * len(features)
        first: list[NDArray | None] = [None] * len(features)
        varies = [False] * len(features)
        for rows in chunks(tensor):
            turned = np.ascontiguousarray(rows.T)  # a feature's values side by side: four times as fast from here on
            for k, place in enumerate(places):
                mine = turned[place]
                nothing[k] += mine.shape[1] - int(np.count_nonzero(mine[0] if len(mine) == 1 else mine.any(axis=0)))
                if not varies[k] and mine.shape[1]:
                    start = first[k] = mine[:, :1].copy() if first[k] is None else first[k]
                    varies[k] = bool((mine != start).any())
        for feature, empty, moves in zip(features, nothing, varies, strict=True):
            found[feature.name] = {"unknown": empty / n if n else 0.0, "varies": moves}
    return {feature.name: found[feature.name] for feature in schema.features}


def history_figures(history: Tensor, length: int) -> dict[str, float]:
    """How long the histories of one part are.

    Args:
        history: integers (N, 2), the places of each row's earlier events.
        length: the most that are given.

    Returns:
        mean, none (share of rows without one), full (share of rows that have ``length`` or more), median and most, all
        but the last after the cut at ``length``.
    """
    counts = np.zeros(length + 1, dtype=np.int64)
    most = 0
    for rows in chunks(history):
        sizes = rows[:, 1] - rows[:, 0]
        most = max(most, int(sizes.max(initial=0)))
        counts += np.bincount(np.minimum(sizes, length), minlength=length + 1)
    n = max(int(counts.sum()), 1)
    return {
        "mean": float(counts @ np.arange(length + 1) / n),
        "none": float(counts[0] / n),
        "full": float(counts[length] / n),
        "median": float(np.searchsorted(np.cumsum(counts), (n + 1) // 2)),
        "most": float(most),
    }


def row_hashes(columns: Columns) -> NDArray[np.uint64]:
    """A number for each row that equal inputs and labels have in common: (N,)."""
    found = []
    for start in range(0, len(columns), CHUNK):
        rows = slice(start, start + CHUNK)
        tensors = (columns.categorical, columns.bags, columns.dense, columns.targets)
        parts = [pl.from_numpy(tensor[rows].numpy()) for tensor in tensors if tensor.shape[1]]
        named = [part.rename({old: f"{i}_{old}" for old in part.columns}) for i, part in enumerate(parts)]
        found.append(pl.concat(named, how="horizontal").hash_rows(seed=1).to_numpy())
    return np.concatenate(found) if found else np.empty(0, dtype=np.uint64)


def repeats(train: Columns, test: Columns) -> dict[str, int] | None:
    """Rows that equal an earlier one in every input and label; None where there are too many rows to look at.

    Returns:
        train: training rows that repeat another training row; test: test rows that repeat a training row.
    """
    if len(train) + len(test) > MOST_ROWS_HASHED:
        return None
    seen, asked = np.sort(row_hashes(train)), row_hashes(test)  # np.unique and np.isin hash, five times as slow
    again = int((seen[1:] == seen[:-1]).sum())
    place = np.minimum(np.searchsorted(seen, asked), len(seen) - 1)
    return {"train": again, "test": int((seen[place] == asked).sum())}
