"""Which rows are for training, which for validation, which for test."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskloom.data.earlier import sort
from taskloom.data.sections import SplitSpec
from taskloom.errors import DataError

Parts = NDArray[np.int8]  # of each row: its place in the list of part names, or LEFT_OUT
PARTS = ("train", "val", "test")
LEFT_OUT = -1
MOST_PARTS = 20
#: names that are often written for a part; as they stand each would be a further test set
ALIASES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Events:
    """What a split may look at: N rows.

    Args:
        n: N.
        user: (N,) whose event it is, whole numbers; None where there are no users.
        time: (N,) when it was; None where there is no time.
        key: (N,) of ``SplitSpec.column`` (group) or ``SplitSpec.by`` (column), whole numbers; None where not needed.
    """

    n: int
    user: NDArray | None = None
    time: NDArray | None = None
    key: NDArray | None = None


Split = Callable[[Events, SplitSpec], Parts]


def _sizes(n: int, ratios: Sequence[float]) -> NDArray[np.int64]:
    """Where the parts of n things end, in exact sizes."""
    ends = np.floor(np.cumsum(ratios) / np.sum(ratios) * n + 1e-9).astype(np.int64)
    ends[-1] = n
    return ends


def _cut(order: NDArray, ratios: Sequence[float]) -> Parts:
    """The parts of an ordering of rows."""
    parts = np.empty(len(order), dtype=np.int8)
    ends = _sizes(len(order), ratios)
    for place, piece in enumerate(np.split(order, ends[:-1])):
        parts[piece] = place
    return parts


def _folds(order: NDArray, spec: SplitSpec) -> Parts:
    """The parts of an ordering where one fold is for test and the next for validation."""
    assert spec.folds is not None
    fold = np.empty(len(order), dtype=np.int64)
    fold[order] = np.arange(len(order)) % spec.folds
    parts = np.zeros(len(order), dtype=np.int8)
    parts[fold == spec.fold] = 2
    parts[fold == (spec.fold + 1) % spec.folds] = 1
    return parts


def _by_chance(n: int, spec: SplitSpec) -> Parts:
    order = np.random.default_rng(spec.seed).permutation(n)
    return _folds(order, spec) if spec.folds else _cut(order, spec.ratios)


def random(events: Events, spec: SplitSpec) -> Parts:
    """Rows dealt out by chance: comparable with published numbers, and blind to time.

    Example:
        >>> parts = random(Events(10), SplitSpec("random", (8, 1, 1)))
        >>> np.bincount(parts).tolist()
        [8, 1, 1]
    """
    return _by_chance(events.n, spec)


def group(events: Events, spec: SplitSpec) -> Parts:
    """Whole groups dealt out by chance: no user, say, is in two parts.

    Example:
        >>> events = Events(4, key=np.array([0, 1, 1, 2]))
        >>> parts = group(events, SplitSpec("group", (1, 1, 1), column="user"))
        >>> bool(parts[1] == parts[2]), sorted(set(parts.tolist()))
        (True, [0, 1, 2])
    """
    assert events.key is not None
    _, codes = np.unique(events.key, return_inverse=True)
    return _by_chance(int(codes.max()) + 1 if len(codes) else 0, spec)[codes]


def leave_last(events: Events, spec: SplitSpec) -> Parts:
    """Each user's last n rows for test, the n before them for validation.

    Rows of one user at the same time are taken in the order of the source. A user with fewer than 2 n + 1 rows
    stays in training. One user's test rows may lie before another's training rows: it leaks across users in time.

    Example:
        >>> events = Events(4, user=np.array([7, 7, 7, 8]), time=np.array([3, 1, 3, 0]))
        >>> leave_last(events, SplitSpec("leave_last")).tolist()
        [1, 0, 2, 0]
    """
    order, place, count = _within(events)
    last = count - place  # 1 for a user's last row
    cut = np.where(count > 2 * spec.n, np.where(last <= spec.n, 2, np.where(last <= 2 * spec.n, 1, 0)), 0)
    parts = np.empty(events.n, dtype=np.int8)
    parts[order] = cut
    return parts


def per_user(events: Events, spec: SplitSpec) -> Parts:
    """Each user's rows in time, cut by the ratios: everybody has a past to learn from.

    Rows of one user at the same time are taken in the order of the source; a user with too few rows for a part has
    none there. It leaks across users in time, as ``leave_last`` does.

    Example:
        >>> events = Events(4, user=np.array([7, 7, 7, 8]), time=np.array([3, 1, 2, 0]))
        >>> per_user(events, SplitSpec("per_user", (1, 1, 1))).tolist()
        [2, 0, 1, 2]
    """
    order, place, count = _within(events)
    shares = np.cumsum(spec.ratios) / np.sum(spec.ratios)
    ends = [np.floor(share * count + 1e-9) for share in shares[:-1]]
    parts = np.empty(events.n, dtype=np.int8)
    parts[order] = np.sum([place >= end for end in ends], axis=0)
    return parts


def _within(events: Events) -> tuple[NDArray, NDArray, NDArray]:
    """Rows sorted by user, time and source; of each its place within its user's rows and how many these are."""
    assert events.user is not None
    assert events.time is not None
    order = sort(events.user, events.time)  # ties stay in the order of the source
    user = events.user[order]
    begins = np.flatnonzero(np.r_[True, user[1:] != user[:-1]]) if len(user) else np.zeros(0, dtype=np.int64)
    counts = np.diff(np.r_[begins, len(user)])
    place = np.arange(len(user)) - np.repeat(begins, counts)
    return order, place, np.repeat(counts, counts)


