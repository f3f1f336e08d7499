"""MovieLens 1M, latest-small, 20M, 25M and 32M: who rated which film when."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from taskloom.data import acquire
from taskloom.data.acquire import Origin, Raw, Say, copy_in_archive, copy_in_folder
from taskloom.data.table import Table
from taskloom.data.text_table import read_table
from taskloom.errors import ConfigError, DataError

LayoutName = Literal["1m", "latest_small", "20m", "25m", "32m"]
HOME = "https://files.grouplens.org/datasets/movielens/"
DAT = ("ratings.dat", "movies.dat", "users.dat")
CSV = ("ratings.csv", "movies.csv")
#: at the end of a title: (1995), or (2007-2010) and (2007-) for what went on; the films write an en dash there
YEAR = r"\((\d{4})(?:[-\u2013]\d{0,4})?\)\s*$"
NO_GENRES = "(no genres listed)"
#: of each file the columns in order: {our name: (name in the CSV header, type)}
FIELDS = {
    "ratings": {
        "user": ("userId", "int"),
        "item": ("movieId", "int"),
        "rating": ("rating", "float"),
        "timestamp": ("timestamp", "int"),
    },
    "movies": {"item": ("movieId", "int"), "title": ("title", "text"), "genres": ("genres", "text")},
    "users": {
        "user": ("", "int"),
        "gender": ("", "text"),
        "age": ("", "int"),
        "occupation": ("", "int"),
        "zip": ("", "text"),
    },
}


@dataclass(frozen=True)
class Layout:
    """One of the sets as it is published.

    Args:
        file: the zip at the home page.
        md5: of that zip, as GroupLens gives it beside the zip; None for the one that it renews from time to time.
        rows: ratings in it; None for the one that is renewed.
        files: ratings, films and, in 1M alone, users.
    """

    file: str
    md5: str | None
    rows: int | None
    files: tuple[str, ...] = CSV


LAYOUTS: dict[LayoutName, Layout] = {
    "1m": Layout("ml-1m.zip", "c4d9eecfca2ab87c1945afe126590906", 1_000_209, DAT),
    "latest_small": Layout("ml-latest-small.zip", None, None),
    "20m": Layout("ml-20m.zip", "cd245b17a1ae2cc31bb14903e1204af3", 20_000_263),
    "25m": Layout("ml-25m.zip", "6b51fb2759a8657d3bfcbfc42b592ada", 25_000_095),
    "32m": Layout("ml-32m.zip", "d472be332d4daa821edc399621853b57", 32_000_204),
}


class MovieLens:
    """Reads MovieLens (Harper and Konstan 2015), out of core: 1M in its own layout, the others as CSV.

    1M has ``ratings.dat``, ``movies.dat`` and ``users.dat``, with ``::`` between fields, in latin-1; its ages are the
    first year of seven ranges and its occupations codes, both listed in its README. The others have ``ratings.csv``
    and ``movies.csv``, in UTF-8, half stars, and no word of their users. latest-small has no checksum: GroupLens
    renews the file and says that it is not for results.

    Args:
        layout: which set: ``1m``, ``latest_small``, ``20m``, ``25m`` or ``32m``.
        address: of the zip; None takes the home page's.
        md5: of that zip; None takes the known one.

    Example:
        >>> MovieLens("25m").columns
        ('user', 'item', 'rating', 'timestamp', 'title', 'year', 'genres')
    """

    user, item, time = "user", "item", "timestamp"
    version = 1

    def __init__(self, layout: LayoutName, address: str | None = None, md5: str | None = None) -> None:
        if layout not in LAYOUTS:
            raise ConfigError(f"data.reader.layout must be one of {', '.join(get_args(LayoutName))}, got {layout!r}")
        self.name = f"movielens_{layout}"
        self.layout = LAYOUTS[layout]
        self.settings = {"layout": layout}  # where the files come from shapes no row
        users = [name for name in FIELDS["users"] if name != "user"] if self.layout.files == DAT else []
        self.columns = (*FIELDS["ratings"], *users, "title", "year", "genres")
        known = self.layout.md5 if address is None else None  # a mirror may hold another zip of the same files
        self._origin = Origin(
            self.name,
            address or HOME + self.layout.file,
            lambda names: copy_in_archive(names, self.layout.files, ["README", "README.txt"]),
            md5 or known,
        )

    def acquire(self, source: str | Path | None, raw_dir: str | Path, say: Say = print) -> Raw:
        """The raw files, fetched where they are not there yet; see ``acquire.acquire``."""
        return acquire.acquire(
            self._origin,
            source,
            Path(raw_dir),
            complete=lambda folder: copy_in_folder(folder, self.layout.files) is not None,
            check=self._check,
            say=say,
        )

    def files(self, raw: Raw) -> list[Path]:
        """The ratings, the films and, where there are any, the users.

        Raises:
            DataError: one of them is not there.
        """
        folder = raw.path if raw.path.is_dir() else raw.path.parent
        if (found := copy_in_folder(folder, self.layout.files)) is None:
            raise DataError(
                f"{raw.path}: it holds no {', '.join(self.layout.files)} beside each other; give "
                "data.source=<a folder or zip that holds all of them>"
            )
        return found

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All ratings, in the file's order, joined with their films and users.

        Args:
            raw: what ``acquire`` gave.
            scratch: an empty folder for files on the way.
            say: takes one line for people.

        Returns:
            columns: user, item, rating (stars), timestamp (seconds), in 1M gender, age, occupation, zip, and title,
            year (of release; null where the title has none), genres (list of all, empty where none is listed).

        Raises:
            DataError: a file is missing or has a line out of format, a film or user is there twice, or a download's
                content is wrong.
        """
        files = self.files(raw)
        ratings = self._table(files[0], scratch, say)
        notes = list(ratings.notes)
        if differs := self._difference(ratings.account.read, raw):
            say(f"warning: {differs}")
            notes.append(differs)
        facts = {file: _unique(self._table(file, scratch, say).frame.collect(), file) for file in files[1:]}
        frame, known = ratings.frame, []
        for file, table in facts.items():
            key = table.columns[0]
            if key == "item":
                table = parsed(table)
            frame = frame.join(table.lazy(), on=key, how="left", maintain_order="left")
            known.append(pl.col(key).is_in(table[key].implode()).not_().sum().alias(file.name))
        for name, strangers in ratings.frame.select(known).collect(engine="streaming").row(0, named=True).items():
            if strangers:
                notes.append(
                    f"{strangers:,} ratings have an id that {name} does not list; what it says is missing there"
                )
        return Table(frame.select(self.columns), ratings.account, notes)

    def _table(self, file: Path, scratch: Path, say: Say) -> Table:
        """One file's rows under our names; ids and stars as numbers."""
        fields = FIELDS[file.stem]
        if file.suffix == ".dat":
            encoding = "utf-8" if file.stem == "ratings" else "latin-1"  # ratings are digits: no need to recode them
            types = {name: kind for name, (_, kind) in fields.items()}
            return read_table(
                [file],
                scratch,
                format="csv",
                columns=list(fields),
                types=types,
                separator="::",
                encoding=encoding,
                quote=None,
                say=say,
            )
        headers = dict(fields.values())
        table = read_table([file], scratch, types=headers, only=list(headers), say=say)
        renamed = [pl.col(old).alias(name) for name, (old, _) in fields.items()]
        return Table(table.frame.select(renamed), table.account, table.notes)

    def _check(self, raw: Raw) -> None:
        self._difference(_lines(self.files(raw)[0]), raw)

    def _difference(self, rows: int, raw: Raw) -> str:
        """In what the ratings are not as many as published; empty where they are.

        Raises:
            DataError: they differ, and they were downloaded.
        """
        if self.layout.rows in (None, rows):
            return ""
        found = f"{raw.came_from}: not {self.layout.file} as published: {rows:,} ratings, expected {self.layout.rows:,}"
        if raw.trusted:
            raise DataError(
                f"{found}; delete {raw.path.with_name(self.name)} where it exists to fetch it again, or give "
                "data.source=<zip or folder>"
            )
        return f"{found}; it is used as it is, under a fingerprint of its own"


