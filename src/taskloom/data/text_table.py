"""read_table: the one way that CSV, TSV, JSON lines and Parquet become rows, with every line accounted for."""

import gzip
import os
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl

from taskloom.data.acquire import Say
from taskloom.data.table import Account, Table
from taskloom.data.text_reading import TYPES, Reading, Source, named_columns, same_columns, tagged
from taskloom.data.text_sources import SAMPLE, CsvFile, JsonLinesFile, is_utf8, quoted, recode
from taskloom.errors import ConfigError, DataError

ENDINGS = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
FORMATS = ("csv", "tsv", "jsonl", "parquet")
MEMORY = "1GB"  # DuckDB's limit; beyond it intermediate rows go to scratch
LARGE = 100_000_000  # bytes of a file whose reading is announced


def format_of(path: Path) -> str:
    """What a file's ending says; ``.gz`` aside.

    Raises:
        DataError: it says nothing.

    Example:
        >>> format_of(Path("reviews.jsonl.gz"))
        'jsonl'
    """
    stem = path.with_suffix("") if path.suffix == ".gz" else path
    if stem.suffix.lower() not in ENDINGS:
        raise DataError(f"{path}: its ending does not tell its format; give format: one of {', '.join(FORMATS)}")
    return ENDINGS[stem.suffix.lower()]


def read_table(
    files: Sequence[Path],
    scratch: Path,
    *,
    format: str | None = None,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    null: Sequence[str] = ("",),
    quote: str | None = '"',
    strip: bool = False,
    tolerate: float = 0.0,
    tag: tuple[str, Sequence[str]] | None = None,
    say: Say = print,
) -> Table:
    """The rows of some files with the same columns, in the order of the files and of their lines.

    Values are read as text and then cast, so that nothing is rounded in silence. A line with too few or too many
    fields, a quote that is never closed, bytes of another encoding, or a value that is not of its column's type is
    malformed. Texts such as ``NaN`` and ``inf`` in a column of numbers stay what they say. Blank lines are no rows.

    Args:
        files: at least one; plain or gz.
        scratch: an existing folder; the Parquet files that the frame scans are written there.
        format: csv, tsv, jsonl or parquet; None goes by the ending.
        columns: names of the columns of files without a header.
        types: column to ``int``, ``float``, ``text``, ``bool`` or ``list``; others are found from the first 20,000
            lines, where ``007`` is text, and nested JSON is text. A declared field that no JSON line has is null.
        only: just these columns, in this order.
        separator: of one to four characters; None takes the format's, or the one that the first line has.
        encoding: of text files.
        null: texts that mean that there is no value.
        quote: the character around values that hold a separator; None where quotes are ordinary.
        strip: blanks around values are left out.
        tolerate: share of malformed lines up to which they are counted, said and left out.
        tag: a further column and its text for the rows of each file, such as which part they are of.
        say: takes a line for people.

    Raises:
        DataError: a file is missing, empty, of another encoding, lacks a column or has one too many; a header names a
            column twice; or more lines are malformed than ``tolerate`` allows.
        ConfigError: an option has no meaning.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> path = folder / "clicks.csv"
        >>> _ = path.write_text("user,zip,stars\\nann,00210,4\\nbob,10115,4.5\\n")
        >>> table = read_table([path], folder)
        >>> table.frame.collect().rows()
        [('ann', '00210', 4.0), ('bob', '10115', 4.5)]
        >>> _ = path.write_text("user,zip,stars\\nann,00210,4\\nbob\\n")
        >>> read_table([path], folder)
        Traceback (most recent call last):
            ...
        taskloom.errors.DataError: 1 of 2 lines (50%) is malformed, more than tolerate: 0 allows: ...clicks.csv, line 3:
        1 field instead of 3: 'bob'; correct the file, or check separator and columns, or raise tolerate
    """
    if not files:
        raise DataError("no file to read was given; name at least one")
    formats = {format or format_of(path) for path in files}
    if len(formats) > 1 or not formats <= set(FORMATS):
        raise ConfigError(f"format must be one of {', '.join(FORMATS)} for all files, got {', '.join(sorted(formats))}")
    for name, kind in (types or {}).items():
        if kind not in TYPES:
            raise ConfigError(f"types.{name} must be one of {', '.join(TYPES)}, got {kind!r}")
    for path in files:
        if not path.is_file():
            raise DataError(f"{path} is not there; give an existing file")
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty; get the file again or leave it out")
    kind = formats.pop()
    if columns is not None and kind not in ("csv", "tsv"):
        raise ConfigError(f"columns names those of CSV files without a header; a {kind} file has its own")
    if separator is not None and not 1 <= len(separator.encode()) <= 4:
        raise ConfigError(f"separator must have one to four characters, got {separator!r}")
    folder = Path(tempfile.mkdtemp(prefix="table_", dir=scratch))
    with duckdb.connect() as connection:
        connection.execute(
            f"SET threads = {min(4, len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 2)};"
            f"SET memory_limit = '{MEMORY}'; SET temp_directory = {quoted(str(folder))};"
            "SET enable_progress_bar = false"
        )
        if kind == "parquet":
            return _parquet(connection, files, types or {}, only, tag)
        sources = []
        for number, path in enumerate(files):
            if path.stat().st_size > LARGE:
                say(f"reading {path} ({path.stat().st_size / 1e6:,.0f} MB)")
            try:
                read = path if is_utf8(encoding) else recode(path, encoding, folder / f"recoded-{number}")
                sources.append(_source(read, path, kind, columns, types or {}, separator, null, quote, len(files)))
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise DataError(f"{path}: cannot be unpacked ({error}); get the file again") from error
        return Reading(connection, sources, folder, types or {}, only, null, strip).table(tolerate, tag, say)