def global_time(events: Events, spec: SplitSpec) -> Parts:
    """Earliest rows for training, latest for test: what a service meets, new users included.

    Rows at the same time are taken in the order of the source. The seed plays no part.

    Example:
        >>> parts = global_time(Events(10, time=np.arange(10)[::-1]), SplitSpec("global_time"))
        >>> np.flatnonzero(parts == 2).tolist()
        [0]
    """
    assert events.time is not None
    return _cut(np.argsort(events.time, kind="stable"), spec.ratios)


SPLITS: dict[str, Split] = {
    "random": random,
    "per_user": per_user,
    "leave_last": leave_last,
    "global_time": global_time,
    "group": group,
}


def given(names: pl.Series | Sequence[str | None], events: Events, spec: SplitSpec) -> tuple[Parts, list[str]]:
    """The parts that a column names; validation is carved out of training where nobody is in it.

    Args:
        names: (N,) of each row: train, val, test, the name of a further test set, or None for a row to leave out.
        events: its ``key`` says what stays together in carving.
        spec: its ratios give validation's share of what training and validation have together.

    Returns:
        the parts, and the names of all parts: train, val, test, then the further test sets by name.

    Raises:
        DataError: a part that training cannot do without is missing.

    Example:
        >>> parts, names = given(["train", "test", None, "train", "random"], Events(5), SplitSpec("column", column="p"))
        >>> names, parts.tolist()[1:3]
        (['train', 'val', 'test', 'random'], [2, -1])
    """
    column = pl.Series(names, dtype=pl.String).fill_null("")
    values = column.unique().sort().to_list()
    codes = column.rank("dense").to_numpy().astype(np.int64) - 1
    for name in ("train", "test"):
        if name not in values:
            found = ", ".join(repr(value) if value else "nothing" for value in values[:8])
            raise DataError(
                f"data.split.column: no row is {name!r}; it must give train, val, test, ...; found "
                f"{found}{', ...' * (len(values) > 8)}; choose another column, or translate it, as in CASE WHEN year < "
                "2020 THEN 'train' ELSE 'test' END"
            )
    for value in values:
        if value.strip().lower() in ALIASES and value not in PARTS:
            meant = ALIASES[value.strip().lower()]
            raise DataError(
                f"data.split.column: {value!r} would be a further test set; write {meant!r} where that is meant "
                "(CASE ... WHEN in data.split.column does it), or rename it"
            )
    if len(values) > MOST_PARTS:
        raise DataError(
            f"data.split.column: it gives {len(values):,} different names, and each would be a test set of its own "
            f"(at most {MOST_PARTS}); choose the column that holds train, val and test"
        )
    further = [value for value in values if value not in ("", *PARTS)]
    for name in further:  # parts are folders of the store
        if not re.fullmatch(r"[\w-]+", name) or name in ("catalogue", "floors"):
            raise DataError(
                f"data.split.column: {name!r} cannot be the name of a test set; use letters, digits, _ and -, and "
                "another word than catalogue and floors"
            )
    all_names = [*PARTS, *further]
    table = np.array([LEFT_OUT if value == "" else all_names.index(value) for value in values], dtype=np.int8)
    parts = table[codes]
    if "val" not in values:
        share = spec.ratios[1] / (spec.ratios[0] + spec.ratios[1])
        key = events.key if events.key is not None else np.arange(events.n)
        parts[(parts == 0) & (_hashed(key, spec.seed) < share)] = 1
    return parts, all_names


