"""Table: what a reader gives. Account: what became of each row of its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True)
class Account:
    """What became of the rows that were read.

    Args:
        read: rows (lines, records) of the raw files, a header not counted.
        refused: how many were malformed and left out.
        refusals: the first of them in words, each with file and line.
        dropped: rows that a rule left out, by the rule in words.
    """

    read: int
    refused: int = 0
    refusals: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Rows that are in the table.

        Example:
            >>> Account(read=10, refused=1, dropped={"an exact duplicate": 2}).kept
            7
        """
        return self.read - self.refused - sum(self.dropped.values())

    def without(self, rule: str, rows: int) -> "Account":
        """The same account after a rule has left out some rows more."""
        return Account(self.read, self.refused, self.refusals, {**self.dropped, rule: rows} if rows else self.dropped)


@dataclass(frozen=True)
class Table:
    """Events on their way to the store, one a row.

    Args:
        frame: of ``account.kept`` rows; lazy, so that it may be larger than memory.
        account: what became of the raw rows.
        notes: lines for people: what was found in the raw files and is worth knowing.
    """

    frame: pl.LazyFrame
    account: Account
    notes: Sequence[str] = ()
