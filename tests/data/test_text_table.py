"""Every line of a file is in the table, or is counted, shown and judged."""

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskloom.data.table import Table
from taskloom.data.text_table import read_table
from taskloom.errors import ConfigError, DataError


class Files:
    """Writes files and reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    def write(self, content: str | bytes, name: str = "a.csv", encoding: str = "utf-8") -> Path:
        path = self.folder / name
        data = content if isinstance(content, bytes) else content.encode(encoding)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def read(self, content: str | bytes, name: str = "a.csv", written: str = "utf-8", **options: Any) -> Table:
        return read_table([self.write(content, name, written)], self.folder, say=self.said.append, **options)

    def rows(self, *args: Any, **options: Any) -> list[tuple[Any, ...]]:
        return self.read(*args, **options).frame.collect().rows()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_types_are_found(files: Files) -> None:
    table = files.read(
        "i,f,mixed,zip,big,flag,word,none,nan\n1,1.5,1,007,12345678901234567890,true,x,,NaN\n"
        "-2,2,1.5,10115,1,False,1,,-inf\n"
    )
    assert dict(table.frame.collect_schema()) == {
        "i": pl.Int64, "f": pl.Float64, "mixed": pl.Float64, "zip": pl.String, "big": pl.String, "flag": pl.Boolean,
        "word": pl.String, "none": pl.String, "nan": pl.Float64,
    }  # fmt: skip
    first, second = table.frame.collect().rows()
    assert first[:8] == (1, 1.5, 1.0, "007", "12345678901234567890", True, "x", None)
    assert first[8] != first[8]
    assert second[8] == -float("inf")


def test_declared_types_and_columns_asked_for(files: Files) -> None:
    assert files.rows("a;b;c\n1;2;['x', 'y']\n", types={"a": "text", "c": "list"}, only=["c", "a"]) == [
        (["x", "y"], "1")
    ]


def test_whole_numbers_in_the_first_lines_and_fractions_later(files: Files) -> None:
    """A cast alone would round 2.5 to 3 in silence."""
    content = "a,b\n" + "".join(f"{n},{n}\n" for n in range(25_000)) + "2.5,NaN\n"
    last = files.read(content).frame.collect().row(-1)
    assert last[0] == 2.5
    assert last[1] != last[1]
    with pytest.raises(DataError, match=r"line 25002: a is '2.5', not a whole number; .*change types.a"):
        files.read(content, types={"a": "int"})


AB = {"columns": ["a", "b"]}


@pytest.mark.parametrize(
    ("content", "options", "rows"),
    [
        ("1::x y\n2::z\n", {**AB, "separator": "::"}, [(1, "x y"), (2, "z")]),
        ("1, x \n?, NA\n", {**AB, "separator": ", ", "null": ["?"], "quote": None}, [(1, "x "), (None, "NA")]),
        (" 1 , x \n ? , NA\n", {**AB, "null": ["?"], "strip": True}, [(1, "x"), (None, "NA")]),
        ("a;b\n1;2\n", {}, [(1, 2)]),
        ("a,b\r\n1,x\r\n2,y\r\n", {}, [(1, "x"), (2, "y")]),
        ("a,b\n1,x\r\n2,y\n3,z\r\n", {}, [(1, "x"), (2, "y"), (3, "z")]),
        ("\ufeffa,b\n1,x\n", {}, [(1, "x")]),
        ('a,b\n1,"x, ""y""\nz"\n2,5" pipe\n', {}, [(1, 'x, "y"\nz'), (2, '5" pipe')]),
        ("a\n1\n\n2\n", {}, [(1,), (None,), (2,)]),
        ("a,A\n1,2\n", {}, [(1, 2)]),
        (",b\n1,2\n", {"only": ["column_1"]}, [(1,)]),
    ],
)  # fmt: skip
def test_quirks(files: Files, content: str, options: dict[str, Any], rows: list[tuple[Any, ...]]) -> None:
    assert files.rows(content, **options) == rows


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
def test_encodings(files: Files, encoding: str) -> None:
    assert files.rows("a,b\n1,café\n", written=encoding, encoding=encoding) == [(1, "café")]


def test_latin_1_control_characters_do_not_end_lines(files: Files) -> None:
    assert files.rows(b"a,b\n1,x\x85y\x1cz\n", encoding="latin-1") == [(1, "x\x85y\x1cz")]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_malformed_lines_are_counted_and_shown(files: Files, name: str) -> None:
    content = "a,b\n1,x\n\nq,y\n3\n4,5,6\n7,last"
    with pytest.raises(DataError) as error:
        files.read(content, name, types={"a": "int"})
    path = files.folder / name
    assert str(error.value) == (
        f"3 of 5 lines (60%) are malformed, more than tolerate: 0 allows: {path}, line 4: a is 'q', not a whole "
        f"number; {path}, line 5: 1 field instead of 2: '3'; {path}, line 6: 3 fields instead of 2: '4,5,6'; correct "
        "the file, or check separator and columns, or change types.a or name it as a missing value, or raise tolerate"
    )
    with pytest.raises(DataError, match="3 of 5"):
        files.read(content, name, types={"a": "int"}, tolerate=0.59)
    table = files.read(content, name, types={"a": "int"}, tolerate=0.6)
    assert table.frame.collect().rows() == [(1, "x"), (7, "last")]
    assert (table.account.read, table.account.refused, table.account.kept) == (5, 3, 2)
    assert len(table.account.refusals) == 3
    assert files.said == [f"left out: {text}" for text in table.account.refusals]


def test_lines_after_quoted_line_ends_keep_their_numbers(files: Files) -> None:
    content = 'a,b\n1,"x\ny"\n\nq,z\n4,"w"\n5\n'
    with pytest.raises(DataError, match=r"line 5: a is 'q'.* line 7: 1 field"):
        files.read(content, types={"a": "int"})


def test_a_value_unlike_the_first_lines(files: Files) -> None:
    content = "a\n" + "1\n" * 20_001 + "many\n"
    with pytest.raises(
        DataError, match=r"line 20003: a is 'many', not a whole number as in the first lines; .*give types"
    ):
        files.read(content)


def test_a_quote_that_is_never_closed_hides_no_line(files: Files) -> None:
    body = "".join(f"{n},text\n" for n in range(1000))
    with pytest.raises(DataError, match=r"901 of 1,001 lines .* line 102: a quote that is opened .* set quote: null"):
        files.read("a,b\n" + body[: body.index("100,")] + '7,"oops\n' + body[body.index("100,") :])
    with pytest.raises(DataError, match="2 of 4 lines"):
        files.read('a,b\n1,"x\n2,y"q\n3,z\n4,"w"\n')


def test_wrong_encoding(files: Files) -> None:
    with pytest.raises(DataError, match=r"line 3: not UTF-8: .*encoding: latin-1"):
        files.read("a,b\n1,x\n2,café\n", written="latin-1")
    with pytest.raises(DataError, match=r"line 1: not UTF-8; .*utf-16"):
        files.read("a,b\n1,x\n", written="utf-16")
    with pytest.raises(DataError, match="near line 1: not utf-16"):
        files.read("a,b\n1,x\n2", encoding="utf-16")
    with pytest.raises(ConfigError, match="'utf-9' is not known"):
        files.read("a\n1\n", encoding="utf-9")
    with pytest.raises(DataError, match=r"line 2: not UTF-8; .*latin-1"):
        files.read('{"a": 1}\n{"a": "café"}\n', "a.jsonl", written="latin-1")


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("", {}, "is empty"),
        ("a,b\n", {}, "no row"),
        ("a,b,a\n1,2,3\n", {}, r"line 1: the header names the column 'a' twice \(fields 1 and 3\)"),
        ("a,b\n1,2\n", {"only": ["c"]}, "no column 'c'; it has a, b"),
        ("a,b\n1,2\n", {"types": {"c": "int"}}, "no column 'c'; it has a, b"),
        ("a,b\n1,2\n", {"columns": ["a"]}, "2 fields instead of 1"),
    ],
)
def test_bad_files(files: Files, content: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        files.read(content, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "xls"}, "format must be one of csv, tsv, jsonl, parquet"),
        ({"types": {"a": "str"}}, "types.a must be one of int, float, bool, list, text, got 'str'"),
        ({"separator": ""}, "separator must have one to four"),
        ({"format": "jsonl", "columns": ["a"]}, "columns names those of CSV"),
    ],
)
def test_bad_options(files: Files, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        files.read("a\n1\n", **options)


def test_files_that_are_not_what_they_are_called(files: Files) -> None:
    with pytest.raises(DataError, match="is not there"):
        read_table([files.folder / "none.csv"], files.folder)
    with pytest.raises(DataError, match="ending does not tell"):
        files.read("a\n1\n", "a.data")
    with pytest.raises(DataError, match="not a Parquet file"):
        files.read("a\n1\n", "a.parquet")
    with pytest.raises(DataError, match="cannot be unpacked"):
        read_table([files.write("a\n1\n").rename(files.folder / "b.csv.gz")], files.folder)
    cut = files.write(gzip.compress(b"a,b\n" + b"1,2\n" * 100_000)[:-50]).rename(files.folder / "c.csv.gz")
    with pytest.raises(DataError, match=r"c.csv.gz: cannot be read"):
        read_table([cut], files.folder)


def test_several_files_in_their_order(files: Files) -> None:
    one = files.write("a,b\n1,x\n2,y\n", "2.csv")
    other = files.write("b,a\nz,0.5\n", "1.csv.gz")
    table = read_table([one, other], files.folder)
    assert table.frame.collect().rows() == [(1.0, "x"), (2.0, "y"), (0.5, "z")]
    with pytest.raises(DataError, match=r"3.csv lacks b and has c besides, compared with 2.csv"):
        read_table([one, files.write("a,c\n1,2\n", "3.csv")], files.folder)


JSON = """{"a": 1, "b": "c", "l": ["x", 1], "n": {"q": 1}, "m": 1, "s": "01"}
{"a": 2.5, "t": true, "m": "x", "b": null}

