"""Tables of the user's own: found, joined, stacked, with every row accounted for."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from taskloom.data.readers.tabular import Tabular
from taskloom.data.recipe import Recipe, fingerprint
from taskloom.data.sections import SplitSpec
from taskloom.data.table import Table
from taskloom.errors import ConfigError, DataError


class Tables:
    """A folder of files, and readers of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mine"
        self.folder.mkdir()
        self.scratch = folder

    def write(self, **files: str) -> None:
        """``visits="user,bought"`` writes visits.csv."""
        for name, content in files.items():
            path = self.folder / f"{name.replace('__', '/')}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)

    def read(self, source: str | None = "", **options: Any) -> Table:
        reader = Tabular(**options)
        raw = reader.acquire(None if source is None else self.folder / source, self.scratch, say=lambda line: None)
        return reader.read(raw, self.scratch, say=lambda line: None)

    def rows(self, *args: Any, **options: Any) -> list[dict[str, Any]]:
        table = self.read(*args, **options)
        rows = table.frame.collect().to_dicts()
        assert len(rows) == table.account.kept
        return rows


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


VISITS = "user,bought\n1,0\n2,1\n1,1\n"


def test_one_file_a_glob_a_list_or_a_folder(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.write(days__b="a\n2\n", days__a="a\n1\n", days__sub="a\n3\n", _hidden="x\n1\n")
    (tables.folder / "days" / "README.txt").write_text("no table")
    (tables.folder / "days" / "_SUCCESS").write_text("")
    assert [row["a"] for row in tables.rows("days")] == [1, 2, 3]
    assert [row["a"] for row in tables.rows("days/b.csv")] == [2]
    assert [row["a"] for row in tables.rows(files="days")] == [1, 2, 3]
    assert [row["a"] for row in tables.rows(files=["days/sub.csv", "days/a.csv"])] == [3, 1]
    assert [row["a"] for row in tables.rows("days/a.csv", files="[ab].csv")] == [1, 2]
    monkeypatch.chdir(tables.folder)
    assert [row["a"] for row in tables.rows(None, files="days/a.csv")] == [1]
    assert [row["a"] for row in tables.rows(None, files=str(tables.folder / "days" / "b.csv"))] == [2]


def test_places_that_hold_nothing(tables: Tables) -> None:
    tables.write(visits=VISITS)
    (tables.folder / "empty").mkdir()
    for source, options, said in [
        (None, {}, "nothing says what to read; give data.source"),
        ("none", {}, "data.source: .*none is not there"),
        ("", {"files": "none.csv"}, r"data.reader.files: .*none.csv is not there"),
        ("empty", {}, "the folder .*empty holds no table file"),
        (
            "",
            {"files": "visits.csv", "user": "person"},
            "data.reader.user: there is no column 'person'; .* user, bought",
        ),
        ("", {"files": "visits.csv", "time": "when"}, "data.reader.time: there is no column 'when'"),
    ]:
        with pytest.raises(DataError, match=said):
            tables.read(source, **options)


def test_the_parts_of_a_given_split(tables: Tables) -> None:
    tables.write(train="a,b\n1,x\n2,\n", test="a,b\n0.5,z\n")
    rows = tables.rows(parts={"train": "train.csv", "test": "test.csv"})
    assert [tuple(row.values()) for row in rows] == [(1.0, "x", "train"), (2.0, None, "train"), (0.5, "z", "test")]
    with pytest.raises(ConfigError, match="files and parts both"):
        tables.read(parts={"train": "train.csv"}, files="test.csv")


def test_facts_are_joined_on_keys(tables: Tables) -> None:
    tables.write(
        visits="user,shop,bought\n1,a,0\n2,b,1\n1,b,1\n,a,0\n",
        users="user,age\n1,30\n3,50\n",
        shops="shop,town\na,Rome\nb,Oslo\n",
    )
    options = {
        "tables": {
            "users": {"files": "users.csv", "join": ["user"]},
            "shops": {"files": "shops.csv", "join": "shop"},
        }
    }
    table = tables.read(**options)
    assert table.frame.collect().rows() == [
        (1, "a", 0, 30, "Rome"),
        (2, "b", 1, None, "Oslo"),
        (1, "b", 1, 30, "Oslo"),
        (None, "a", 0, None, "Rome"),
    ]
    assert table.account.read == 4
    assert table.notes == ["users (users.csv): nothing on the user of 2 of 4 rows, whose facts are empty"]


def test_keys_that_do_not_fit(tables: Tables) -> None:
    tables.write(
        visits=VISITS,
        twice="user,age\n1,30\n2,4\n2,5\n",
        text="user,age\nu1,30\n",
        clash="user,bought\n1,1\n",
        none="person\n1\n",
    )
    for name, said in [
        ("twice", r"twice \(twice.csv\): user 2 has 2 rows that differ, and must have one"),
        ("text", r"text \(text.csv\): 'user' holds String and in the rows Int64; .*types: \{user: text\}"),
        ("clash", r"the rows have a column 'bought' already; .*only"),
        ("none", r"none \(none.csv\) has no column 'user' to join on; there are person"),
    ]:
        with pytest.raises(DataError, match=said):
            tables.read(files="visits.csv", tables={name: {"files": f"{name}.csv", "join": ["user"]}})
    tables.write(clash="user,bought,age\n1,1,30\n")
    section = {"files": "clash.csv", "only": ["user", "age"], "join": ["user"]}
    assert tables.rows(files="visits.csv", tables={"clash": section})[0] == {"user": 1, "bought": 0, "age": 30}


def test_tables_are_stacked_into_one_row_space(tables: Tables) -> None:
    tables.write(visits=VISITS, survey="person,user,joy,bought\nx,2,4.5,\n", users="user,age\n2,40\n")
    rows = tables.rows(
        name="visits",
        files="visits.csv",
        tables={
            "survey": {"files": "survey.csv", "stack": True},
            "users": {"files": "users.csv", "join": ["user"]},
        },
    )
    assert rows[1] == {"user": 2, "bought": 1, "table": "visits", "person": None, "joy": None, "age": 40}
    assert rows[3] == {"user": 2, "bought": None, "table": "survey", "person": "x", "joy": 4.5, "age": 40}
    tables.write(other="user\nx\n")
    with pytest.raises(DataError, match=r"other \(other.csv\): 'user' holds String and in the rows above Int64"):
        tables.read(files="visits.csv", tables={"other": {"files": "other.csv", "stack": True}})


def test_a_column_called_table_is_refused(tables: Tables) -> None:
    tables.write(visits="table,bought\n1,0\n")
    with pytest.raises(DataError, match="a column is called 'table'"):
        tables.read("visits.csv")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"files": "a.csv"}, "either join: .keys. or stack: true"),
        ({"files": "a.csv", "stack": True, "join": ["user"]}, "either join"),
        ({"join": ["user"]}, "files is missing"),
        ({"files": "a.csv", "join": []}, "data.reader.tables.a.join: the list is empty"),
        ({"file": "a.csv", "stack": True}, "Unknown key data.reader.tables.a.file: did you mean files"),
    ],
)
def test_a_table_that_is_not_described_well(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Tabular(tables={"a": section})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"duplicates": "allow"}, "duplicates must be one of keep, drop, refuse"),
        ({"header": ["a", "b", "a"]}, "data.reader.header names the column 'a' twice"),
        ({"tolerate": 2}, "data.reader.tolerate must be a share"),
        ({"name": "a", "tables": {"a": {"files": "a.csv", "stack": True}}}, "the rows themselves have that name"),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Tabular(**options)


