"""Yelp Open Dataset: who gave which business how many stars when, and what others made of the review."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.facts import beside
from taskloom.data.readers.review_rows import DAY, lacking, refuse_faulty, with_maturity, without_repeats
from taskloom.data.readers.user_files import UserFiles
from taskloom.data.readers.yelp_ties import tie_rows
from taskloom.data.table import Table
from taskloom.data.text_table import read_table
from taskloom.errors import ConfigError, DataError
from taskloom.ranges import Fraction, NonNegative, NonNegativeInt

#: facts of a business that owners state and that seldom change; opinions that users vote on (noise, ambience) are not
FACTS = (
    *("AcceptsInsurance", "Alcohol", "BYOB", "BikeParking", "BusinessAcceptsCreditCards", "ByAppointmentOnly"),
    *("Caters", "CoatCheck", "Corkage", "DogsAllowed", "DriveThru", "GoodForKids", "HappyHour", "HasTV"),
    *("OutdoorSeating", "RestaurantsAttire", "RestaurantsDelivery", "RestaurantsGoodForGroups"),
    *("RestaurantsReservations", "RestaurantsTableService", "RestaurantsTakeOut", "WheelchairAccessible", "WiFi"),
)
PRICE, PARKING = "RestaurantsPriceRange2", "BusinessParking"
REVIEW_TYPES = dict.fromkeys(("review_id", "user_id", "business_id", "text", "date"), "text") | {
    "stars": "float",
    **dict.fromkeys(("useful", "funny", "cool"), "int"),
}
PLACES = ("city", "state", "postal_code")
BUSINESS_TYPES = dict.fromkeys(("business_id", "name", *PLACES, "attributes", "categories"), "text") | {
    **dict.fromkeys(("latitude", "longitude", "stars"), "float"),
    **dict.fromkeys(("review_count", "is_open"), "int"),
}
USER_TYPES = dict.fromkeys(("user_id", "yelping_since", "friends", "elite"), "text") | {
    "average_stars": "float",
    **dict.fromkeys(("review_count", "fans"), "int"),
}


class Yelp(UserFiles):
    """Reads the Yelp Open Dataset in its official JSON lines; the user fetches it, since there is a licence to click.

    The review file must be there; the business and the user file may be. Times have no zone and are taken as UTC. Of
    several reviews of one ``review_id`` the first is kept, and the others are counted.

    Columns: table (``review`` or ``tie``), user, item (the business), rating (stars, 1 to 5), useful, funny, cool
    (votes of others), mature (old enough to have got them), timestamp (seconds), text; of the business: name, city,
    state, postal_code, latitude, longitude, categories (list), attributes (list such as ``WiFi=free``), price_range
    (1 to 4), and as on the day that the data was taken business_stars, business_review_count, is_open; of the user:
    yelping_since (seconds), account_days (at the review), friends (list), and as on that day user_average_stars,
    user_review_count, user_fans, user_elite, user_compliments; for the task tie: friend, tie. What a file that is not
    there would say is null.

    Args:
        maturity_days: a review is ``mature``, its votes having come in, if it is so much older than the last one.
        ties: so many pairs of friends become rows of the table ``tie``, and as many pairs of users who are none; see
            :func:`~taskloom.data.readers.yelp_ties.tie_rows`. 0 gives none.
        seed: of the draw of the pairs.
        tolerate: share of malformed lines that is left out, counted and shown; a larger one is refused.

    Raises:
        ConfigError: an argument out of range.
    """

    name: ClassVar[str] = "yelp"
    home: ClassVar[str] = "https://business.yelp.com/data/resources/open-dataset/"
    wanted: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "review": ("yelp_academic_dataset_review.json*", "review.json*"),
        "business": ("yelp_academic_dataset_business.json*", "business.json*"),
        "user": ("yelp_academic_dataset_user.json*", "user.json*"),
    }
    optional: ClassVar[tuple[str, ...]] = ("business", "user")
    user, item, time = "user", "item", "timestamp"
    columns = (
        *("table", "user", "item", "rating", "useful", "funny", "cool", "mature", "timestamp", "text"),
        *("name", "city", "state", "postal_code", "latitude", "longitude", "categories", "attributes", "price_range"),
        *("business_stars", "business_review_count", "is_open", "yelping_since", "account_days", "friends"),
        *("user_average_stars", "user_review_count", "user_fans", "user_elite", "user_compliments", "friend", "tie"),
    )
    version = 1

    def __init__(
        self,
        maturity_days: NonNegative = 90,
        ties: NonNegativeInt = 0,
        seed: NonNegativeInt = 1,
        tolerate: Fraction = 0.0,
    ) -> None:
        for key, value in (("maturity_days", maturity_days), ("ties", ties), ("seed", seed)):
            if not value >= 0:
                raise ConfigError(f"data.reader.{key} must be >= 0, got {value!r}")
        self.maturity_days, self.ties, self.seed, self.tolerate = maturity_days, ties, seed, tolerate

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """The reviews in the file's order, each with the facts of its business and user; then the pairs of users.

        Raises:
            DataError: malformed lines over ``tolerate``, a review without user, business, stars or time, or ``ties``
                without a user file.
        """
        located = self.located(raw)
        lines = partial(read_table, scratch=scratch, format="jsonl", tolerate=self.tolerate, say=say)
        table = self._reviews(lines(located["review"], types=REVIEW_TYPES), str(located["review"][0]))
        business, users = None, None
        if found := located["business"]:
            given = lines(found, types=BUSINESS_TYPES)
            business = replace(given, frame=businesses_of(given.frame))
        table = _beside(table, business, "item", found, businesses_of(_nothing(BUSINESS_TYPES)))
        if found := located["user"]:
            given = lines(found, types=USER_TYPES)
            users = replace(given, frame=users_of(given.frame))
        if self.ties:
            if users is None:
                raise DataError(
                    f"data.reader.ties={self.ties} needs to know who is whose friend, and {raw.path} has no "
                    f"{self.wanted['user'][0].rstrip('*')}; put it there, or set data.reader.ties=0"
                )
            ties = tie_rows(users.frame, table.frame, self.ties, self.seed, scratch)
            stacked = pl.concat([table.frame, ties.rows.lazy().with_columns(table=pl.lit("tie"))], how="diagonal")
            account = replace(table.account, read=table.account.read + len(ties.rows))
            table = Table(stacked, account, [*table.notes, *ties.notes])
            users = replace(users, frame=without_partners(users.frame, ties.partners))
        table = _beside(table, users, "user", found, users_of(_nothing(USER_TYPES)))
        age = ((pl.col("timestamp") - pl.col("yelping_since")) / DAY).clip(0)
        return replace(table, frame=table.frame.with_columns(account_days=age).select(self.columns))

    def _reviews(self, table: Table, where: str) -> Table:
        """The reviews under our names."""
        stars, date = pl.col("stars"), pl.col("date")
        faults = lacking(["review_id", "user_id", "business_id", "stars", "date"]) | {
            "have stars that are not from 1 to 5": ~stars.is_between(1, 5),
            "have a date that is not like 2018-07-07 22:09:11": date.is_not_null() & _seconds("date").is_null(),
        }
        refuse_faulty(where, table.frame, faults)
        frame, repeats = without_repeats(table.frame, ["review_id"])
        frame = frame.select(
            pl.lit("review").alias("table"),
            pl.col("user_id").alias("user"),
            pl.col("business_id").alias("item"),
            stars.alias("rating"),
            *("useful", "funny", "cool"),
            _seconds("date").alias("timestamp"),
            "text",
            pl.lit(None, dtype=pl.String).alias("friend"),
            pl.lit(None, dtype=pl.Int8).alias("tie"),
        )
        frame = with_maturity(frame, "timestamp", self.maturity_days)
        account = table.account.without("a review_id that an earlier record has", repeats)
        return Table(frame, account, [*table.notes, "times have no zone and are taken as UTC"])


def _beside(table: Table, facts: Table | None, key: str, files: Sequence[Path], nothing: pl.LazyFrame) -> Table:
    """The rows with the facts of a file, or with none of them where there is no file."""
    if facts is not None:
        return beside(table, facts, key, files[0].name)
    return replace(table, frame=table.frame.join(nothing, on=key, how="left", maintain_order="left"))


def _nothing(types: Mapping[str, str]) -> pl.LazyFrame:
    """The frame of a file that is not there."""
    kinds = {"text": pl.String, "int": pl.Int64, "float": pl.Float64}
    return pl.LazyFrame(schema={name: kinds[kind] for name, kind in types.items()})


def _seconds(name: str) -> pl.Expr:
    """Seconds since 1970 of a date, or of a date and time, without zone."""
    text = pl.col(name)
    moment = pl.coalesce(
        text.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False), text.str.to_datetime("%Y-%m-%d", strict=False)
    )
    return moment.dt.epoch("s").cast(pl.Float64)


def businesses_of(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The businesses under our names: plain facts, and those that are only true of the day the data was taken."""
    facts = pl.col("attributes").str.json_decode(pl.Struct(dict.fromkeys((*FACTS, PRICE, PARKING), pl.String)))
    said = {name: _literal(facts.struct.field(name)) for name in FACTS}
    listed = [pl.when(value.is_not_null()).then(pl.format(f"{name}={{}}", value)) for name, value in said.items()]
    parking = (
        facts.struct.field(PARKING)
        .str.extract_all(r"\w+': True")
        .list.eval(pl.format("Parking={}", pl.element().str.extract(r"(\w+)")))
    )
    return frame.select(
        pl.col("business_id").alias("item"),
        *("name", *PLACES, "latitude", "longitude"),
        pl.col("categories").str.split(",").list.eval(pl.element().str.strip_chars()).alias("categories"),
        pl.concat_list([pl.concat_list(listed).list.drop_nulls(), parking.fill_null([])]).alias("attributes"),
        _literal(facts.struct.field(PRICE)).cast(pl.Int64, strict=False).alias("price_range"),
        pl.col("stars").alias("business_stars"),
        pl.col("review_count").alias("business_review_count"),
        "is_open",
    )


