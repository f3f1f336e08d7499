"""Facts of users or items laid beside the events that name them."""

import polars as pl

from taskloom.data.table import Table
from taskloom.errors import DataError


def beside(events: Table, facts: Table, key: str, what: str) -> Table:
    """The events, each with the facts of its key; an event whose key has none gets empty cells and is counted.

    Args:
        events: one row an event.
        facts: one row a key; a row that repeats another in full counts once.
        key: the column that both have.
        what: the facts' file or files in words, for messages.

    Raises:
        DataError: a key with two different rows of facts, where either could be meant.

    Example:
        >>> from taskloom.data.table import Account
        >>> seen = Table(pl.LazyFrame({"user": [1, 1, 3]}), Account(read=3))
        >>> ages = Table(pl.LazyFrame({"user": [1, 2], "age": [30, 40]}), Account(read=2))
        >>> both = beside(seen, ages, "user", "ages.csv")
        >>> both.frame.collect()["age"].to_list(), both.notes
        ([30, 30, None], ['1 row has a user that ages.csv lacks; its facts are empty'])
    """
    counts = facts.frame.group_by(key).len().filter(pl.col("len") > 1).sort(key)
    frame = facts.frame
    if counts.head(1).collect().height:
        frame = frame.unique(maintain_order=True)
        twice = frame.group_by(key).len().filter(pl.col("len") > 1).sort(key).head(1).collect()
        if twice.height:
            value, n = twice.row(0)
            raise DataError(
                f"{what}: {key} {value!r} has {n} rows that differ, and must have one; leave the wrong ones out"
            )
    lost = int(events.frame.join(frame, on=key, how="anti").select(pl.len()).collect().item())
    notes = [*events.notes, *facts.notes]
    if facts.account.refused:
        notes.append(f"{what}: {facts.account.refused:,} lines left out: {'; '.join(facts.account.refusals)}")
    if lost == 1:
        notes.append(f"1 row has a {key} that {what} lacks; its facts are empty")
    elif lost:
        notes.append(f"{lost:,} rows have a {key} that {what} lacks; their facts are empty")
    return Table(events.frame.join(frame, on=key, how="left", maintain_order="left"), events.account, notes)