def test_duplicates(tables: Tables) -> None:
    tables.write(visits="a,b\n1,x\n2,y\n1,x\n1,y\n1,x\n")
    kept = tables.read("visits.csv")
    assert kept.account.kept == 5
    assert kept.notes == [
        "2 rows repeat an earlier one word for word; data.reader.duplicates=drop leaves such rows out"
    ]
    dropped = tables.read("visits.csv", duplicates="drop")
    assert dropped.frame.collect().rows() == [(1, "x"), (2, "y"), (1, "y")]
    assert dropped.account.dropped == {"repeats an earlier row word for word": 2}
    assert dropped.account.kept == 3
    with pytest.raises(DataError, match=r"2 rows repeat an earlier one .* the first in row 3"):
        tables.read("visits.csv", duplicates="refuse")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-03-01", 1709251200.0),
        ("2024-03-01T12:30:00", 1709296200.0),
        ("2024-03-01 12:30:00.5", 1709296200.5),
        ("2024-03-01 12:30", 1709296200.0),
        ("2024-03-01T12:30:00Z", 1709296200.0),
        ("2024-03-01T12:30:00+02:00", 1709289000.0),
        ("2024/03/01", 1709251200.0),
    ],
)
def test_dates_become_seconds(tables: Tables, text: str, seconds: float) -> None:
    tables.write(visits=f"when,a\n{text},1\n,2\n2024-03-01,3\n")
    assert [row["when"] for row in tables.rows("visits.csv", time="when")] == [seconds, None, 1709251200.0]


def test_a_text_that_is_no_date(tables: Tables) -> None:
    tables.write(visits="when,a\n2024-03-01,1\nyesterday,2\n")
    with pytest.raises(DataError, match="row 2 has when 'yesterday', which is no date"):
        tables.read("visits.csv", time="when")


def test_parquet_times_and_numbers(tables: Tables) -> None:
    pl.DataFrame({"d": [date(2024, 3, 1)], "t": [datetime(2024, 3, 1, 12, 30)], "n": [1709251200]}).write_parquet(
        tables.folder / "a.parquet"
    )
    assert tables.rows("a.parquet", time="d")[0]["d"] == 1709251200.0
    assert tables.rows("a.parquet", time="t")[0]["t"] == 1709296200.0
    assert tables.rows("a.parquet", time="n")[0]["n"] == 1709251200


def test_malformed_lines_of_a_joined_table_are_told(tables: Tables) -> None:
    tables.write(visits=VISITS, users="user,age\n1,30\n2\n")
    users = {"files": "users.csv", "join": ["user"], "tolerate": 0.5}
    notes = tables.read(files="visits.csv", tables={"users": users}).notes
    assert "users (users.csv): 1 line left out" in notes[0]
    assert "users.csv, line 3: 1 field instead of 2" in notes[0]


def test_an_option_or_a_file_that_changes_gives_a_new_fingerprint(tables: Tables) -> None:
    tables.write(visits=VISITS, users="user,age\n1,30\n")

    def name(**options: Any) -> str:
        reader = Tabular(files="visits.csv", tables={"users": {"files": "users.csv", "join": ["user"]}}, **options)
        raw = reader.acquire(tables.folder, tables.scratch, say=lambda line: None)
        return fingerprint(reader, raw, Recipe((), (), SplitSpec(), None, None, None))

    first = name()
    assert name() == first
    assert name(types={"user": "text"}) != first
    tables.write(users="user,age\n1,31\n")
    assert name() != first