{"a": NaN, "l": []}
"""


def test_json_lines(files: Files) -> None:
    frame = files.read(JSON, "a.json", types={"absent": "float"}).frame.collect()
    assert frame.schema == {
        "a": pl.Float64, "b": pl.String, "l": pl.List(pl.String), "n": pl.String, "m": pl.String, "s": pl.String,
        "t": pl.Boolean, "absent": pl.Float64,
    }  # fmt: skip
    assert frame.row(0) == (1.0, "c", ["x", "1"], '{"q":1}', "1", "01", None, None)
    assert frame.row(1)[1:] == (None, None, None, "x", None, True, None)
    assert frame["a"].is_nan().to_list() == [False, False, True]
    with pytest.raises(DataError, match="no column 'absent'"):
        files.read(JSON, "a.json", only=["absent"])


def test_malformed_json_lines(files: Files) -> None:
    content = JSON + '{"a": 1\n[1]\n{"a": "x"}\n'
    with pytest.raises(DataError) as error:
        files.read(content, "a.jsonl.gz", types={"a": "float"})
    for said in ("3 of 6 lines", 'line 5: not JSON: {"a": 1', "line 6: not a JSON object: [1]", "line 7: a is 'x'"):
        assert said in str(error.value)
    assert files.read(content, "a.jsonl", types={"a": "float"}, tolerate=0.5).account.kept == 3
    with pytest.raises(DataError, match="one JSON array"):
        files.read('[{"a": 1}]', "a.json")
    with pytest.raises(DataError, match="no line is a JSON object"):
        files.read("a,b\n1,2\n", "a.json")


def test_parquet(files: Files) -> None:
    paths = [files.folder / "1.parquet", files.folder / "2.parquet"]
    pl.DataFrame({"a": [1, 2], "b": ["x", None]}).write_parquet(paths[0])
    pl.DataFrame({"b": ["z"], "a": [0.5]}).write_parquet(paths[1])
    table = read_table(paths, files.folder)
    assert table.frame.collect().rows() == [(1.0, "x"), (2.0, None), (0.5, "z")]
    assert table.account.kept == 3
    assert read_table(paths, files.folder, types={"a": "text"}, only=["a"]).frame.collect().row(2) == ("0.5",)
    with pytest.raises(DataError, match=r"row 3: a is 0.5, not a whole number; change types.a"):
        read_table(paths, files.folder, types={"a": "int"})


CELL = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\0"), max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELL, st.integers(-(2**53), 2**53), st.floats(allow_nan=False)), min_size=1, max_size=8))
def test_what_csv_writes_comes_back(tmp_path: Path, rows: list[tuple[str, int, float]]) -> None:
    path = tmp_path / "a.csv"
    frame = pl.DataFrame(rows, schema={"t": pl.String, "i": pl.Int64, "f": pl.Float64}, orient="row")
    frame.write_csv(path, quote_style="always")
    table = read_table([path], tmp_path, types={"t": "text", "i": "int", "f": "float"})
    assert table.frame.with_columns(pl.col("t").fill_null("")).collect().equals(frame)


GOOD, SHORT, LONG, WORD = "1,x", "1", "1,x,y", "one,x"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.sampled_from([GOOD, SHORT, LONG, WORD]), min_size=1, max_size=12), gz=st.booleans())
def test_every_line_is_kept_or_refused_in_its_place(tmp_path: Path, lines: list[str], gz: bool) -> None:
    path = tmp_path / ("a.csv.gz" if gz else "a.csv")
    data = ("a,b\n" + "\n".join(lines)).encode()
    path.write_bytes(gzip.compress(data) if gz else data)
    good = lines.count(GOOD)
    if not good:
        with pytest.raises(DataError):
            read_table([path], tmp_path, types={"a": "int"}, tolerate=1, say=str)
        return
    account = read_table([path], tmp_path, types={"a": "int"}, tolerate=1, say=str).account
    assert (account.read, account.kept) == (len(lines), good)
    wrong = [number for number, line in enumerate(lines, 2) if line != GOOD][:5]
    assert [int(text.split(", line ")[1].split(":")[0]) for text in account.refusals] == wrong
