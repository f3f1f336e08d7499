"""Text files on their way to Parquet: types found, values cast, malformed lines counted and located."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from taskloom.data.acquire import Say
from taskloom.data.table import Account, Table
from taskloom.data.text_sources import SAMPLE, CsvFile, JsonLinesFile, full_lines, lines_at, quoted, recode
from taskloom.errors import DataError

TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list", "text": "text"}
SHOWN = 5  # malformed lines that are shown
SWALLOWING = ("UNQUOTED VALUE", "LINE SIZE OVER MAXIMUM")  # one refusal of DuckDB's may stand for many lines
Source = CsvFile | JsonLinesFile


@dataclass(frozen=True)
class Outcome:
    """What became of one file's lines.

    Args:
        path: the Parquet file.
        kept: rows in it that are well.
        refused: malformed lines.
        refusals: the first of them in words.
        marked: whether the Parquet file holds rows that are to be left out.
        fractions: positions of columns of whole numbers in which another number was met.
        hints: what may help.
    """

    path: Path
    kept: int
    refused: int
    refusals: tuple[str, ...]
    marked: bool
    fractions: frozenset[int]
    hints: tuple[str, ...]


def named_columns(path: Path, names: Sequence[str], only: Sequence[str] | None, types: Mapping[str, str]) -> list[str]:
    """The columns that are asked for, each of them there."""
    for name in (*(only or ()), *types):
        if name not in names:
            raise DataError(f"{path}: there is no column {name!r}; it has {', '.join(names)}")
    return list(only if only is not None else names)


def same_columns(path: Path, names: Sequence[str], first_path: Path, first: Sequence[str]) -> None:
    """Whether a file has the first one's columns, in any order."""
    missing = [name for name in first if name not in names]
    extra = [name for name in names if name not in first]
    if missing or extra:
        said = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(extra)} besides"] * bool(extra)
        raise DataError(
            f"{path} {' and '.join(said)}, compared with {first_path.name}; files that are read as one table must have "
            "the same columns; mend the file, or leave it out"
        )


def tagged(frames: Sequence[pl.LazyFrame], tag: tuple[str, Sequence[str]] | None) -> list[pl.LazyFrame]:
    """Each file's rows with the text that is the file's own."""
    if tag is None:
        return list(frames)
    name, texts = tag
    if name in frames[0].collect_schema():
        raise DataError(f"there is a column {name!r} already; rename it in the file")
    return [frame.with_columns(pl.lit(text).alias(name)) for frame, text in zip(frames, texts, strict=True)]


