"""MovieLens 100K: who rated which film when, 1 to 5."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from taskloom.data import acquire
from taskloom.data.acquire import Origin, Raw, Say, copy_in_archive, copy_in_folder
from taskloom.data.table import Account, Table
from taskloom.errors import DataError

HOME = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
MD5 = "0e33842e24a9c977be4e0107933c0723"
WHEEL = "recbole==1.2.1"
ROWS = 100_000
RATINGS_SHA256 = "76cf001ec8738431b93065eee7d7fdafc823332ea251f054c1540dd8591a5040"
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
RATING = ("user", "item", "rating", "timestamp")
GROUPLENS = ("u.data", "u.user", "u.item")
RECBOLE = ("ml-100k.inter", "ml-100k.user", "ml-100k.item")
_YEAR = re.compile(r"\s*\((\d{4})\)")


@dataclass(frozen=True)
class _Files:
    """The three files of one copy, in GroupLens' layout or in RecBole's."""

    ratings: Path
    users: Path
    items: Path

    @property
    def recbole(self) -> bool:
        return self.ratings.suffix == ".inter"


class MovieLens100K:
    """Reads MovieLens 100K (Harper and Konstan 2015), 100,000 ratings of 1,682 films by 943 users.

    Both layouts are read: GroupLens' own (``u.data``, ``u.user``, ``u.item``) and RecBole's atomic files
    (``ml-100k.inter``, ``.user``, ``.item``), and give the same rows. Two films are spelt otherwise by
    RecBole (267's title, 1412's year): its fields are joined to the title that GroupLens writes, then both
    are parsed alike.

    Args:
        address: of the zip at its home page, or a mirror of it.
        md5: of that zip.
        wheel: requirement of the package whose wheel holds a copy.
        pip: the command that runs pip; None takes this Python's.
    """

    name = "movielens_100k"
    user, item, time = "user", "item", "timestamp"
    columns = (
        *("user", "item", "rating", "timestamp", "gender", "age", "occupation", "zip", "title", "year", "genres"),
        *("hour", "weekday"),
    )
    version = 1

    def __init__(
        self, address: str = HOME, md5: str = MD5, wheel: str = WHEEL, pip: Sequence[str] | None = None
    ) -> None:
        self.settings: dict[str, str] = {}  # where the files come from shapes no row
        self._origin = Origin(self.name, address, _wanted, md5, wheel)
        self._pip = tuple(pip) if pip else acquire.PIP

    def acquire(self, source: str | Path | None, raw_dir: str | Path, say: Say = print) -> Raw:
        """The raw files, fetched where they are not there yet; see ``acquire.acquire``."""
        return acquire.acquire(
            self._origin,
            source,
            Path(raw_dir),
            complete=lambda folder: _find(folder) is not None,
            check=self._checked,
            say=say,
            pip=self._pip,
        )

    def files(self, raw: Raw) -> list[Path]:
        """The three files of the copy."""
        files = _located(raw)
        return [files.ratings, files.users, files.items]

    def digest(self, raw: Raw) -> str:
        """Of the rows, so that both layouts, a zip, a folder and a wheel have one fingerprint."""
        flat = _joined(_located(raw)).with_columns(pl.col("genres").list.join("|"))
        return hashlib.sha256(flat.write_csv().encode()).hexdigest()

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All ratings, in the file's order, joined with their users and films.

        Args:
            raw: what ``acquire`` gave.
            scratch: not needed, the set is small.
            say: takes one line for people.

        Returns:
            columns: user, item, rating, timestamp (seconds), gender, age, occupation, zip, title, year (null
            where unknown), genres (list of all), hour (0-23) and weekday (1 Monday - 7 Sunday), both of UTC.

        Raises:
            DataError: a file is missing or has a line out of format, or a download's content is wrong.
        """
        frame = _joined(_located(raw))
        differs = _difference(frame, raw)
        if differs:
            say(f"warning: {differs}")
        return Table(frame.lazy(), Account(read=len(frame)), [differs] if differs else [])

    def _checked(self, raw: Raw) -> None:
        _difference(_ratings(_located(raw)), raw)


def _joined(files: _Files) -> pl.DataFrame:
    when = pl.from_epoch("timestamp")
    return (
        _ratings(files)
        .join(_users(files), on="user", how="left", maintain_order="left")
        .join(_items(files), on="item", how="left", maintain_order="left")
        .with_columns(when.dt.hour().cast(pl.Int64).alias("hour"), when.dt.weekday().cast(pl.Int64).alias("weekday"))
    )


def _wanted(names: Sequence[str]) -> dict[str, str]:
    """The members of an archive that make up one copy, and the licence."""
    return copy_in_archive(names, GROUPLENS, ["README"]) or copy_in_archive(names, RECBOLE)


def _find(folder: Path) -> _Files | None:
    """A whole copy in a folder or in one of the folders within it."""
    found = copy_in_folder(folder, GROUPLENS) or copy_in_folder(folder, RECBOLE)
    return None if found is None else _Files(*found)


