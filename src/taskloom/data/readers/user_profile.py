"""A portrait of each user from their first ratings: what they will like, how active they will be, who they are."""

from pathlib import Path
from typing import Literal

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.movielens import MovieLens
from taskloom.data.readers.movielens_100k import MovieLens100K
from taskloom.data.table import Table
from taskloom.errors import ConfigError, DataError
from taskloom.ranges import PositiveInt

DAY = 86_400  # seconds
LIKED = pl.col("rating") >= 4
#: column suffix: genre, of the 18 that both sets have
GENRES = {
    "action": "Action",
    "adventure": "Adventure",
    "animation": "Animation",
    "children": "Children's",
    "comedy": "Comedy",
    "crime": "Crime",
    "documentary": "Documentary",
    "drama": "Drama",
    "fantasy": "Fantasy",
    "film_noir": "Film-Noir",
    "horror": "Horror",
    "musical": "Musical",
    "mystery": "Mystery",
    "romance": "Romance",
    "sci_fi": "Sci-Fi",
    "thriller": "Thriller",
    "war": "War",
    "western": "Western",
}
#: 1M gives the first year of a range: its middle, and a year within the two ranges that are open
AGES = {1: 16, 18: 21, 25: 30, 35: 40, 45: 47, 50: 53, 56: 60}
FACTS = ("gender", "age", "occupation", "zip")


