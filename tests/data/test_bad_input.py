"""Bad tables and bad configs of tables: what a person is told, the exit code, and that nothing half-made is left."""

import gzip
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from taskloom.config.command import FAILED, MISTAKE, OK, run_command

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
NAMES = ["user", "item", "time", "price", "clicked", "rating"]
ROWS = [[f"u{n % 7}", f"i{n % 5}", 1000 + n, n * 37 % 100 / 10, int(n * 7 % 3 == 0), n * 5 % 4 + 1] for n in range(60)]
TRAIN, VAL, TEST = 3, 50, 58  # a row of each part
PLAIN = [
    "data=tabular",
    "~data.features",
    "+data.features={user: {kind: categorical, side: user}, item: {kind: categorical}, price: {kind: dense}}",
    "~data.tasks",
    "+data.tasks={click: {kind: binary, target: clicked}, stars: {kind: regression, target: rating}}",
]
Content = str | bytes


def csv(rows=ROWS, names=NAMES, separator=",") -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in ([names] if names else []) + list(rows))


def with_cell(row: int, name: str, value: object) -> str:
    """The table with one cell changed."""
    rows = [list(cells) for cells in ROWS]
    rows[row][NAMES.index(name)] = value
    return csv(rows)


def with_column(name: str, value: Callable[[int], object]) -> str:
    """The table with one column changed, or one column more; its values are a function of the row."""
    if name not in NAMES:
        return csv([[*cells, value(n)] for n, cells in enumerate(ROWS)], [*NAMES, name])
    at = NAMES.index(name)
    return csv([[*cells[:at], value(n), *cells[at + 1 :]] for n, cells in enumerate(ROWS)])


def with_line(line: str) -> str:
    """The table with its row 11, line 12, replaced."""
    lines = csv().splitlines()
    return "\n".join([*lines[:11], line, *lines[12:]]) + "\n"


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def table(rows=ROWS) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=NAMES, orient="row", strict=False)


@dataclass(frozen=True)
class Case:
    """Files (the first is data.source), overrides, and what is said of them."""

    name: str
    files: Mapping[str, Content]
    overrides: list[str] = field(default_factory=list)
    says: str = ""
    code: int = FAILED
    stored: bool = False  # the store is whole and of use to other tasks


def good(*overrides: str) -> tuple[dict[str, Content], list[str]]:
    return {"a.csv": csv()}, list(overrides)


PEOPLE = "+data.reader.tables.people={files: p.csv, join: [user]}"
PART = ["data.split.kind=column", "+data.split.column=part"]
GROUP = ["data.split.kind=group", "+data.split.column=part"]

