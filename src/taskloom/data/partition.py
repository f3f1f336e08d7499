"""Partition: which part each row belongs to, whose it is, and what it may see of the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskloom.data.expression import roots
from taskloom.data.recipe import Recipe
from taskloom.data.rows import Rows, by_value, codes, refuse_missing, times
from taskloom.data.sections import SplitSpec
from taskloom.data.splits import LEFT_OUT, PARTS, SPLITS, Events, Parts, core, given, sample, unseen
from taskloom.errors import ConfigError, DataError

OTHERS = ("random", "leave_last", "global_time")  # splits whose cold users and items are told beside the used one's
OVERLAP = 0.01  # share of a part's rows that may be later than the next part's first: the dates of logs are rough
MOST_FOR_OTHERS = 2_000_000  # rows up to which those are worth their seconds


@dataclass
class Partition:
    """N rows told apart.

    Args:
        spec: how.
        part: (N,) place in ``names``, or ``LEFT_OUT``.
        names: train, val, test, then further test sets.
        user, item: (N,) whole numbers, or None where the data has none.
        time: (N,), or None.
        group: (N,) whole numbers, those of training first; all 0 where the data has no groups.
        source: (N,) stacked table, or None where nothing is stacked.
        tables: their names.
        known: how many ``users`` and ``items`` there are; a row without one has a number from there on.
        in_time: whether what is earlier than a row of validation or test may be taken from those parts too.
        filtered: rows left out, by rule.
        others: cold users and items under other splits.
    """

    spec: SplitSpec
    part: Parts
    names: list[str]
    user: NDArray[np.int32] | None
    item: NDArray[np.int32] | None
    time: NDArray | None
    group: NDArray[np.int32]
    source: NDArray[np.int8] | None = None
    tables: list[str] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    in_time: bool = False
    filtered: dict[str, int] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)

    def count(self, name: str) -> int:
        """Rows of a part."""
        return int((self.part == self.names.index(name)).sum())

    def visible(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Which rows can be seen by which: pairs of masks (N,), members and seers.

        Where the parts do not follow each other in time, everybody sees training rows alone. Otherwise training rows
        see training rows, validation rows see those and their own part, test rows see all; under a split by global
        time no training row is later than a test row, so that this is simply what was earlier.
        """
        if not self.in_time:
            yield self.part == 0, np.ones(len(self.part), dtype=bool)
        elif self.spec.kind == "global_time":
            yield self.part != LEFT_OUT, np.ones(len(self.part), dtype=bool)
        else:
            for place in range(len(self.names)):
                members = (self.part == 0) | (self.part == place)
                if place > 0:
                    members |= self.part == 1
                yield members, self.part == place

    def meta(self) -> dict[str, Any]:
        """Plain figures for people."""
        used: dict[str, Any] = {"rows": {name: self.count(name) for name in self.names}}
        for side, values in (("users", self.user), ("items", self.item)):
            if values is not None:
                used[side] = _cold(values, self.known[side], self.part, self.names)
        kept = self.part != LEFT_OUT
        found: dict[str, Any] = {
            "parts": self.names,
            "rows": used["rows"],
            "users": _distinct(self.user, kept, self.known["users"]),
            "items": _distinct(self.item, kept, self.known["items"]),
            "unseen": {self.spec.kind: used, **self.others},
            "filtered": self.filtered,
            "in_time": self.in_time,
            "tables": self.tables,
        }
        if self.time is not None:
            of = {name: self.time[self.part == place] for place, name in enumerate(self.names)}
            found["span"] = {name: [float(values.min()), float(values.max())] for name, values in of.items()}
        return found

    def warnings(self) -> list[str]:
        """What a person should know of the split."""
        if self.time is None or self.spec.kind != "column":
            return []
        last, first = self.time[self.part == 0].max(), self.time[self.part == 2].min()
        later = int((self.time[self.part == 0] > first).sum())
        if not later:
            return []
        return [
            f"split: {later:,} training rows are later than the first test row ({last:g} > {first:g}): blind to time"
        ]


def _distinct(values: NDArray | None, kept: NDArray[np.bool_], known: int) -> int:
    return 0 if values is None else int((np.unique(values[kept]) < known).sum())


def _cold(values: NDArray, known: int, part: Parts, names: Sequence[str]) -> Mapping[str, int]:
    """Rows with a user or item that no training row has; a row without any is not cold."""
    there = values < known
    return unseen(values[there], part[there], names)


def partition(rows: Rows, recipe: Recipe) -> Partition:
    """Splits the rows, and leaves out those that the core filter does.

    Raises:
        ConfigError: the split asks for what the data does not have.
        DataError: a part that is left without rows.
    """
    stacked = "table" in rows.columns
    user, users = _codes(rows, recipe.user, "user", optional=stacked)
    item, items = _codes(rows, recipe.item, "item", optional=True)
    known = {"users": users, "items": items}
    time = _times(rows, recipe, stacked)
    spec, filtered = recipe.split, {}
    part, names, others = _split(rows, spec, user, item, time, known)
    if left := int((part == LEFT_OUT).sum()):
        filtered["data.split.column names no part"] = left
    if spec.sample < 1:
        part, out = sample(part, user, spec)
        filtered[f"data.split.sample={spec.sample:g}"] = out
    for side, values in (("user", user), ("item", item)):
        if side in recipe.core and values is None:
            raise ConfigError(f"data.core.{side}: the data names no {side} column; leave it out")
    _refuse_empty(part, names, f"data.split: kind {spec.kind}", rows.n, "use more data or another split")
    if recipe.core:
        part, out = core(user, item, part, recipe.core)
        rule = " and ".join(f"{side} with fewer than {n} training rows" for side, n in recipe.core.items())
        filtered |= {rule: out} if out else {}
    _refuse_empty(part, names, "data.core", rows.n, "ask for fewer training rows of a user and an item")
    found = Partition(spec, part, names, user, item, time, _groups(rows, recipe, user, part), filtered=filtered)
    found.others, found.known = others, known
    found.in_time = time is not None and _in_time(recipe, found)
    if stacked:
        series = rows.column("table", "table")
        found.tables = [str(name) for name in series.unique().sort().to_list()]
        found.source = codes(series).astype(np.int8)
    return found


