"""Tabular: tables of one's own, described by a YAML alone."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.facts import beside
from taskloom.data.readers.tabular_files import Files, TableFiles
from taskloom.data.readers.tabular_rows import below, repeats, seconds, without
from taskloom.data.spec import checked
from taskloom.data.table import Table
from taskloom.errors import ConfigError, DataError
from taskloom.ranges import Share

DUPLICATES = ("keep", "drop", "refuse")
OPTIONS = tuple(field.name for field in fields(TableFiles) if field.name != "where")


class Tabular:
    """Reads CSV, TSV, JSON lines or Parquet of the user's own, plain or gz, in one file or many.

    Further tables are joined on keys (facts about a user, say) or stacked below (rows of another kind, with tasks of
    their own), in the order in which ``tables`` names them. Where something is stacked, a column ``table`` tells whose
    row it is; where there are ``parts``, a column ``part`` does. Relative paths count from ``data.source``, or from the
    working directory where it is null.

    Args:
        name: of the data, and of its rows in the column ``table``.
        files: a path, a glob, a folder, or a list of them; None takes ``data.source`` itself.
        parts: {train: files, test: files, ...} instead of ``files``.
        format: csv, tsv, jsonl or parquet; None goes by the endings.
        separator: of one to four characters; None takes the format's, or the one that the first line has.
        encoding: of text files.
        missing: texts that mean that there is no value.
        quote: the character around values that hold a separator; None where quotes are ordinary.
        strip: blanks around values are left out.
        header: names of the columns, where the files have no header.
        types: column to int, float, text, bool or list; others are found.
        only: just these columns.
        tolerate: share of malformed lines up to which they are counted, said and left out.
        user, item, time: columns that say whose event a row is, with what, and when; None where there is none. A time
            that comes as dates or ISO texts becomes seconds since 1970.
        duplicates: rows that repeat an earlier one in full: ``keep``, ``drop`` or ``refuse``.
        tables: {name: {files, ..., join: [keys]}} or {name: {files, ..., stack: true}}, with the options above
            from ``files`` to ``tolerate``.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "visits.csv").write_text("user,when,bought\\n1,2024-01-01,0\\n2,2024-01-02,1\\n")
        >>> _ = (folder / "users.csv").write_text("user,age\\n1,30\\n")
        >>> reader = Tabular(files="visits.csv", time="when", tables={"users": {"files": "users.csv",
        ...                                                                     "join": ["user"]}})
        >>> raw = reader.acquire(folder, folder / "raw", say=lambda line: None)
        >>> table = reader.read(raw, folder)
        >>> table.frame.collect().rows()
        [(1, 1704067200.0, 0, 30), (2, 1704153600.0, 1, None)]
        >>> table.notes
        ['users (users.csv): nothing on the user of 1 of 2 rows, whose facts are empty']
    """

    columns = None  # only the files say
    version = 1

    def __init__(
        self,
        name: str = "tabular",
        files: Files = None,
        parts: Mapping[str, Files] | None = None,
        format: Literal["csv", "tsv", "jsonl", "parquet"] | None = None,
        separator: str | None = None,
        encoding: str = "utf-8",
        missing: Sequence[str] = ("",),
        quote: str | None = '"',
        strip: bool = False,
        header: Sequence[str] | None = None,
        types: Mapping[str, str] | None = None,
        only: Sequence[str] | None = None,
        tolerate: Share = 0.0,
        user: str | None = None,
        item: str | None = None,
        time: str | None = None,
        duplicates: Literal["keep", "drop", "refuse"] = "keep",
        tables: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if duplicates not in DUPLICATES:
            raise ConfigError(f"data.reader.duplicates must be one of {', '.join(DUPLICATES)}, got {duplicates!r}")
        self.name, self.user, self.item, self.time = name, user, item, time
        self.duplicates = duplicates
        self.main = TableFiles(
            "data.reader",
            files,
            parts,
            format,
            separator,
            encoding,
            tuple(missing),
            quote,
            strip,
            header,
            types or {},
            only,
            tolerate,
        )
        self.tables = {str(other): _Other(str(other), section) for other, section in (tables or {}).items()}
        if name in self.tables:
            raise ConfigError(f"data.reader.tables.{name}: the rows themselves have that name; rename one")

    def acquire(self, source: str | Path | None, raw_dir: str | Path, say: Say = print) -> Raw:
        """The place that the files are looked for in.

        Raises:
            DataError: it is not there, or nothing says which files to read.
        """
        if source is None and self.main.files is None and not self.main.parts:
            raise DataError(
                f"{self.name}: nothing says what to read; give data.source=<file or folder>, or reader.files"
            )
        path = Path(source).expanduser() if source is not None else Path.cwd()
        if not path.exists():
            raise DataError(f"data.source: {path} is not there; give an existing file or folder")
        if path.suffix.lower() == ".zip":
            raise DataError(f"data.source: {path} is a zip; unpack it and give the file or folder")
        raw = Raw(path, f"data.source={path}" if source is not None else f"files named from {path}", trusted=False)
        self.files(raw)
        return raw

    def files(self, raw: Raw) -> list[Path]:
        """All files that ``read`` will look at."""
        located = self._located(raw)
        return list(dict.fromkeys(path for pairs in located.values() for _, path in pairs))

    def _located(self, raw: Raw) -> dict[str, list[tuple[str, Path]]]:
        others = {name: other.files.located(raw.path) for name, other in self.tables.items()}
        taken = [path for pairs in others.values() for _, path in pairs]
        return {self.name: self.main.located(raw.path, taken), **others}

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All rows, in the order of the files and of their lines, stacked tables last.

        Args:
            raw: what ``acquire`` gave.
            scratch: an existing empty folder.
            say: takes one line for people.

        Raises:
            DataError: see ``read_table``; further a key that is twice in a joined table, columns that do not fit
                together, a time that is no date, or a row that repeats another where none may.
        """
        located = self._located(raw)
        table = self._judged(self.main.read(located[self.name], scratch, say))
        stacks = any(other.keys is None for other in self.tables.values())
        table = _free_of_table(table, "data.reader")
        if self.time is not None:
            table = seconds(table, self.time)
        if stacks:
            table = _named(table, self.name)
        for name, other in self.tables.items():
            further = other.files.read(located[name], scratch, say)
            paths = [path.name for _, path in located[name]]
            what = f"{name} ({', '.join(paths[:3])}{', ...' * (len(paths) > 3)})"
            if other.keys is not None:
                table = beside(table, further, other.keys, what)
                continue
            further = _free_of_table(further, f"data.reader.tables.{name}")
            if self.time is not None and self.time in further.frame.collect_schema():
                further = seconds(further, self.time)
            table = below(table, _named(further, name), what)
        columns = table.frame.collect_schema().names()
        for key, column in (("user", self.user), ("item", self.item)):
            if column is not None and column not in columns:
                raise DataError(
                    f"data.reader.{key}: there is no column {column!r}; the columns are {', '.join(columns)}"
                )
        return table

    def _judged(self, table: Table) -> Table:
        """Rows that repeat an earlier one in full: counted, left out or refused."""
        rows = repeats(table.frame)
        if not len(rows):
            return table
        said = f"{len(rows):,} row{' repeats' if len(rows) == 1 else 's repeat'} an earlier one word for word"
        if self.duplicates == "refuse":
            raise DataError(
                f"{self.name}: {said}, the first in row {rows[0] + 1}; leave them out of the file, or set "
                "data.reader.duplicates to drop or keep"
            )
        if self.duplicates == "drop":
            return without(table, rows, "repeats an earlier row word for word")
        notes = [*table.notes, f"{said}; data.reader.duplicates=drop leaves such rows out"]
        return Table(table.frame, table.account, notes)