FILES = [
    Case("no file", {}, [], "none.csv is not there; give an existing file or folder"),
    Case("no source", {}, ["data.source=null"], "nothing says what to read; give data.source=<file or folder>"),
    Case("unknown ending", {"a.xlsx": csv()}, [], "a.xlsx: its ending does not tell its format; give format: one of"),
    Case("empty csv", {"a.csv": ""}, [], "a.csv is empty; get the file again or leave it out"),
    Case("header only", {"a.csv": csv([])}, [], "a.csv: there is no row in it; get the file again"),
    Case("blank lines", {"a.csv": "\n\n\n"}, [], "a.csv, line 1: it is blank where the names of the columns should be"),
    Case("empty gz", {"a.tsv.gz": gzip.compress(b"")}, [], "a.tsv.gz is empty; get the file again"),
    Case("empty jsonl", {"a.jsonl": ""}, [], "a.jsonl is empty; get the file again"),
    Case(
        "empty parquet", {"a.parquet": parquet(table([]))}, [], "a.parquet: there is no row in it; get the file again"
    ),
    Case("cut gz", {"a.csv.gz": gzip.compress(csv().encode())[:90]}, [], "a.csv.gz: cannot be"),
    Case("no gz", {"a.csv.gz": b"hello"}, [], "a.csv.gz: cannot be unpacked (Not a gzipped file"),
    Case("no parquet", {"a.parquet": b"hello"}, [], "a.parquet: not a Parquet file ("),
    Case(
        "wrong encoding",
        {"a.csv": with_line("ü1,i1,1010,1,1,3").encode("latin-1")},
        [],
        "a.csv, line 12: not UTF-8: '?1,i1,1010,1,1,3'; correct the file, or give its encoding, such as",
    ),
    Case(
        "utf-16", {"a.csv": csv().encode("utf-16")}, [], "a.csv, line 1: not UTF-8; give the file's encoding, such as"
    ),
    Case(
        "unknown encoding",
        *good("data.reader.encoding=utf99"),
        "encoding 'utf99' is not known; give one such as utf-8, latin-1 or cp1252",
        MISTAKE,
    ),
    Case(
        "field too many",
        {"a.csv": with_line("u1,i1,1010,1,1,3,x")},
        [],
        "1 of 60 lines (1.67%) is malformed, more than tolerate: 0 allows: {folder}/a.csv, line 12: 7 fields",
    ),
    Case(
        "field too few in tsv",
        {"a.tsv": csv(separator="\t") + "u1\ti1\n"},
        [],
        "a.tsv, line 62: 2 fields instead of 6: 'u1",
    ),
    Case(
        "line of broken json",
        {"a.jsonl": table().write_ndjson() + '{"user": "u1"\n'},
        [],
        'a.jsonl, line 61: not JSON: {"user": "u1"; correct the file, or check format, or raise tolerate',
    ),
    Case(
        "word in a declared column",
        {"a.csv": with_line("u1,i1,1010,cheap,1,3")},
        ["+data.reader.types={price: float}"],
        "a.csv, line 12: price is 'cheap', not a number; correct the file, or change types.price or name it",
    ),
    Case(
        "column twice", {"a.csv": csv(names=[*NAMES[:5], "clicked"])}, [], "the header names the column 'clicked' twice"
    ),
    Case(
        "another column in a second file",
        {"a.csv": csv(), "b.csv": with_column("more", str)},
        ["data.reader.files=[a.csv,b.csv]"],
        "b.csv has more besides, compared with a.csv; files that are read as one table must have the same columns;",
    ),
]
COLUMNS = [
    Case(
        "target column missing",
        {"a.csv": csv([row[:5] for row in ROWS], NAMES[:5])},
        [],
        "data.tasks.stars.target: the data has no column 'rating'; it has user, item, time, price, clicked",
        MISTAKE,
    ),
    Case(
        "user missing",
        *good("data.reader.user=usr"),
        "data.reader.user: there is no column 'usr'; the columns are user",
    ),
    Case(
        "time missing",
        *good("data.reader.time=tme"),
        "data.reader.time: there is no column 'tme'; the columns are user",
    ),
    Case(
        "cell without user", {"a.csv": with_cell(9, "user", "")}, [], "data.reader.user: 1 of 60 rows have no user (the"
    ),
    Case(
        "cell without time",
        {"a.csv": with_cell(7, "time", "")},
        [],
        "rows have no time (the first is row 8); give each",
    ),
    Case(
        "time NaN", {"a.csv": with_cell(7, "time", "NaN")}, [], "data.reader.time: 1 of 60 rows have no time (the first"
    ),
    Case(
        "time infinite",
        {"a.csv": with_cell(7, "time", "inf")},
        [],
        "data.reader.time: row 8 has an infinite time; give",
    ),
    Case(
        "word among times",
        {"a.csv": with_cell(7, "time", "yesterday")},
        [],
        "data.reader.time: row 8 has time 'yesterday', which is no date; write ISO dates such as 2024-03-01",
    ),
    Case(
        "no such day",
        {"a.csv": with_column("time", lambda n: "2024-02-30" if n == 7 else f"2024-01-{n % 28 + 1:02}")},
        [],
        "data.reader.time: row 8 has time '2024-02-30', which is no date",
    ),
    Case(
        "time feature of words",
        {"a.csv": with_column("at", lambda n: "noon" if n == 55 else "2024-01-02 10:00")},
        ["+data.features.when={kind: time, column: at}"],
        "data.features.when_hour: at is no date in 1 row (the first is row 56: 'noon'); write ISO dates",
    ),
    Case(
        "time feature in milliseconds",
        {"a.csv": with_column("at", lambda n: 1_700_000_000_000 + n)},
        ["+data.features.when={kind: time, column: at}"],
        "data.features.when_hour: at is out of the years 1653 to 2286 in s in 60 rows (the first is row 1: 17",
    ),
    Case(
        "word in a dense column",
        {"a.csv": with_line("u1,i1,1010,cheap,1,3")},
        [],
        "data.features.price: 'price' holds text, such as 'cheap' in row 11, and a dense feature is a number; mend",
        MISTAKE,
    ),
    *(
        Case(
            f"{value} in row {row} of a {kind}",
            {"a.csv": with_cell(row, kind, value)},
            [],
            f"data.features.price: 1 row has an infinite price (the first is row {row + 1}: {float(value)})"
            if kind == "price"
            else f"data.tasks.stars.target: row {row + 1} has an infinite label; mend it, or make it missing",
        )
        for kind, row, value in [
            ("price", TRAIN, "inf"),
            ("price", VAL, "-inf"),
            ("price", TEST, "inf"),
            ("price", TEST, "1e+39"),  # more than a float32 holds
            ("rating", TRAIN, "-inf"),
            ("rating", TEST, "inf"),
        ]
    ),
    Case(
        "infinity in parquet",
        {
            "a.parquet": parquet(
                table().with_columns(price=pl.when(pl.col("time") == 1050).then(float("inf")).otherwise(1))
            )
        },
        [],
        "data.features.price: 1 row has an infinite price (the first is row 51: inf)",
    ),
    Case(
        "infinity in what an asof feature takes",
        {"a.csv": with_cell(VAL, "rating", "inf")},
        ["+data.features.h={kind: asof, by: item, of: rating}", "tasks=[click]"],
        "data.features.h.of: row 51 has an infinite rating; mend the data",
    ),
    Case(
        "lists in a text column",
        *good("+data.features.words={kind: text, column: time}"),
        "data.features.words: 'time' holds Int64, not text; choose another kind",
        MISTAKE,
    ),
]
JOINED = [
    Case(
        "key twice",
        {"a.csv": csv(), "p.csv": "user,age\nu1,3\nu1,4\n"},
        [PEOPLE],
        "people (p.csv): user 'u1' has 2 rows that differ, and must have one; leave the wrong ones out",
    ),
    Case(
        "no key",
        {"a.csv": csv(), "p.csv": "who,age\nu1,3\n"},
        [PEOPLE],
        "people (p.csv) has no column 'user' to join on",
    ),
    Case(
        "key of numbers",
        {"a.csv": csv(), "p.csv": "user,age\n1,3\n"},
        [PEOPLE],
        "people (p.csv): 'user' holds Int64 and",
    ),
    Case("no facts", {"a.csv": csv(), "p.csv": "user,age\n"}, [PEOPLE], "p.csv: there is no row in it"),
    Case(
        "no file of facts", {"a.csv": csv()}, [PEOPLE], "data.reader.tables.people.files: {folder}/p.csv is not there"
    ),
    Case(
        "column of both",
        {"a.csv": csv(), "p.csv": "user,price\nu1,3\n"},
        [PEOPLE],
        "the rows have a column 'price' already",
    ),
]
TASKS = [
    Case(
        "one class",
        {"a.csv": with_column("clicked", lambda n: 0)},
        [],
        "data.tasks.click: every training label is 0, so there is nothing to learn; check its target, draw negatives",
        stored=True,
    ),
    Case(
        "no training label",
        {"a.csv": with_column("rating", lambda n: n % 5 if n > 47 else "")},
        [],
        "data.tasks.stars: no training row has a label; check its target, or leave the task out",
        stored=True,
    ),
    Case(
        "no label at all",
        {"a.csv": with_column("rating", lambda n: "")},
        [],
        "data.tasks.stars: no training row has a label; check its target, or leave the task out",
        stored=True,
    ),
    Case(
        "words for labels",
        {"a.csv": with_column("clicked", lambda n: "yes" if n % 3 else "no")},
        [],
        "data.tasks.click.target: 'clicked' gives text, not numbers: row 1 has 'no'; compare it, as in clicked = 'no'",
        MISTAKE,
    ),
    Case(
        "labels 1 and 2",
        {"a.csv": with_column("clicked", lambda n: n % 2 + 1)},
        [],
        "data.tasks.click.target: a binary label must be 0 or 1, found 2 in row 2; compare it with something",
        MISTAKE,
    ),
    Case(
        "count below 0",
        {"a.csv": with_cell(TEST, "rating", -1)},
        ["data.tasks.stars.kind=count"],
        "data.tasks.stars.target: a count is >= 0, found -1 in row 59; take kind: regression, or another target",
        MISTAKE,
    ),
    Case(
        "noise below 0",
        *good("+data.tasks.stars.noise='price - 100'"),
        "data.tasks.stars.noise: 'price - 100' is -100 in row 1, and a deviation is a number >= 0",
    ),
    Case("noise of words", *good("+data.tasks.stars.noise=user"), "data.tasks.stars.noise: 'user' gives text", MISTAKE),
    Case(
        "observed of words",
        *good("+data.tasks.stars.observed=user"),
        "data.tasks.stars.observed: 'user' gives String, neither true nor false; compare it, as in opened = 1",
        MISTAKE,
    ),
]
FEATURES = [
    Case(
        "the same feature twice",
        *good("+data.features.again={kind: categorical, side: item, column: user}"),
        "data.features.again: it is the same as data.features.user (categorical of 'user'); leave one of them out",
        MISTAKE,
    ),
    *(
        Case(
            f"target as {what}",
            *good(f"+data.features.leak={{{section}}}"),
            f"data.features.{name}: it is computed",
            MISTAKE,
        )
        for what, name, section in [
            ("a feature", "leak", "kind: dense, column: rating"),
            ("a formula", "leak", "kind: dense, column: 'rating + 0'"),
            ("a condition", "leak", "kind: dense, column: 'CASE WHEN clicked = 1 THEN price ELSE 0 END'"),
            ("a time", "leak_hour", "kind: time, column: rating"),
            ("the key of an asof feature", "leak", "kind: asof, by: 'rating > 2', take: count"),
        ]
    ),
    Case(
        "target in a history",
        *good("+data.features.r={kind: categorical, column: rating}", "+data.features.h={kind: history, of: [r]}"),
        "data.features.r: it is computed from 'rating', and so is the target of task stars; leave it out, or set known",
        MISTAKE,
    ),
    Case(
        "target for a user",
        *good("data.reader.user=clicked", "+data.features.h={kind: history, of: [item]}"),
        "data.reader.user: the target of task click is computed from 'clicked', so that whose history a row has",
        MISTAKE,
    ),
    Case(
        "an excluded column",
        *good("+data.excluded={price: it is set later}"),
        "data.features.price: column 'price' is excluded (it is set later); leave the feature out, or set",
        MISTAKE,
    ),
    Case(
        "negatives of no task",
        *good("+data.negatives={task: clik}"),
        "data.negatives.task: there is no task 'clik'; there are click, stars",
        MISTAKE,
    ),
    Case(
        "no such floor item",
        *good("data.floors.item=itm"),
        "data.floors.item: 'itm' is no categorical feature; there are user, item; name one of them, or set",
        MISTAKE,
    ),
    Case(
        "no such floor target",
        *good("data.floors.target=clik"),
        "data.floors.target: 'clik' is no target; there are click, stars; name one of them",
        MISTAKE,
    ),
    Case(
        "floors without a target",
        *good("~data.floors", "+data.floors={user: user, item: item}"),
        "data.floors: target is missing; set data.floors.target",
        MISTAKE,
    ),
    Case(
        "types without a plus",
        *good("data.reader.types={price: float}"),
        "data.reader.types has no price yet; to add it: +data.reader.types={price: float}",
        MISTAKE,
    ),
]
SPLITS = [
    Case(
        "part of numbers",
        {"a.csv": with_column("part", lambda n: n % 3)},
        PART,
        "data.split.column: no row is 'train'; it must give train, val, test, ...; found '0', '1', '2'; choose another",
    ),
    Case(
        "unknown parts",
        {"a.csv": with_column("part", lambda n: ["train", "holdout"][n % 2])},
        PART,
        "data.split.column: no row is 'test'; it must give train, val, test, ...; found 'holdout', 'train'",
    ),
    Case(
        "almost a part",
        {"a.csv": with_column("part", lambda n: ["train", "test", "Val"][n % 3])},
        PART,
        "data.split.column: 'Val' would be a further test set; write 'val' where that is meant",
    ),
    Case(
        "a part for each row",
        {"a.csv": with_column("part", lambda n: ["train", "test"][n % 2] if n < 30 else f"n{n}")},
        PART,
        "data.split.column: it gives 32 different names, and each would be a test set of its own (at most 20)",
    ),
    Case("no part", {"a.csv": with_column("part", lambda n: "")}, PART, "data.split.column: no row is 'train'"),
    Case(
        "no such column",
        *good("data.split.kind=column", "+data.split.column=prt"),
        "the data has no column 'prt'",
        MISTAKE,
    ),
    *(
        Case(
            f"no group, {kind}",
            {"a.csv": with_column("part", lambda n, group=group: group(n) if n % 4 else "")},
            GROUP,
            "data.split.column: 15 of 60 rows have no part (the first is row 1); give each row one, or leave it out",
        )
        for kind, group in [
            ("texts", lambda n: f"g{n % 9}"),
            ("numbers", lambda n: n % 9),
            ("fractions", lambda n: n % 9 + 0.5),
        ]
    ),
    Case(
        "two groups",
        {"a.csv": with_column("part", lambda n: n % 2)},
        GROUP,
        "kind group leaves no row for val of 60 rows",
    ),
    Case(
        "too few rows", {"a.csv": csv(ROWS[:3])}, [], "kind global_time leaves no row for val of 3 rows; use more data"
    ),
    Case("core", *good("+data.core={user: 100}"), "data.core leaves no row for train of 60 rows; ask for fewer"),
]
CASES = [*FILES, *COLUMNS, *JOINED, *TASKS, *FEATURES, *SPLITS]