def _source(
    read: Path,
    original: Path,
    kind: str,
    columns: Sequence[str] | None,
    types: Mapping[str, str],
    separator: str | None,
    null: Sequence[str],
    quote: str | None,
    n_files: int,
) -> Source:
    if kind == "jsonl":
        return JsonLinesFile(read, original, null, max(1000, SAMPLE // n_files), tuple(types))
    return CsvFile(read, original, separator, "\t" if kind == "tsv" else ",", quote, null, columns)


def _parquet(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    types: Mapping[str, str],
    only: Sequence[str] | None,
    tag: tuple[str, Sequence[str]] | None,
) -> Table:
    """Parquet has types of its own and no line to refuse: it is scanned where it lies, and cast where asked."""
    first: list[str] = []
    rows = 0
    for path in files:
        try:
            names = list(pl.read_parquet_schema(path))
            rows += connection.execute(
                f"SELECT sum(num_rows) FROM parquet_file_metadata({quoted(str(path))})"
            ).fetchall()[0][0]
        except (pl.exceptions.PolarsError, duckdb.Error) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{path}: not a Parquet file ({reason}); get it again or give its format") from error
        same_columns(path, names, files[0], first or names)
        first = first or names
    if not rows:
        raise DataError(f"{files[0]}: there is no row in it; get the file again or leave it out")
    wanted = named_columns(files[0], first, only, types)
    scans = tagged([pl.scan_parquet(path).select(wanted) for path in files], tag)
    frame = pl.concat(scans, how="vertical_relaxed")
    casts = {name: types[name] for name in wanted if name in types}
    for name, kind in casts.items():
        cast, fails = _parquet_cast(pl.col(name), frame.collect_schema()[name], kind)
        found = frame.with_row_index("row").filter(fails).select("row", name).head(1).collect()
        if found.height:
            raise DataError(
                f"{files[0]}, row {found[0, 0] + 1}: {name} is {found[0, 1]!r}, not {TYPES[kind]}; change types.{name}"
            )
        frame = frame.with_columns(cast.alias(name))
    return Table(frame, Account(rows))


def _parquet_cast(column: pl.Expr, dtype: pl.DataType, kind: str) -> tuple[pl.Expr, pl.Expr]:
    """A cast, and where it would lose something."""
    if kind == "list":
        return column.cast(pl.List(pl.String), strict=False), pl.lit(
            not isinstance(dtype, pl.List)
        ) & column.is_not_null()
    target = {"int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean, "text": pl.String}[kind]
    cast = column.cast(target, strict=False)
    fails = cast.is_null() & column.is_not_null()
    if kind == "int" and dtype.is_float():
        fails |= column != column.floor()
    return cast, fails