class Reading:
    """Text files with the same columns, read into one Parquet file each.

    Args:
        connection: to DuckDB.
        sources: the files.
        folder: for the Parquet files.
        types: declared ones, by column.
        only: the columns asked for.
        null: texts that mean that there is no value.
        strip: whether blanks around values are left out.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        sources: Sequence[Source],
        folder: Path,
        types: Mapping[str, str],
        only: Sequence[str] | None,
        null: Sequence[str],
        strip: bool,
    ) -> None:
        self.connection, self.sources, self.folder = connection, sources, folder
        self.null, self.strip = null, strip
        # A field may be missing from any JSON line, so from all the first lines of a file.
        union = list(dict.fromkeys(name for source in sources for name in source.names))
        for source in sources:
            if isinstance(source, JsonLinesFile):
                source.names = union
            same_columns(source.original, source.names, sources[0].original, sources[0].names)
        self.wanted = named_columns(sources[0].original, sources[0].names, only, types)
        self.declared = {name: types[name] for name in self.wanted if name in types}
        self.types = {**self._found(), **self.declared}

    def _found(self) -> dict[str, str]:
        """The types of the columns that are not declared, from the first lines of each file."""
        names = [name for name in self.wanted if name not in self.declared]
        kinds: dict[str, set[str]] = {name: set() for name in names}
        rows = max(1000, SAMPLE // len(self.sources))
        for source in self.sources:
            positions = [source.names.index(name) for name in names]
            try:
                found = source.types(self.connection, positions, rows, self._stripped)
            except duckdb.Error as error:
                self._straighten(source, error)
                found = source.types(self.connection, positions, rows, self._stripped)
            for name, kind in zip(names, found, strict=True):
                kinds[name] |= kind
        return {name: _common(found) for name, found in kinds.items()}

    def _straighten(self, source: Source, error: duckdb.Error) -> None:
        """Line ends of two kinds make DuckDB give up without a line to show: such a file is written anew."""
        unreadable = DataError(
            f"{source.original}: cannot be read ({str(error).splitlines()[0].split(': ', 1)[-1]}); get the file again, "
            "or check its format"
        )
        if source.path != source.original:
            raise unreadable from error
        try:
            source.path = recode(source.path, "utf-8", self.folder / f"straight-{source.original.name}.txt")
        except (OSError, EOFError) as failure:
            raise unreadable from failure

    def table(self, tolerate: float, tag: tuple[str, Sequence[str]] | None, say: Say) -> Table:
        """All rows.

        Raises:
            DataError: more lines are malformed than ``tolerate`` allows, or there is no row.
        """
        while True:
            outcomes = [self._copy(number, source) for number, source in enumerate(self.sources)]
            widened = {self.wanted[at] for outcome in outcomes for at in outcome.fractions} - self.declared.keys()
            if not widened:
                break
            self.types.update(dict.fromkeys(widened, "float"))  # the first lines had whole numbers only
        refused, kept = sum(o.refused for o in outcomes), sum(o.kept for o in outcomes)
        shown = tuple(text for outcome in outcomes for text in outcome.refusals)[:SHOWN]
        if refused > tolerate * (refused + kept):
            hints = dict.fromkeys(hint for outcome in outcomes for hint in outcome.hints)
            raise DataError(
                f"{refused:,} of {refused + kept:,} lines ({100 * refused / (refused + kept):.3g}%) "
                f"{'is' if refused == 1 else 'are'} malformed, more than tolerate: {tolerate:g} allows: "
                f"{'; '.join(shown)}; correct the file, or {', or '.join(hints)}, or raise tolerate"
            )
        if not kept:
            raise DataError(f"{self.sources[0].original}: there is no row in it; get the file again or leave it out")
        for text in shown:
            say(f"left out: {text}")
        picked = [pl.col(f"c{at}").alias(name) for at, name in enumerate(self.wanted)]
        scans = [pl.scan_parquet(outcome.path) for outcome in outcomes]
        for at, outcome in enumerate(outcomes):
            scans[at] = (scans[at].filter(pl.col("refused").is_null()) if outcome.marked else scans[at]).select(picked)
        notes = [source.note for source in self.sources if source.note]
        return Table(pl.concat(tagged(scans, tag)), Account(refused + kept, refused, shown), notes)

    def _copy(self, number: int, source: Source) -> Outcome:
        """Writes one file's rows as Parquet; those with a value of the wrong type are marked there."""
        path, rejects = self.folder / f"part-{number:05}.parquet", f"rejects_{number}"
        copy = "COPY ({}) TO " + quoted(str(path)) + " (FORMAT parquet)"
        self._forget(rejects)
        try:
            self.connection.execute(copy.format(self._query(source, rejects)))
        except duckdb.Error as error:
            self._straighten(source, error)
            self._forget(rejects)
            try:
                self.connection.execute(copy.format(self._query(source, rejects)))
            except duckdb.Error as again:
                self._straighten(source, again)
        return self._outcome(source, path, rejects)

    def _forget(self, rejects: str) -> None:
        for table in (rejects, f"{rejects}_scan"):
            self.connection.execute(f"DROP TABLE IF EXISTS {table}")

    def _query(self, source: Source, rejects: str) -> str:
        casts, wrong = [], ["WHEN problem IS NOT NULL THEN problem"] if isinstance(source, JsonLinesFile) else []
        for at, name in enumerate(self.wanted):
            raw, kind = f"r{source.names.index(name)}", self.types[name]
            text = self._stripped(raw)
            casts.append(f"{_cast(text, kind)} AS c{at}")
            if kind != "text":
                wrong.append(f"WHEN c{at} IS NULL AND trim({text}) <> '' THEN '{at}:' || {raw}[:60]")
        marked = f"CASE {' '.join(wrong)} END" if wrong else "NULL::VARCHAR"
        kept = ", ".join(f"c{at}" for at in range(len(self.wanted)))
        return (
            f"SELECT {kept}, {marked} AS refused FROM (SELECT *, {', '.join(casts)} FROM ({source.relation(rejects)}))"
        )

    def _stripped(self, raw: str) -> str:
        if not self.strip:
            return raw
        null = ", ".join(quoted(text.strip()) for text in self.null)
        return f"CASE WHEN trim({raw}) NOT IN ({null}) THEN trim({raw}) END" if null else f"trim({raw})"

    def _outcome(self, source: Source, path: Path, rejects: str) -> Outcome:
        run = self.connection.execute
        broken: list[tuple[int, str, str, str]] = []
        n_broken = 0
        if run("SELECT count(*) FROM duckdb_tables() WHERE table_name = ?", [rejects]).fetchall()[0][0]:
            broken = run(
                "SELECT line_byte_position, min(error_type), min(error_message), min(csv_line) "
                f"FROM {rejects} GROUP BY 1 ORDER BY 1 LIMIT 10000"
            ).fetchall()
            n_broken = run(f"SELECT count(DISTINCT line_byte_position) FROM {rejects}").fetchall()[0][0]
        lines = lines_at(source.path, [offset for offset, *_ in broken])
        said = [(line, _broken(*rest)) for line, (_, *rest) in zip(lines, broken, strict=True)]
        hints = list(dict.fromkeys(_hint(error) for _, error, *_ in broken))
        if isinstance(source, CsvFile) and any(error in SWALLOWING for _, error, *_ in broken):
            n_broken = max(n_broken, self._swallowed(source))

        scan = f"read_parquet({quoted(str(path))}, file_row_number = true)"
        rows, marked, n_wrong = run(
            f"SELECT count(*), count(refused), count(nullif(refused, '')) FROM {scan}"
        ).fetchall()[0]
        first = run(
            f"SELECT file_row_number, refused FROM {scan} WHERE refused <> '' ORDER BY file_row_number LIMIT {SHOWN}"
        ).fetchall()
        for line, (_, problem) in zip(source.lines_of([row for row, _ in first], lines), first, strict=True):
            text, hint = self._wrong(problem)
            said.append((line, text))
            hints.append(hint)
        whole = ", ".join(quoted(str(at)) for at, name in enumerate(self.wanted) if self.types[name] == "int")
        number = "try_cast(refused[strpos(refused, ':') + 1:] AS DOUBLE) IS NOT NULL"
        place = "split_part(refused, ':', 1)"
        fractions = (
            run(f"SELECT DISTINCT {place} FROM {scan} WHERE {place} IN ({whole}) AND {number}")
            if n_wrong and whole
            else None
        )
        return Outcome(
            path,
            rows - marked,
            n_broken + n_wrong,
            tuple(f"{source.original}, line {line}: {text}" for line, text in sorted(said)[:SHOWN]),
            marked > 0,
            frozenset(int(at) for (at,) in (fractions.fetchall() if fractions else ())),
            tuple(hints),
        )

    def _swallowed(self, source: CsvFile) -> int:
        """Lines that are in no good record, where a quote that is never closed has taken whole stretches."""
        inner = " + ".join(
            f"coalesce(len(r{at}) - len(replace(r{at}, chr(10), '')), 0)" for at in range(len(source.names))
        )
        good = self.connection.execute(f"SELECT count(*) + sum({inner}) FROM ({source.relation()})").fetchall()[0][0]
        return full_lines(source.path) - (source.given is None) - int(good or 0)

    def _wrong(self, problem: str) -> tuple[str, str]:
        """A marked row in words, and what may help."""
        at, _, value = problem.partition(":")
        if not at.isdigit():
            return problem, "check format"
        name = self.wanted[int(at)]
        if name in self.declared:
            return (
                f"{name} is {value!r}, not {TYPES[self.types[name]]}",
                f"change types.{name} or name it as a missing value",
            )
        found = f"{name} is {value!r}, not {TYPES[self.types[name]]} as in the first lines"
        return found, f"give types: {{{name}: text}} or name it as a missing value"