def overrides_of(case: Case, folder: Path) -> list[str]:
    for name, content in case.files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    source = next(iter(case.files), "none.csv")
    given = [] if any(o.startswith("data.source=") for o in case.overrides) else [f"data.source={folder / source}"]
    return [*PLAIN, *given, f"paths.root={folder / 'out'}", *case.overrides]


def left(folder: Path) -> list[str]:
    """What stands in the place of stores."""
    stores = folder / "out" / "data" / "processed"
    return sorted(path.name for path in stores.iterdir() if path.name != ".known") if stores.exists() else []


def test_no_case_is_there_twice():
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_was_wrong_where_and_what_to_do(case, tmp_path, capsys):
    code = run_command("data", overrides_of(case, tmp_path), CONF)
    printed = capsys.readouterr().err
    assert case.says.replace("{folder}", str(tmp_path)) in printed
    assert len(printed.splitlines()) == 1, printed
    assert ";" in printed  # the half that says what to do
    assert code == case.code
    assert len(left(tmp_path)) == case.stored
    assert not any(name.startswith(".") for name in left(tmp_path))


@pytest.mark.parametrize(
    ("files", "overrides", "says"),
    [
        (
            {"a.csv": with_line("u1,i1,1010,1,1,3,x")},
            ["data.reader.tolerate=0.05"],
            ["left out: {folder}/a.csv, line 12: 7 fields instead of 6", "left out 1: malformed"],
        ),
        (
            {"a.csv": with_column("clicked", lambda n: ROWS[n][4] if n < 48 else 0)},
            [],
            [
                "warning: click: all 6 labelled val rows are negative; AUC is not defined there",
                "warning: click: all 6 labelled test rows are negative; AUC is not defined there",
            ],
        ),
        (
            {"a.csv": with_column("rating", lambda n: 3 if n < 48 else "")},
            [],
            [
                "warning: stars: every training label is 3, so there is nothing to learn",
                "warning: stars: no val row has a label; nothing is measured there",
                "warning: stars: no test row has a label; nothing is measured there",
            ],
        ),
        (
            {"a.csv": with_column("user", lambda n: f"new{n}" if n > 47 else f"u{n % 7}")},
            [],
            ["warning: feature user: unknown on 100% of test rows (missing, rare, or never seen in training)"],
        ),
        (
            {"a.csv": with_column("part", lambda n: "test" if n < 10 else "val" if n < 20 else "train")},
            PART,
            ["warning: split: 40 training rows are later than the first test row (1059 > 1000): blind to time"],
        ),
        (
            {"a.csv": csv(), "p.csv": "user,age\nu1,3\n,4\n,5\n"},
            [PEOPLE],
            ["note: people (p.csv): nothing on the user of 51 of 60 rows, whose facts are empty"],
        ),
        (
            {"a.csv": with_column("more", str)},  # a column that nobody asked for does no harm
            ["data.tasks.stars.kind=multilabel", "data.tasks.stars.target=['rating > 0', 'rating > 2']"],
            ["warning: stars: label 0 of every training row is 1, so there is nothing to learn"],
        ),
    ],
    ids=[
        "tolerated",
        "one class in test",
        "no label in test",
        "new ids",
        "out of order",
        "no facts",
        "one label constant",
    ],
)
def test_what_can_be_lived_with_is_said(files, overrides, says, tmp_path, capsys):
    assert run_command("data", overrides_of(Case("", files, overrides), tmp_path), CONF) == OK
    printed = " ".join(capsys.readouterr().out.split())
    for sentence in says:
        assert sentence.replace("{folder}", str(tmp_path)) in printed