def _codes(rows: Rows, name: str | None, side: str, optional: bool) -> tuple[NDArray[np.int32] | None, int]:
    """A number for each row's user or item, and how many of them there are."""
    if name is None:
        return None, 0
    series = rows.column(f"data.reader.{side}", name)
    if not optional:
        refuse_missing(f"data.reader.{side}", series, name)
    found = codes(series, optional=optional)
    return found, int(found.max()) + 1 - series.null_count()


def _times(rows: Rows, recipe: Recipe, stacked: bool) -> NDArray | None:
    if recipe.time is None or (stacked and rows.column("data.reader.time", recipe.time).null_count()):
        return None
    return times(rows, recipe.time)


def _split(
    rows: Rows,
    spec: SplitSpec,
    user: NDArray | None,
    item: NDArray | None,
    time: NDArray | None,
    known: Mapping[str, int],
) -> tuple[Parts, list[str], dict[str, Any]]:
    """The parts, their names, and cold users and items under other splits."""
    needs = {"per_user": ("user", "time"), "leave_last": ("user", "time"), "global_time": ("time",)}
    have = {"user": user, "time": time}
    for need in needs.get(spec.kind, ()):
        if have[need] is None:
            raise ConfigError(
                f"data.split.kind={spec.kind} needs to know each row's {need}, and the data does not say it for every "
                f"row; name the reader's {need} column, or choose another split"
            )
    events = Events(rows.n, user, time, _key(rows, spec))
    if spec.kind == "column":
        series = rows.column("data.split.column", spec.column)
        part, names = given(series.cast(pl.String), events, spec)
    else:
        part, names = SPLITS[spec.kind](events, spec), list(PARTS)
    others: dict[str, Any] = {}
    if user is not None and item is not None and time is not None and rows.n <= MOST_FOR_OTHERS:
        for kind in OTHERS:
            if kind != spec.kind:
                other = SPLITS[kind](events, SplitSpec(kind, spec.ratios, spec.seed, n=spec.n))  # type: ignore[arg-type]
                sizes = {name: int((other == place).sum()) for place, name in enumerate(PARTS)}
                cold = {
                    "users": _cold(user, known["users"], other, PARTS),
                    "items": _cold(item, known["items"], other, PARTS),
                }
                others[kind] = {"rows": sizes, **cold}
    return part, names, others


def _key(rows: Rows, spec: SplitSpec) -> NDArray | None:
    """What must stay together."""
    text = {"group": spec.column, "column": spec.by}.get(spec.kind, "")
    if not text:
        return None
    where = f"data.split.{'by' if spec.kind == 'column' else 'column'}"
    series = rows.column(where, text)
    series = series.fill_nan(None) if series.dtype.is_float() else series
    if "table" not in rows.columns:  # a stacked table may lack the column: each of its rows is a group of its own
        refuse_missing(where, series, text)
    return by_value(series) if spec.kind == "column" else codes(series, optional=True)


def _groups(rows: Rows, recipe: Recipe, user: NDArray[np.int32] | None, part: Parts) -> NDArray[np.int32]:
    """Numbers for groups, from 0: those of training first, so that no other row moves them."""
    if recipe.group is None:
        return np.zeros(rows.n, dtype=np.int32)
    values = user
    if recipe.group != recipe.user or values is None:
        values = codes(rows.column("data.features (kind: group)", recipe.group), optional=True)
    known = np.zeros(int(values.max()) + 1, dtype=bool)
    known[values[part == 0]] = True
    number = np.empty(len(known), dtype=np.int32)
    number[known] = np.arange(int(known.sum()), dtype=np.int32)
    number[~known] = int(known.sum()) + np.arange(int((~known).sum()), dtype=np.int32)
    return number[values]


def _in_time(recipe: Recipe, found: Partition) -> bool:
    """Whether the parts follow each other in time, for each user at least."""
    spec = recipe.split
    if spec.kind in ("global_time", "per_user", "leave_last"):
        return True
    if spec.kind == "group":
        return recipe.user is not None and roots("data.split.column", spec.column) == {recipe.user}
    if spec.kind == "column" and found.time is not None:
        train, val = (found.time[found.part == place] for place in range(2))
        tests = found.time[found.part > 1]  # a further test set from before training would reach its histories
        return _follows(val, train) and _follows(tests, val)
    return False


def _follows(later: NDArray, former: NDArray) -> bool:
    """Whether one part comes after another, but for a few rows about the cut."""
    return bool((former > later.min()).mean() <= OVERLAP)


def _refuse_empty(part: Parts, names: list[str], what: str, n: int, advice: str) -> None:
    for place, name in enumerate(names):
        if not (part == place).any():
            raise DataError(f"{what} leaves no row for {name} of {n} rows; {advice}")