class UserProfile:
    r"""One row a user of MovieLens: features from their first ratings, targets from strictly later ones.

    A user's portrait is drawn at the second :math:`c` of their ``first``-th rating in time. Ratings at or before
    :math:`c` make the features, ratings after :math:`c` the targets. **Ties**: ratings of one second have no order, so
    all those at :math:`c` itself are early, and a user may have a few more than ``first`` early ones; likewise all at
    the second of the last of the ``later`` ones count as such. A share of each user's ratings in place of a number is
    not offered: who knows that something is the first half knows how much is to follow.

    * ``interest_<genre>``: whether at least ``likes`` of the next ``later`` ratings are 4 stars or more to films of the
      genre; null for users who have fewer than ``later`` ratings after :math:`c`. A fixed number of ratings, so that
      the eager do not seem to be interested in all.
    * ``activity``: ratings in the ``days`` after :math:`c`; null where the data ends before (censored).
    * ``gender``, ``age`` (years; in 1M the middle of a range, 16 for under 18 and 60 for 56 and over).

    Every user in MovieLens has 20 ratings or more: with ``first`` below 20 the set itself tells that more will follow.

    Args:
        ratings: ``1m`` (6,040 users) or ``100k`` (943 users, exact ages).
        first: ratings in time that the features come from.
        later: ratings after those that interests are judged by.
        likes: of these, how many liked films of a genre are an interest.
        days: length of the time in which activity is counted.

    Example:
        >>> UserProfile("100k").name
        'user_profile'
    """

    name = "user_profile"
    user, item, time = None, None, "cut"  # nobody has two rows, so that nothing can be grouped by user
    version = 1
    columns = (
        *("user", "cut", "events", "hours", "mean_rating", "sd_rating", "mean_year", "films", "liked_films"),
        *(f"seen_{genre}" for genre in GENRES),
        *(f"liked_{genre}" for genre in GENRES),
        *(f"interest_{genre}" for genre in GENRES),
        *("activity", *FACTS),
    )

    def __init__(
        self,
        ratings: Literal["1m", "100k"] = "1m",
        first: PositiveInt = 20,
        later: PositiveInt = 20,
        likes: PositiveInt = 3,
        days: PositiveInt = 30,
    ) -> None:
        if ratings not in ("1m", "100k"):
            raise ConfigError(f"data.reader.ratings must be one of 1m, 100k, got {ratings!r}")
        if likes > later:
            raise ConfigError(
                f"data.reader.likes={likes} is more than data.reader.later={later}, so that nobody would have an "
                "interest; lower likes"
            )
        self.source: MovieLens | MovieLens100K = MovieLens("1m") if ratings == "1m" else MovieLens100K()
        self.ranges = ratings == "1m"
        self.first, self.later, self.likes, self.days = first, later, likes, days
        self.settings = {"ratings": ratings, "first": first, "later": later, "likes": likes, "days": days}

    def acquire(self, source: str | Path | None, raw_dir: str | Path, say: Say = print) -> Raw:
        """The ratings' raw files, as ``data=movielens_1m`` (or ``_100k``) has them."""
        return self.source.acquire(source, raw_dir, say)

    def files(self, raw: Raw) -> list[Path]:
        """The ratings' raw files."""
        return self.source.files(raw)

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """A row for each user who has ``first`` ratings.

        Args:
            raw: what ``acquire`` gave.
            scratch: an empty folder for files on the way.
            say: takes one line for people.

        Returns:
            columns: user; cut (second of the portrait); of the early ratings: events (how many), hours (from the first
            to the cut), mean_rating, sd_rating, mean_year (of release), films and liked_films (lists, in the order of
            time, then id), seen_<genre> and liked_<genre> (shares of the early ratings); and the targets, see above.

        Raises:
            DataError: as the ratings' reader; nobody has ``first`` ratings.
        """
        table = self.source.read(raw, scratch, say)
        events = table.frame.drop("title").collect(engine="streaming")
        rows, dropped = self.portraits(events)
        if rows.is_empty():
            raise DataError(f"{raw.path}: no user has {self.first} ratings; lower data.reader.first")
        account = table.account.without(f"ratings of users with fewer than {self.first}", dropped)
        account = account.without("ratings gathered into their user's one row", len(events) - dropped - len(rows))
        return Table(rows.lazy(), account, table.notes)

    def portraits(self, events: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """The rows, by user, and how many ratings are of users who have too few for one.

        Args:
            events: user, item, rating, timestamp, year, genres (list), gender, age, occupation, zip; in any order.
        """
        end = events["timestamp"].max()
        users = events.group_by("user").agg(_nth_time(self.first).alias("cut"), pl.len().alias("ratings"))
        dropped = int(users.filter(pl.col("cut").is_null())["ratings"].sum())
        users = users.drop_nulls("cut").sort("user").drop("ratings")
        events_and_cut = events.lazy().join(users.lazy(), on="user")  # lazy: the lists are copied where they are needed
        after = pl.col("timestamp") - pl.col("cut")
        early = events_and_cut.filter(after <= 0).sort("timestamp", "item").group_by("user", maintain_order=True)
        later = events_and_cut.filter(after > 0)
        last = later.group_by("user").agg(_nth_time(self.later).alias("last"))  # null where there are fewer
        judged = later.join(last, on="user").filter(pl.col("timestamp") <= pl.col("last"))
        window = self.days * DAY
        whole = pl.col("cut") + window <= end
        rows = users.lazy()
        for columns in (
            early.agg(_features()),
            judged.group_by("user").agg(
                ((_of(genre) & LIKED).sum() >= self.likes).alias(f"interest_{name}") for name, genre in GENRES.items()
            ),
            later.filter(after <= window).group_by("user").agg(pl.len().cast(pl.Int64).alias("activity")),
            events.lazy().group_by("user").agg(pl.col(FACTS).first()),
        ):
            rows = rows.join(columns, on="user", how="left", maintain_order="left")
        rows = rows.with_columns(pl.when(whole).then(pl.col("activity").fill_null(0)).alias("activity"))
        if self.ranges:
            rows = rows.with_columns(pl.col("age").replace(AGES))
        return rows.select(self.columns).collect(), dropped


def _nth_time(n: int) -> pl.Expr:
    """The second of the n-th of some ratings in time; null where there are fewer."""
    return pl.col("timestamp").sort().get(n - 1, null_on_oob=True)


def _features() -> list[pl.Expr]:
    """Of a user's early ratings."""
    rating = pl.col("rating")
    span = pl.col("timestamp").max() - pl.col("timestamp").min()
    return [
        pl.len().cast(pl.Int64).alias("events"),
        (span / 3600).alias("hours"),
        rating.mean().alias("mean_rating"),
        rating.std(ddof=0).alias("sd_rating"),
        pl.col("year").mean().alias("mean_year"),
        pl.col("item").alias("films"),
        pl.col("item").filter(LIKED).alias("liked_films"),
        *(_of(genre).mean().alias(f"seen_{name}") for name, genre in GENRES.items()),
        *((_of(genre) & LIKED).mean().alias(f"liked_{name}") for name, genre in GENRES.items()),
    ]


def _of(genre: str) -> pl.Expr:
    """Whether a film is of a genre."""
    return pl.col("genres").list.contains(genre).fill_null(False)
