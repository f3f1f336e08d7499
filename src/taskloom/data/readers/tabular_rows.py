"""What happens to rows once they are read: duplicates, rows of another table, times."""

import numpy as np
import polars as pl

from taskloom.data.dates import dates
from taskloom.data.table import Account, Table
from taskloom.errors import DataError

NUMBERS = (pl.Int64, pl.Float64)
NUMBER = " row number"


def repeats(frame: pl.LazyFrame) -> np.ndarray:
    """The numbers of the rows that are equal to an earlier one in all columns, by a hash of 128 bits.

    Example:
        >>> repeats(pl.LazyFrame({"a": [1, 2, 1, 1], "b": ["x", "x", "x", "y"]})).tolist()
        [2]
    """
    row = pl.struct(pl.all())
    hashes = frame.select(row.hash(1).alias("one"), row.hash(2).alias("two")).collect(engine="streaming")
    one, two = hashes["one"].to_numpy(), hashes["two"].to_numpy()
    order = np.argsort(one, kind="stable")  # so that the first of equal rows stands first
    same = (one[order][1:] == one[order][:-1]) & (two[order][1:] == two[order][:-1])
    return np.sort(order[1:][same])


def without(table: Table, rows: np.ndarray, rule: str) -> Table:
    """The table less some rows, by a rule in words."""
    if not len(rows):
        return table
    kept = np.ones(table.account.kept, dtype=bool)
    kept[rows] = False
    marked = pl.concat([table.frame, pl.LazyFrame({NUMBER: kept})], how="horizontal")
    return Table(marked.filter(NUMBER).drop(NUMBER), table.account.without(rule, len(rows)), table.notes)


def below(table: Table, other: Table, what: str) -> Table:
    """The rows of both, the other's last; a column that one lacks is null there.

    Raises:
        DataError: a column is numbers in one and text in the other.
    """
    mine, theirs = table.frame.collect_schema(), other.frame.collect_schema()
    frames = [table.frame, other.frame]
    for name in mine:
        if name not in theirs or mine[name] == theirs[name] or {mine[name], theirs[name]} <= set(NUMBERS):
            continue
        for at in (0, 1):  # a column without any value is of no type
            if frames[at].select(pl.col(name).is_null().all()).collect().item():
                frames[at] = frames[at].with_columns(pl.lit(None, dtype=(theirs, mine)[at][name]).alias(name))
                break
        else:
            raise DataError(
                f"{what}: {name!r} holds {theirs[name]} and in the rows above {mine[name]}; give it one type in both, "
                f"as in types: {{{name}: text}}"
            )
    one, two = table.account, other.account
    rules = dict.fromkeys([*one.dropped, *two.dropped])
    account = Account(
        one.read + two.read,
        one.refused + two.refused,
        (*one.refusals, *two.refusals),
        {rule: one.dropped.get(rule, 0) + two.dropped.get(rule, 0) for rule in rules},
    )
    return Table(pl.concat(frames, how="diagonal_relaxed"), account, [*table.notes, *other.notes])


def seconds(table: Table, name: str) -> Table:
    """The rows with a column of dates or ISO texts as seconds since 1970 in UTC; numbers stay what they are.

    Raises:
        DataError: a text that is no date.
    """
    schema = table.frame.collect_schema()
    if name not in schema:
        raise DataError(f"data.reader.time: there is no column {name!r}; the columns are {', '.join(schema)}")
    dtype, column = schema[name], pl.col(name)
    if dtype.is_numeric():
        return table
    if dtype == pl.String:
        when = dates(column)
        wrong = table.frame.with_row_index(NUMBER).filter(when.is_null() & column.is_not_null()).select(NUMBER, name)
        words = wrong.filter(column.str.strip_chars().cast(pl.Float64, strict=False).is_null())
        found = words.head(1).collect()  # where most are numbers, the word among them is the fault
        found = found if found.height else wrong.head(1).collect()
        if found.height:
            raise DataError(
                f"data.reader.time: row {found[0, 0] + 1} has {name} {found[0, 1]!r}, which is no date; write ISO "
                "dates such as 2024-03-01 or 2024-03-01T12:30:00, or seconds since 1970, the same in all rows"
            )
    elif dtype == pl.Date or isinstance(dtype, pl.Datetime):
        when = column.cast(pl.Datetime("us"))
    else:
        raise DataError(f"data.reader.time: {name!r} holds {dtype}; give seconds since 1970, or a date")
    return Table(table.frame.with_columns((when.dt.epoch("us") / 1e6).alias(name)), table.account, table.notes)