class _Other:
    """A further table: its files, and the keys it is joined on (None where it is stacked)."""

    def __init__(self, name: str, section: Mapping[str, Any]) -> None:
        where = f"data.reader.tables.{name}"
        given = checked(where, section, (*OPTIONS, "join", "stack"))
        join, stack = given.pop("join", None), given.pop("stack", False)
        if (join is None) == (not stack):
            raise ConfigError(f"{where}: say how it belongs to the rows: either join: [keys] or stack: true")
        if given.get("files") is None and not given.get("parts"):
            raise ConfigError(f"{where}: files is missing; set {where}.files")
        self.keys: list[str] | None = None
        if join is not None:
            self.keys = [join] if isinstance(join, str) else [str(key) for key in join]
            if not self.keys:
                raise ConfigError(f"{where}.join: the list is empty; name the columns that both tables have")
        self.files = TableFiles(
            where, **{key: value for key, value in given.items() if value is not None or key == "quote"}
        )


def _free_of_table(table: Table, where: str) -> Table:
    """A table without a column of its own called ``table``, which tells stacked tables apart."""
    if "table" not in table.frame.collect_schema():
        return table
    raise DataError(
        f"{where}: a column is called 'table', which is what tells stacked tables apart; rename it in the file, or "
        "leave it out by naming the others in only: [...]"
    )


def _named(table: Table, name: str) -> Table:
    return Table(table.frame.with_columns(pl.lit(name).alias("table")), table.account, table.notes)