def _literal(value: pl.Expr) -> pl.Expr:
    """What a text says that is a Python literal: ``u'free'``, ``'free'``, ``True``, ``2``; null for None and dicts."""
    bare = value.str.strip_chars().str.extract(r"^u?'?([^'{}]*)'?$", 1)
    return pl.when((bare != "None") & (bare != "")).then(bare)


def users_of(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The users under our names: since when, with whom, and what is only true of the day the data was taken."""
    compliments = [name for name in frame.collect_schema() if name.startswith("compliment_")]
    friends = pl.when(~pl.col("friends").is_in(["None", ""])).then(pl.col("friends")).str.split(",")
    return frame.select(
        pl.col("user_id").alias("user"),
        _seconds("yelping_since").alias("yelping_since"),
        friends.list.eval(pl.element().str.strip_chars()).alias("friends"),
        pl.col("average_stars").alias("user_average_stars"),
        pl.col("review_count").alias("user_review_count"),
        pl.col("fans").alias("user_fans"),
        pl.col("elite").alias("user_elite"),
        (pl.sum_horizontal(compliments) if compliments else pl.lit(None, dtype=pl.Int64)).alias("user_compliments"),
    )


def without_partners(users: pl.LazyFrame, partners: pl.DataFrame) -> pl.LazyFrame:
    """Lists of friends without those whose pair was drawn: on no row does a list tell what a tie is to find."""
    left = pl.col("friends").list.set_difference(pl.col("partners"))
    kept = pl.when(pl.col("partners").is_null()).then(pl.col("friends")).otherwise(left)
    joined = users.join(partners.lazy(), on="user", how="left", maintain_order="left")
    return joined.with_columns(kept.alias("friends")).drop("partners")
