"""What spans the parts of a store: the event index behind histories, the catalogue behind negatives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.earlier import Earlier, earlier
from taskloom.data.feature_spec import FeatureSpec
from taskloom.data.negatives import digest, freeze
from taskloom.data.partition import Partition
from taskloom.data.sections import NegativesSpec, SplitSpec
from taskloom.data.splits import LEFT_OUT
from taskloom.errors import ConfigError, DataError
from taskloom.schema import Feature


def write_history(
    folder: Path, parts: Partition, ids: NDArray[np.int32], member: NDArray[np.bool_], spec: FeatureSpec
) -> dict[str, Any]:
    """The events of all users, by user, time and row, and for each row where its earlier ones lie.

    Args:
        folder: of the store; writes ``events.npy`` (E, H) and ``<part>/history.npy`` (N, 2).
        parts: the rows.
        ids: (N, H) of the features of an event.
        member: (N,) which rows may be events.
        spec: of the history.

    Returns:
        Plain figures for people.

    Raises:
        ConfigError: the data does not say whose and when a row is.
    """
    if parts.user is None or parts.time is None:
        raise ConfigError(
            f"data.features.{spec.name}: a history needs to know whose and when a row is; name the reader's user and "
            f"time columns, or set data.features.{spec.name}.length=0"
        )
    seen = member & (parts.part != LEFT_OUT if parts.in_time else parts.part == 0)
    found = earlier(parts.user, parts.time, seen)
    np.save(folder / "events.npy", ids[found.order])
    end = _before_later_parts(found, parts) if parts.in_time and parts.spec.kind == "column" else found.end
    window = np.stack([found.start, end], axis=1)
    lengths = {}
    for place, name in enumerate(parts.names):
        mine = window[parts.part == place]
        np.save(folder / name / "history.npy", mine)
        lengths[name] = float((mine[:, 1] - mine[:, 0]).clip(max=spec.length).mean())
    return {
        "of": list(spec.of),
        "length": spec.length,
        "events": len(found.order),
        "seen": "earlier rows of every part" if parts.in_time else "earlier rows of training alone",
        "mean_length": lengths,
    }


def _before_later_parts(found: Earlier, parts: Partition) -> NDArray[np.int32]:
    """Where each row's window ends, so that training sees no event of validation or test, nor validation one of test.

    Parts that a column names may overlap by some minutes. A row about the cut loses what its user did after the first
    event of a later part.
    """
    assert parts.user is not None
    owner, part, end = parts.user[found.order], parts.part[found.order], found.end.copy()
    for place in (0, 1):
        later = np.flatnonzero(part > place)
        users, first = np.unique(owner[later], return_index=True)  # by user and time, so the first is the earliest
        limit = np.full(int(parts.user.max()) + 1, len(part), dtype=end.dtype)
        limit[users] = later[first]
        mine = parts.part == place
        end[mine] = np.minimum(end[mine], limit[parts.user[mine]])
    return np.maximum(end, found.start)


def write_catalogue(
    folder: Path,
    parts: Partition,
    item: NDArray[np.int32],
    features: Sequence[Feature],
    spec: NegativesSpec,
    split: SplitSpec,
) -> dict[str, Any]:
    """The items of training in order of first appearance, and what drawing among them needs.

    An item's own columns are those of its first training row. Items without an id of their own (too rare) are in no
    catalogue.

    Args:
        folder: of the store, whose parts are written; writes ``catalogue/``, ``popularity.npy``, ``pairs.npy``, and of
            each part ``reach.npy`` and, but for training, ``drawn.npy``.
        parts: the rows.
        item: (N,) id of each row's item, 0 for none.
        features: of a batch.
        spec: how negatives are drawn.
        split: whose seed draws those for evaluation.

    Returns:
        Plain figures for people.

    Raises:
        DataError: fewer than two items.
    """
    time = parts.time if parts.time is not None else np.zeros(len(item))
    train = np.flatnonzero((parts.part == 0) & (item > 0))
    train = train[np.argsort(time[train], kind="stable")]
    _, first = np.unique(item[train], return_index=True)
    first.sort()
    n = len(first)
    if n < 2:
        raise DataError(f"data.negatives: training knows {n} items; drawing needs at least two")
    place_of = np.full(int(item.max()) + 1, -1, dtype=np.int32)
    place_of[item[train[first]]] = np.arange(n, dtype=np.int32)
    _write_items(folder, np.cumsum(parts.part == 0)[train[first]] - 1, features)
    np.save(folder / "popularity.npy", place_of[item[train]])
    pairs = np.unique(parts.group[train].astype(np.int64) * n + place_of[item[train]])
    np.save(folder / "pairs.npy", pairs)
    reach = np.stack([np.searchsorted(time[rows], time, side="right") for rows in (train[first], train)], axis=1)
    reach = reach.astype(np.int32)
    hashes = {}
    for number, name in enumerate(parts.names):
        mine = np.flatnonzero(parts.part == number)
        np.save(folder / name / "reach.npy", reach[mine])
        if name == "train":
            continue
        drawn = freeze(
            mine,
            parts.group[mine],
            place_of[item[mine]],
            reach[mine],
            pairs,
            n,
            spec.eval_per_row,
            spec.rule,
            place_of[item[train]],
            split.seed,
        )
        np.save(folder / name / "drawn.npy", drawn)
        hashes[name] = digest(drawn)
    return {"items": n, "task": spec.task, "per_row": spec.per_row, "sha256": hashes}


def _write_items(folder: Path, rows: NDArray[np.int64], features: Sequence[Feature]) -> None:
    """The item side of some training rows; every other column is 0."""
    (folder / "catalogue").mkdir()
    for kind, name in (("categorical", "categorical"), ("bag", "bags"), ("dense", "dense")):
        values = np.load(folder / "train" / f"{name}.npy", mmap_mode="r")[rows]
        sides = [feature.side == "item" for feature in features if feature.kind == kind for _ in range(feature.width)]
        values[:, ~np.array(sides, dtype=bool)] = 0
        np.save(folder / "catalogue" / f"{name}.npy", values)
