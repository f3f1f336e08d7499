from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from taskloom.data.readers.facts import beside
from taskloom.data.table import Account, Table
from taskloom.errors import DataError


def table(**columns: Sequence[Any]) -> Table:
    frame = pl.LazyFrame(columns)
    return Table(frame, Account(read=len(next(iter(columns.values())))))


def test_several_columns_make_the_key_together() -> None:
    seen = table(user=[1, 1, 2], day=["a", "b", "a"])
    mood = table(day=["a", "b", "a"], user=[1, 1, 3], mood=[5, 6, 7])
    both = beside(seen, mood, ["user", "day"], "moods.csv")
    assert both.frame.collect().rows() == [(1, "a", 5), (1, "b", 6), (2, "a", None)]
    assert both.notes == ["moods.csv: nothing on the user and day of 1 of 3 rows, whose facts are empty"]
    wrong = table(user=[1, 1], day=["a", "a"], mood=[5, 6])
    with pytest.raises(DataError, match=r"moods.csv: user 1, day 'a' has 2 rows that differ, and must have one"):
        beside(seen, wrong, ["user", "day"], "moods.csv")


def test_a_row_of_facts_that_is_there_twice_counts_once_and_is_told() -> None:
    both = beside(table(user=[1, 2]), table(user=[1, 2, 2, 2], age=[3, 4, 4, 4]), "user", "ages.csv")
    assert both.frame.collect().rows() == [(1, 3), (2, 4)]
    assert both.notes == ["ages.csv: 2 rows repeat another in full"]


def test_who_has_no_key_has_no_facts() -> None:
    facts = table(user=[None, None, 1], age=[3, 4, 5])
    both = beside(table(user=[None, 1]), facts, "user", "ages.csv")
    assert both.frame.collect().rows() == [(None, None), (1, 5)]


def test_rows_keep_their_order_and_number() -> None:
    both = beside(table(user=[3, 1, 2, 1], n=[0, 1, 2, 3]), table(user=[1, 2, 3], age=[10, 20, 30]), "user", "ages.csv")
    assert both.frame.collect().rows() == [(3, 0, 30), (1, 1, 10), (2, 2, 20), (1, 3, 10)]
    assert both.notes == []


def test_lines_that_were_left_out_of_the_facts_are_told() -> None:
    facts = Table(pl.LazyFrame({"user": [1], "age": [3]}), Account(read=2, refused=1, refusals=("line 3: 1 field",)))
    assert beside(table(user=[1]), facts, "user", "a.csv").notes == ["a.csv: 1 line left out: line 3: 1 field"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (table(person=[1]), r"a.csv has no column 'user' to join on; there are person"),
        (table(user=["1"], age=[1]), r"a.csv: 'user' holds String and in the rows Int64"),
        (table(user=[1], shop=["b"]), r"a.csv: the rows have a column 'shop' already"),
    ],
)
def test_tables_that_do_not_fit_are_refused(facts: Table, said: str) -> None:
    with pytest.raises(DataError, match=said):
        beside(table(user=[1], shop=["a"]), facts, "user", "a.csv")


def test_facts_of_nobody_are_refused():
    rows = Table(pl.LazyFrame({"user": ["1", "2"]}), Account(read=2))
    facts = Table(pl.LazyFrame({"user": ["u1", "u2"], "age": [30, 40]}), Account(read=2))
    with pytest.raises(DataError, match=r"ages\.csv: nothing on the user of any row; its keys are others"):
        beside(rows, facts, "user", "ages.csv")
