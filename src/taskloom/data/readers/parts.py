"""Tables of the same columns put under one another, each row with the part that it came from."""

from collections.abc import Mapping

import polars as pl

from taskloom.data.table import Account, Table


def stacked(tables: Mapping[str, Table], column: str = "part") -> Table:
    """One table of several, in their order.

    Args:
        tables: part to its table; all have the same columns.
        column: what the new column with the part's name is called.

    Example:
        >>> train = Table(pl.LazyFrame({"x": [1, 2]}), Account(read=2))
        >>> test = Table(pl.LazyFrame({"x": [3]}), Account(read=2, refused=1))
        >>> both = stacked({"train": train, "test": test})
        >>> both.frame.collect()["part"].to_list(), both.account.kept
        (['train', 'train', 'test'], 3)
    """
    accounts = [table.account for table in tables.values()]
    rules = dict.fromkeys(rule for account in accounts for rule in account.dropped)
    account = Account(
        read=sum(account.read for account in accounts),
        refused=sum(account.refused for account in accounts),
        refusals=tuple(line for account in accounts for line in account.refusals),
        dropped={rule: sum(account.dropped.get(rule, 0) for account in accounts) for rule in rules},
    )
    frames = [table.frame.with_columns(pl.lit(part).alias(column)) for part, table in tables.items()]
    return Table(pl.concat(frames), account, [note for table in tables.values() for note in table.notes])
