"""CSV and JSON lines as relations of text columns, one line a record, and where in a file a record stands."""

import codecs
import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import duckdb

from taskloom.errors import ConfigError, DataError

SEPARATORS = (",", "\t", ";", "|")
SAMPLE = 20_000  # records from which types are found, over all files
NO_SEPARATOR = "\x01"  # cannot stand in JSON, so that a line stays whole


def quoted(text: str) -> str:
    """A text as an SQL literal.

    Example:
        >>> quoted("it's")
        "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _refusals(table: str) -> str:
    """Malformed lines go into a table: told to ignore them, DuckDB also ignores what follows an open quote."""
    return f"store_rejects = true, rejects_table = {quoted(table)}, rejects_scan = {quoted(table + '_scan')}"


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def is_utf8(encoding: str) -> bool:
    """Whether an encoding's name means UTF-8.

    Raises:
        ConfigError: nobody knows such an encoding.
    """
    try:
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")
    except LookupError as error:
        raise ConfigError(f"encoding {encoding!r} is not known; give one such as utf-8, latin-1 or cp1252") from error


def recode(path: Path, encoding: str, target: Path) -> Path:
    """Writes a file anew as UTF-8 with one kind of line end.

    Raises:
        DataError: its bytes are not of this encoding.
    """
    line = 0
    with opened(path) as source, target.open("w", encoding="utf-8", newline="\n") as out:
        text = io.TextIOWrapper(source, "utf-8-sig" if is_utf8(encoding) else encoding)  # any kind of line end
        try:
            for content in text:
                out.write(content)
                line += 1
        except UnicodeError as error:
            raise DataError(f"{path}, near line {line + 1}: not {encoding} ({error}); give another encoding") from error
    return target


def _first_line(path: Path, original: Path) -> str:
    with opened(path) as file:
        start = file.read(4)
        if not start:
            raise DataError(f"{original} is empty; get the file again or leave it out")
    with opened(path) as file:
        line = file.readline().removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise wrong_encoding(original, 1, line) from error


def wrong_encoding(path: Path, line: int, start: bytes = b"") -> DataError:
    """What to say of bytes that are not UTF-8."""
    likely = "utf-16" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "latin-1"
    return DataError(f"{path}, line {line}: not UTF-8; give the file's encoding, such as encoding: {likely}")


@dataclass
class CsvFile:
    """One file of separated values.

    Args:
        path: what is read, in UTF-8.
        original: what the user knows, for messages.
        separator: one or several characters; None looks at the first line.
        default: the separator that the format's name says.
        quote: character, or None where quotes are ordinary characters.
        null: texts that mean that there is no value.
        given: names of the columns where the file has no header.
    """

    path: Path
    original: Path
    separator: str | None
    default: str
    quote: str | None
    null: Sequence[str]
    given: Sequence[str] | None
    note: str | None = None

    def __post_init__(self) -> None:
        first = _first_line(self.path, self.original)
        if self.separator is None:
            others = [sign for sign in SEPARATORS if sign in first]
            self.separator = self.default
            if self.default not in first and len(others) == 1:
                self.separator = others[0]
                self.note = f"{self.original.name}: separated by {others[0]!r}, as its first line is"
        self.names = list(self.given) if self.given is not None else self._header(first)

    def _header(self, line: str) -> list[str]:
        if not line.strip():
            raise DataError(
                f"{self.original}, line 1: it is blank where the names of the columns should be; mend the file, or get "
                "it again"
            )
        names = [name.strip() for name in next(self._records([line]))[1]]
        names = [name or f"column_{position}" for position, name in enumerate(names, 1)]
        for position, name in enumerate(names, 1):
            if names.index(name) + 1 != position:
                raise DataError(
                    f"{self.original}, line 1: the header names the column {name!r} twice (fields "
                    f"{names.index(name) + 1} and {position}); rename one, or name all columns where it is no header"
                )
        return names

    def _records(self, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """Records with the line that each begins in; slow, for messages and headers only."""
        assert self.separator
        csv.field_size_limit(sys.maxsize)
        sign = self.separator if len(self.separator) == 1 else "\x1f"
        reader = csv.reader(
            (line.replace(self.separator, sign) for line in lines),
            delimiter=sign,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )
        begin = 1
        for fields in reader:
            yield begin, fields
            begin = reader.line_num + 1

    def relation(self, refused: str = "unseen") -> str:
        """A query whose columns are the file's, as text, named r0, r1, ...

        Args:
            refused: name of the table that takes malformed lines.
        """
        columns = ", ".join(f"'r{position}': 'VARCHAR'" for position in range(len(self.names)))
        null = ", ".join(quoted(text) for text in self.null) or quoted("\x01")
        separator = quoted(self.separator or "")
        return (
            f"SELECT * FROM read_csv({quoted(str(self.path))}, auto_detect = false, sep = {separator}, header ="
            f" {str(self.given is None).lower()}, quote = {quoted(self.quote or '')},"
            f" escape = {quoted(self.quote or '')}, nullstr = [{null}], columns = {{{columns}}},"
            f" {_refusals(refused)})"
        )

    def types(
        self, connection: duckdb.DuckDBPyConnection, positions: Sequence[int], rows: int, text: Callable[[str], str]
    ) -> list[set[str]]:
        """What each column's values look like in the first rows; nothing where there is no value.

        Args:
            connection: to DuckDB.
            positions: of the columns asked for.
            rows: so many at most.
            text: SQL for what a raw column's name means, blanks stripped or not.
        """
        if not positions:
            return []
        parts = []
        for at in positions:
            x = f"trim(coalesce({text(f'r{at}')}, ''))"
            parts.append(
                f"count(nullif({x}, '')), bool_and(lower({x}) IN ('true', 'false', '')),"
                f"bool_and(regexp_full_match({x}, '[+-]?[0-9]+|')),"
                f"bool_and({x} = '' OR try_cast({x} AS BIGINT) IS NOT NULL),"
                f"bool_and({x} = '' OR (try_cast({x} AS DOUBLE) IS NOT NULL AND NOT contains({x}, '_'))),"
                f"coalesce(bool_or(regexp_matches({x}, '^[+-]?0[0-9]')), false)"
            )
        found = connection.execute(f"SELECT {', '.join(parts)} FROM ({self.relation()} LIMIT {rows})").fetchone()
        assert found is not None
        kinds: list[set[str]] = []
        for column in range(len(positions)):
            n, boolean, digits, whole, number, zeros = found[6 * column : 6 * column + 6]
            if not n:
                kinds.append(set())
            elif boolean:
                kinds.append({"bool"})
            elif zeros or (digits and not whole) or not number:  # 007 and 20 digits are names, not numbers
                kinds.append({"text"})
            else:
                kinds.append({"int" if digits else "float"})
        return kinds

    def lines_of(self, ordinals: Sequence[int], refused: Sequence[int]) -> list[int]:
        """The lines in which good records begin.

        Args:
            ordinals: numbers of good records, from 0, rising.
            refused: lines whose records are malformed.
        """
        lines: list[int] = []
        good, wanted = -1, list(ordinals)
        with opened(self.path) as file:
            text = io.TextIOWrapper(file, "utf-8-sig", errors="replace")
            for line, fields in self._records(text):
                if not fields or (line == 1 and self.given is None) or line in refused:
                    continue
                good += 1
                if len(lines) == len(wanted):
                    break
                if good == wanted[len(lines)]:
                    lines.append(line)
        return lines + [0] * (len(wanted) - len(lines))


@dataclass
class JsonLinesFile:
    """One file with a JSON object a line; its fields are what the first lines have.

    Args:
        path: what is read, in UTF-8.
        original: what the user knows, for messages.
        null: texts that mean that there is no value.
        rows: lines that are looked at.
        optional: fields that are there although no line of those has them.
    """

    path: Path
    original: Path
    null: Sequence[str]
    rows: int
    optional: Sequence[str] = ()
    note: str | None = None

    def __post_init__(self) -> None:
        if _first_line(self.path, self.original).lstrip().startswith("["):
            raise DataError(f"{self.original}: one JSON array; write it as JSON lines, one object a line")
        self._kinds: dict[str, set[str]] = {}
        with opened(self.path) as file:
            for number, line in enumerate(file, 1):
                if number > self.rows:
                    break
                try:
                    record = json.loads(line.removeprefix(codecs.BOM_UTF8))
                except UnicodeDecodeError as error:
                    raise wrong_encoding(self.original, number) from error
                except ValueError:
                    continue  # counted when all lines are read
                for name, value in record.items() if isinstance(record, dict) else ():
                    kinds = self._kinds.setdefault(name, set())
                    if value is not None and value != "":
                        kinds.add(_kind(value))
        if not self._kinds and not self.optional:
            raise DataError(f"{self.original}: no line is a JSON object; give JSON lines, or the right format")
        for name in self.optional:
            self._kinds.setdefault(name, set())
        self.names = list(self._kinds)

    def relation(self, refused: str = "unseen") -> str:
        """A query whose columns are the fields as text, named r0, r1, ..., and ``problem``, of the line itself."""
        structure = quoted(json.dumps(dict.fromkeys(self.names, "VARCHAR"), ensure_ascii=False))
        null = ", ".join(quoted(text) for text in self.null)
        picked = []
        for position, name in enumerate(self.names):
            field = f'record."{name.replace(chr(34), chr(34) * 2)}"'
            picked.append(f"{f'CASE WHEN {field} NOT IN ({null}) THEN {field} END' if null else field} AS r{position}")
        return (
            f"SELECT {', '.join(picked)}, problem FROM (SELECT problem, CASE WHEN problem IS NULL THEN"
            f" json_transform(line, {structure}) END AS record FROM (SELECT line, CASE WHEN line IS NULL OR"
            f" trim(line) = '' THEN '' WHEN NOT json_valid(line) THEN 'not JSON: ' || line[:60] WHEN NOT"
            f" starts_with(ltrim(line), '{{') THEN 'not a JSON object: ' || line[:60] END AS problem"
            f" FROM read_csv({quoted(str(self.path))}, auto_detect = false, sep = {quoted(NO_SEPARATOR)},"
            f" header = false, quote = '', escape = '', strict_mode = false, columns = {{'line': 'VARCHAR'}},"
            f" {_refusals(refused)})))"
        )

    def types(
        self, connection: duckdb.DuckDBPyConnection, positions: Sequence[int], rows: int, text: Callable[[str], str]
    ) -> list[set[str]]:
        """What each field's values are in the first lines."""
        return [self._kinds.get(self.names[at], set()) for at in positions]

    def lines_of(self, ordinals: Sequence[int], refused: Sequence[int]) -> list[int]:
        """The lines in which good records stand: each line is a record."""
        lines: list[int] = []
        gone = sorted(refused)
        for ordinal in ordinals:
            line = ordinal + 1
            for other in gone:
                line += other <= line
            lines.append(line)
        return lines


def _kind(value: object) -> str:
    """The type of a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "text"
    if isinstance(value, float):
        return "float"
    if isinstance(value, list) and all(not isinstance(part, list | dict) for part in value):
        return "list"
    return "text"


def lines_at(path: Path, offsets: Sequence[int]) -> list[int]:
    """The line numbers at these byte offsets (from 1) of a file, unpacked."""
    order = sorted(range(len(offsets)), key=lambda at: offsets[at])
    lines = [0] * len(offsets)
    position, line = 0, 1
    with opened(path) as file:
        for at in order:
            while position < offsets[at]:
                block = file.read(min(1 << 20, offsets[at] - position))
                if not block:
                    break
                position += len(block)
                line += block.count(b"\n")
            lines[at] = line
    return lines


def full_lines(path: Path) -> int:
    """Lines of a file that are not blank."""
    with opened(path) as file:
        return sum(1 for line in file if line.strip())