def test_rows_out_of_order_and_missing_numbers_make_no_difference_to_who_is_tested(tmp_path, capsys):
    rows = [[*row[:3], "NaN" if n % 9 == 0 else row[3], *row[4:]] for n, row in enumerate(ROWS)]
    for name, given in (("forward", rows), ("backward", rows[::-1])):
        (tmp_path / name).mkdir()
        assert run_command("data", overrides_of(Case("", {"a.csv": csv(given)}), tmp_path / name), CONF) == OK
    one, two = (capsys_lines for capsys_lines in capsys.readouterr().out.split("as page")[:2])
    assert [line for line in one.splitlines() if "price" in line and "dense" in line] == [
        line for line in two.splitlines() if "price" in line and "dense" in line
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  price: {kind: dense", "  user: {kind: dense", "line 32: the key user is in its section twice; rename one"),
        ("features:", "features: [", "this is no YAML ("),
    ],
)
def test_a_yaml_that_names_a_key_twice_or_is_none(old, new, says, tmp_path, capsys):
    shutil.copytree(CONF, tmp_path / "conf")
    text = (CONF / "data" / "tabular.yaml").read_text()
    assert old in text
    (tmp_path / "conf" / "data" / "mine.yaml").write_text(text.replace(old, new, 1))
    for command in ("data", "train"):
        assert run_command(command, ["data=mine", f"paths.root={tmp_path / 'out'}"], tmp_path / "conf") == MISTAKE
        printed = capsys.readouterr().err
        assert printed.startswith(f"{tmp_path}/conf/data/mine.yaml, line ")
        assert says in printed
        assert len(printed.splitlines()) == 1, printed
    assert not (tmp_path / "out").exists()


def test_help_ends_quietly_where_nobody_reads_on():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, ROOT / "src" / "data.py", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (OK, "")


def test_train_says_the_same_and_records_a_failed_run(tmp_path, capsys):
    case = Case("", {"a.csv": with_cell(TEST, "price", "inf")})
    quick = ["debug=step", "logger=none", "trainer.accelerator=cpu"]
    assert run_command("train", [*overrides_of(case, tmp_path), *quick], CONF) == FAILED
    assert "data.features.price: 1 row has an infinite price (the first is row 59: inf)" in capsys.readouterr().err
    assert left(tmp_path) == []
