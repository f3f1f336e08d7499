"""Facts of users, items or anything else with a key laid beside the rows that name it."""

from collections.abc import Sequence

import polars as pl

from taskloom.data.table import Table
from taskloom.errors import DataError


def beside(rows: Table, facts: Table, keys: str | Sequence[str], what: str) -> Table:
    """The rows, each with the facts of its key; a row whose key has none gets empty cells and is counted.

    Args:
        rows: one an event, as a rule.
        facts: one row a key; a row that repeats another in full counts once, and one without a key is nobody's.
        keys: the column that both have, or several that make the key together.
        what: the facts' file or files in words, for messages.

    Raises:
        DataError: a key with two different rows of facts, where either could be meant; a key column that is missing or
            of another type in one of them; a further column that both have.

    Example:
        >>> from taskloom.data.table import Account
        >>> seen = Table(pl.LazyFrame({"user": [1, 1, 3]}), Account(read=3))
        >>> ages = Table(pl.LazyFrame({"user": [1, 2], "age": [30, 40]}), Account(read=2))
        >>> both = beside(seen, ages, "user", "ages.csv")
        >>> both.frame.collect()["age"].to_list(), both.notes
        ([30, 30, None], ['ages.csv: nothing on the user of 1 of 3 rows, whose facts are empty'])
    """
    keys = [keys] if isinstance(keys, str) else list(keys)
    _require_fit(rows, facts, keys, what)
    frame, notes = facts.frame, [*rows.notes, *facts.notes]
    if facts.account.refused:
        lines = "1 line" if facts.account.refused == 1 else f"{facts.account.refused:,} lines"
        notes.append(f"{what}: {lines} left out: {'; '.join(facts.account.refusals)}")
    if _twice(frame, keys).height:
        frame = frame.unique(maintain_order=True)
        twice = _twice(frame, keys)
        if twice.height:
            *values, n = twice.row(0)
            said = ", ".join(f"{key} {value!r}" for key, value in zip(keys, values, strict=True))
            raise DataError(f"{what}: {said} has {n} rows that differ, and must have one; leave the wrong ones out")
        again = _height(facts.frame) - _height(frame)
        notes.append(f"{what}: {again:,} row{' repeats' if again == 1 else 's repeat'} another in full")
    lost = _height(rows.frame.join(frame, on=keys, how="anti"))
    named = " and ".join(keys)
    if lost and lost == rows.account.kept:
        raise DataError(f"{what}: nothing on the {named} of any row; its keys are others, or written in another way")
    if lost:
        notes.append(f"{what}: nothing on the {named} of {lost:,} of {rows.account.kept:,} rows, whose facts are empty")
    return Table(rows.frame.join(frame, on=keys, how="left", maintain_order="left"), rows.account, notes)


def _height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


def _twice(frame: pl.LazyFrame, keys: list[str]) -> pl.DataFrame:
    """The first key that several rows have, and how many; no row where there is none."""
    counts = frame.drop_nulls(keys).group_by(keys).len()
    return counts.filter(pl.col("len") > 1).sort(keys).head(1).collect()


def _require_fit(rows: Table, facts: Table, keys: list[str], what: str) -> None:
    mine, theirs = rows.frame.collect_schema(), facts.frame.collect_schema()
    for key in keys:
        for schema, name in ((mine, "the rows have"), (theirs, f"{what} has")):
            if key not in schema:
                raise DataError(f"{name} no column {key!r} to join on; there are {', '.join(schema)}")
        if mine[key] != theirs[key]:
            raise DataError(
                f"{what}: {key!r} holds {theirs[key]} and in the rows {mine[key]}; give it one type in both, as in "
                f"types: {{{key}: text}}"
            )
    for name in theirs:
        if name in mine and name not in keys:
            raise DataError(f"{what}: the rows have a column {name!r} already; name the columns to take in only: [...]")