def parsed(films: pl.DataFrame) -> pl.DataFrame:
    """Films with the year taken out of the title, and the genres as a list.

    Example:
        >>> films = pl.DataFrame({"item": [1], "title": ["Heat (1995)"], "genres": ["Action|Crime"]})
        >>> parsed(films).row(0)
        (1, 'Heat', 1995, ['Action', 'Crime'])
    """
    title = pl.col("title")
    genres = pl.when(pl.col("genres") == NO_GENRES).then(None).otherwise(pl.col("genres"))
    return films.select(
        "item",
        title.str.replace(YEAR, "").str.strip_chars().alias("title"),
        title.str.extract(YEAR).cast(pl.Int64).alias("year"),
        genres.str.split("|").fill_null([]).alias("genres"),
    )


def _unique(facts: pl.DataFrame, file: Path) -> pl.DataFrame:
    """The same table; an id given twice would multiply the ratings that join with it."""
    key = facts.columns[0]
    twice = facts[key].is_duplicated() & ~facts[key].is_first_distinct()
    if twice.any():
        row = int(twice.arg_max() or 0)
        line = row + (2 if file.suffix == ".csv" else 1)
        raise DataError(f"{file}, line {line}: {key} {facts[key][row]} is there twice; drop one line")
    return facts


def _lines(file: Path) -> int:
    """Ratings in a file, by its line ends."""
    with file.open("rb") as opened:
        ends = sum(block.count(b"\n") for block in iter(lambda: opened.read(1 << 20), b""))
    return ends - (file.suffix == ".csv")