def _hashed(key: NDArray, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each key: a function of key and seed alone, whatever other rows there are."""
    mixed = key.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def sample(parts: Parts, user: NDArray | None, spec: SplitSpec) -> tuple[Parts, int]:
    """Leaves out all rows of users that ``spec.sample`` does not keep.

    Args:
        parts: (N,).
        user: (N,) whole numbers; None samples rows.
        spec: its share and seed.

    Returns:
        the parts without them, and how many rows were left out.

    Example:
        >>> parts, out = sample(np.zeros(1000, dtype=np.int8), np.arange(1000) // 10, SplitSpec(sample=0.2))
        >>> out % 10, 650 < out < 950
        (0, True)
    """
    key = user if user is not None else np.arange(len(parts))
    # Not the seed as it is: validation may be carved out of training by the hash of the same key.
    out = (_hashed(key, spec.seed + 1_000_003) >= spec.sample) & (parts != LEFT_OUT)
    return np.where(out, np.int8(LEFT_OUT), parts), int(out.sum())


def unseen(codes: NDArray, parts: Parts, names: Sequence[str]) -> Mapping[str, int]:
    """How many rows of each part have a value that no training row has.

    Args:
        codes: (N,) whole numbers from 0.
        parts: (N,).
        names: of the parts.

    Example:
        >>> unseen(np.array([0, 1, 0, 2]), np.array([0, 0, 1, 2], dtype=np.int8), PARTS)
        {'train': 0, 'val': 0, 'test': 1}
    """
    known = np.zeros(int(codes.max()) + 1 if len(codes) else 0, dtype=bool)
    known[codes[parts == 0]] = True
    new = ~known[codes]
    return {name: int((new & (parts == place)).sum()) for place, name in enumerate(names)}


def core(user: NDArray | None, item: NDArray | None, parts: Parts, least: Mapping[str, int]) -> tuple[Parts, int]:
    """Leaves out rows whose user or item has fewer training rows than it must have, until all have enough.

    Args:
        user: (N,) whole numbers from 0.
        item: (N,) whole numbers from 0.
        parts: (N,).
        least: training rows of a ``user`` and of an ``item``.

    Returns:
        the parts without them, and how many rows were left out.

    Example:
        >>> user, parts = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 2], dtype=np.int8)
        >>> core(user, None, parts, {"user": 2})[0].tolist()
        [0, 0, -1, -1]
    """
    parts = parts.copy()
    before = int((parts != LEFT_OUT).sum())
    keyed = [(codes, least[side]) for side, codes in (("user", user), ("item", item)) if side in least]
    while True:
        out = np.zeros(len(parts), dtype=bool)
        for codes, need in keyed:
            assert codes is not None
            out |= np.bincount(codes[parts == 0], minlength=int(codes.max()) + 1)[codes] < need
        out &= parts != LEFT_OUT
        if not out.any():
            return parts, before - int((parts != LEFT_OUT).sum())
        parts[out] = LEFT_OUT