def _located(raw: Raw) -> _Files:
    """The files of a copy, or of the user's own rating file and what lies beside it."""
    if raw.path.is_dir():
        if (files := _find(raw.path)) is None:
            raise DataError(
                f"{raw.path}: it holds neither {', '.join(GROUPLENS)} nor {', '.join(RECBOLE)}; "
                "give a folder that holds all three"
            )
        return files
    layout = RECBOLE if raw.path.suffix == ".inter" else GROUPLENS
    beside = [raw.path.with_name(name) for name in layout[1:]]
    for path in beside:
        if not path.is_file():
            raise DataError(
                f"{path} is not there: users and films are looked for beside {raw.path.name}; put it there, "
                "or give data.source=<the folder or zip that holds all of them>"
            )
    return _Files(raw.path, *beside)


def _table(path: Path, separator: str, names: Sequence[str], encoding: str, header: bool) -> pl.DataFrame:
    """A separated text file as strings, its line numbers in ``line``; each line must have all the fields."""
    try:
        text = path.read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: it is not {encoding} text ({error.reason} at byte {error.start})") from error
    # Not splitlines(): latin-1 has letters that it takes for line ends.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    rows = [(number, *line.split(separator)) for number, line in lines[int(header) :]]
    for number, *values in rows:
        if len(values) != len(names):
            raise DataError(
                f"{path}, line {number}: {len(values)} fields where {len(names)} are expected "
                f"({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}); the file is damaged or of "
                "another format"
            )
    return pl.DataFrame(rows, schema={"line": pl.Int64} | dict.fromkeys(names, pl.String), orient="row")


def _numbers(table: pl.DataFrame, path: Path, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """The same table with these columns as numbers."""
    cast = table.with_columns(
        pl.col(name).str.strip_chars().cast(dtype, strict=False) for name, dtype in columns.items()
    )
    for name in columns:
        wrong = ~cast[name].cast(pl.Float64).is_finite().fill_null(False)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise DataError(
                f"{path}, line {table['line'][row]}: {name} is {table[name][row]!r}, not a number; mend the line"
            )
    return cast


def _unique(table: pl.DataFrame, path: Path, key: str) -> pl.DataFrame:
    """The same table; a key given twice would multiply the ratings that join with it."""
    twice = table[key].is_duplicated() & ~table[key].is_first_distinct()
    if twice.any():
        row = int(twice.arg_max() or 0)
        raise DataError(f"{path}, line {table['line'][row]}: {key} {table[key][row]} is there twice; drop one line")
    return table.drop("line")


def _ratings(files: _Files) -> pl.DataFrame:
    table = _table(files.ratings, "\t", RATING, "utf-8", header=files.recbole)
    if table.is_empty():
        raise DataError(f"{files.ratings}: it holds no ratings; give the whole file")
    types = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}
    return _numbers(table, files.ratings, types).drop("line")


def _users(files: _Files) -> pl.DataFrame:
    if files.recbole:
        table = _table(files.users, "\t", ("user", "age", "gender", "occupation", "zip"), "utf-8", header=True)
    else:
        table = _table(files.users, "|", ("user", "age", "gender", "occupation", "zip"), "latin-1", header=False)
    table = _unique(_numbers(table, files.users, {"user": pl.Int64, "age": pl.Int64}), files.users, "user")
    return table.select("user", "gender", "age", "occupation", "zip")


def _items(files: _Files) -> pl.DataFrame:
    if files.recbole:
        table = _table(files.items, "\t", ("item", "title", "year", "genres"), "utf-8", header=True)
        rows = [
            (f"{title} ({year})" if title != "unkonwn" else "unknown", set(genres.split(" ")))
            for title, year, genres in table.select("title", "year", "genres").iter_rows()
        ]
    else:
        names = ("item", "title", "released", "video_released", "address", *GENRES)
        table = _table(files.items, "|", names, "latin-1", header=False)
        rows = [
            (title.strip(), {genre for genre, flag in zip(GENRES, flags, strict=True) if flag == "1"})
            for title, *flags in table.select("title", *GENRES).iter_rows()
        ]
    parsed = [(_YEAR.sub("", title), _YEAR.findall(title), genres) for title, genres in rows]
    table = _numbers(table.select("line", "item"), files.items, {"item": pl.Int64}).with_columns(
        pl.Series("title", [title for title, _, _ in parsed], dtype=pl.String),
        pl.Series("year", [int(years[-1]) if years else None for _, years, _ in parsed], dtype=pl.Int64),
        pl.Series(
            "genres",
            [sorted(genres & set(GENRES), key=GENRES.index) for _, _, genres in parsed],
            dtype=pl.List(pl.String),
        ),
    )
    return _unique(table, files.items, "item")


def _difference(ratings: pl.DataFrame, raw: Raw) -> str:
    """In what the ratings are not the known data set, whatever layout they came in; empty where they are.

    Raises:
        DataError: they differ, and they were downloaded.
    """
    values = ratings.select(pl.col(*RATING).cast(pl.Float64)).to_numpy(order="c").astype("<f8")
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    if len(ratings) == ROWS and digest == RATINGS_SHA256:
        return ""
    found = f"{len(ratings):,} ratings with checksum {digest[:12]}, expected {ROWS:,} with {RATINGS_SHA256[:12]}"
    if raw.trusted:
        folder = raw.path.with_name(MovieLens100K.name)
        raise DataError(
            f"{raw.came_from}: not MovieLens 100K as published: {found}; delete {folder} where it exists to "
            "fetch it again, or give data.source=<zip, folder or file>"
        )
    return (
        f"{raw.came_from}: not MovieLens 100K as published: {found}; it is used as it is, under a "
        "fingerprint of its own"
    )