def _broken(error: str, message: str, content: str) -> str:
    """A line that is no record, in words."""
    start = repr(content.strip("\r\n").split("\n")[0][:60])
    counts = re.search(r"Number of Columns: (\d+) Found: (\d+)", message)
    if counts:
        return f"{counts[2]} field{'s' * (counts[2] != '1')} instead of {counts[1]}: {start}"
    if error == "INVALID ENCODING":
        return f"not UTF-8: {start}"
    if error == "LINE SIZE OVER MAXIMUM":
        return f"longer than 2 MB: {start}"
    return f"a quote that is opened and not closed as it should be: {start}"


def _hint(error: str) -> str:
    if error == "INVALID ENCODING":
        return "give its encoding, such as encoding: latin-1"
    return "set quote: null" if error == "UNQUOTED VALUE" else "check separator and columns"


def _common(kinds: set[str]) -> str:
    """One type for a column whose values look like these.

    Example:
        >>> _common({"int", "float"}), _common({"int", "text"}), _common(set())
        ('float', 'text', 'text')
    """
    if kinds == {"int", "float"}:
        return "float"
    return next(iter(kinds)) if len(kinds) == 1 else "text"


def _cast(text: str, kind: str) -> str:
    """SQL for a text as a type; null where it is none."""
    if kind == "int":  # a cast alone would round 2.5 to 3
        return f"CASE WHEN try_cast({text} AS BIGINT) = try_cast({text} AS DOUBLE) THEN try_cast({text} AS BIGINT) END"
    if kind == "list":
        array = f"json_valid({text}) AND starts_with(ltrim({text}), '[')"
        return f"CASE WHEN {array} THEN json_transform({text}, '[\"VARCHAR\"]') ELSE try_cast({text} AS VARCHAR[]) END"
    return {"float": f"try_cast({text} AS DOUBLE)", "bool": f"try_cast({text} AS BOOLEAN)", "text": text}[kind]
