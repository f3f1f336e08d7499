"""Amazon reviews of one category or several, in the form of 2014, 2018 or 2023, with their products."""

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.amazon_products import PRODUCT_COLUMNS, read_products
from taskloom.data.readers.review_rows import lacking, refuse_faulty, repeated, with_maturity, without_repeats
from taskloom.data.readers.user_files import UserFiles
from taskloom.data.table import Account, Table
from taskloom.data.text_sources import opened
from taskloom.data.text_table import read_table
from taskloom.errors import ConfigError, DataError
from taskloom.ranges import Fraction, NonNegative

FIRST_REVIEWS = 788_918_400.0  # 1 January 1995, seconds: the shop opened that year
#: ``3`` and ``1,341``; the first of the two numbers ``[3,4]``: helpful votes, all votes
_VOTES, _VOTE_PAIR = r"^\s*([0-9][0-9,]*)\s*$", r"^\s*\[\s*([0-9]+)\s*,\s*[0-9]+\s*\]\s*$"
#: ``"Size:": " 7.0 oz"`` within an object of texts
_PAIR = r'"(?:[^"\\]|\\.)*"\s*:\s*"(?:[^"\\]|\\.)*"'


@dataclass(frozen=True)
class Form:
    """How one release names what a review has.

    Args:
        name: its year.
        user, item, rating, time, votes, title, text: its names of these.
        verified: its name of the mark of a purchase; None where it has none.
        second: its unit of time in seconds. A factor, as a division gives other last digits on other machines.
    """

    name: str
    user: str
    item: str
    rating: str
    time: str
    votes: str
    title: str
    text: str
    verified: str | None
    second: float = 1.0

    @property
    def votes_pattern(self) -> str:
        """What its votes look like."""
        return _VOTE_PAIR if self.name == "2014" else _VOTES

    @property
    def types(self) -> dict[str, str]:
        """The columns' types in ``read_table``'s words."""
        texts = dict.fromkeys((self.user, self.item, self.votes, self.title, self.text, "style"), "text")
        flags = {self.verified: "bool"} if self.verified else {}
        return texts | flags | {self.rating: "float", self.time: "int", "images": "text", "image": "text"}


_2018 = Form(
    name="2018",
    user="reviewerID",
    item="asin",
    rating="overall",
    time="unixReviewTime",
    votes="vote",
    title="summary",
    text="reviewText",
    verified="verified",
)
_2023 = Form(
    name="2023",
    user="user_id",
    item="parent_asin",
    rating="rating",
    time="timestamp",
    votes="helpful_vote",
    title="title",
    text="text",
    verified="verified_purchase",
    second=0.001,
)
FORMS = (_2023, replace(_2018, name="2014", votes="helpful", verified=None), _2018)


class AmazonReviews(UserFiles):
    """Reads Amazon reviews: who gave which product how many stars when, and what others made of the review.

    Three releases are told apart by the first record: 2023 (Hou et al. 2024, "Bridging language and items for
    retrieval and recommendation"; products keyed by ``parent_asin``), 2018 (Ni et al. 2019, "Justifying
    recommendations using distantly-labeled reviews and fine-grained aspects") and 2014 (He and McAuley 2016). A file
    whose name begins with ``meta`` holds products and is joined; every other one holds reviews. A file given by itself
    finds its meta file beside it.

    Columns: user, item, rating (1 to 5), timestamp (seconds), votes (people who found the review helpful), mature
    (old enough to have got its votes), verified (bought there; null in 2014), style (2018: what variant, as a list),
    category, review_title, text; of the product, null without meta file: title, main_category, categories (list),
    store, price (dollars, of the day the data was taken), description, average_rating, rating_number, also_buy,
    also_view, bought_together (lists), sales_rank.

    Args:
        duplicates: ``drop`` leaves out a record that equals an earlier one in every field, and counts it; ``keep``.
        maturity_days: a review is ``mature``, its votes having come in, if it is so much older than the last one.
        tolerate: share of malformed lines that is left out, counted and shown; a larger one is refused.

    Raises:
        ConfigError: an argument out of range.

    Example:
        >>> AmazonReviews(duplicates="ignore")
        Traceback (most recent call last):
            ...
        taskloom.errors.ConfigError: data.reader.duplicates must be drop or keep, got 'ignore'
    """

    name: ClassVar[str] = "amazon_reviews"
    home: ClassVar[str] = "https://amazon-reviews-2023.github.io/"
    wanted: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "review": ("*.json", "*.jsonl"),
        "meta": ("meta_*.json", "meta_*.jsonl"),
    }
    optional: ClassVar[tuple[str, ...]] = ("meta",)
    user, item, time = "user", "item", "timestamp"
    columns = (
        *("user", "item", "rating", "timestamp", "votes", "mature", "verified", "style", "category"),
        *("review_title", "text", *PRODUCT_COLUMNS),
    )
    version = 1

    def __init__(
        self, duplicates: Literal["drop", "keep"] = "drop", maturity_days: NonNegative = 90, tolerate: Fraction = 0.0
    ) -> None:
        if duplicates not in ("drop", "keep"):
            raise ConfigError(f"data.reader.duplicates must be drop or keep, got {duplicates!r}")
        if not maturity_days >= 0:
            raise ConfigError(f"data.reader.maturity_days must be >= 0, got {maturity_days!r}")
        self.duplicates, self.maturity_days, self.tolerate = duplicates, maturity_days, tolerate

    def located(self, raw: Raw) -> dict[str, list[Path]]:
        """The files of reviews and of products; beside a single file of reviews, the meta file of its category."""
        found = super().located(raw)
        reviews = [path for path in found["review"] if path not in found["meta"]]
        if raw.path.is_file():
            wanted = {f"meta_{category_of(path)}.json{end}" for path in reviews for end in ("", "l", ".gz", "l.gz")}
            found["meta"] = sorted(path for path in raw.path.parent.iterdir() if path.name in wanted)
        return {"review": reviews, "meta": found["meta"]}

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """The reviews in the files' order, each with its product's facts.

        Raises:
            DataError: malformed lines over ``tolerate``, a review without user, item, rating or time, or files of
                two forms.
        """
        located = self.located(raw)
        forms = {form_of(file).name: form_of(file) for file in located["review"]}
        if len(forms) > 1:
            raise DataError(
                f"{raw.path}: its review files have the forms of {' and '.join(sorted(forms))}, whose users and items "
                "are not the same; give those of one release as data.source"
            )
        form = next(iter(forms.values()))
        account, reviews, repeats = self._reviews(located["review"], form, scratch, say)
        notes = [f"the form of {form.name}"]
        if form.verified is None:
            notes.append("this form does not say whether a purchase was verified: no label for verified")
        if pairs := repeated(reviews, ["user", "item"]):
            notes.append(f"{pairs:,} reviews are a user's second or later one of the same product; they are kept")
        reviews = with_maturity(reviews, "timestamp", self.maturity_days)
        products, found = read_products(located["meta"], scratch, self.tolerate, say)
        notes += found
        if located["meta"]:
            reviewed = reviews.select("item").unique()
            known = reviewed.join(products.select("item"), on="item", how="semi")
            counts = [part.select(pl.len()).collect(engine="streaming").item() for part in (known, reviewed)]
            notes.append(f"{counts[0]:,} of {counts[1]:,} reviewed products are in the meta file")
        else:
            notes.append("no meta file is beside the reviews: nothing is known of the products")
        frame = reviews.join(products, on="item", how="left", maintain_order="left")
        return Table(frame.select(self.columns), account.without("equal to an earlier record", repeats), notes)

    def _reviews(self, files: Sequence[Path], form: Form, scratch: Path, say: Say) -> tuple[Account, pl.LazyFrame, int]:
        """The reviews under our names, with what became of the lines, and how many repeats were left out."""
        parts, accounts = [], []
        for file in files:
            table = read_table([file], scratch, format="jsonl", types=form.types, tolerate=self.tolerate, say=say)
            accounts.append(table.account)
            parts.append(table.frame.with_columns(pl.lit(category_of(file)).alias("_category")))
        account = Account(
            sum(each.read for each in accounts),
            sum(each.refused for each in accounts),
            tuple(line for each in accounts for line in each.refusals),
        )
        frame = pl.concat(parts, how="diagonal_relaxed")
        where = str(files[0]) if len(files) == 1 else f"{files[0].parent} ({len(files)} files, one after another)"
        refuse_faulty(where, frame, lacking([form.user, form.item, form.rating, form.time]) | _out_of_range(form))
        repeats = 0
        if self.duplicates == "drop":
            frame, repeats = without_repeats(frame, [name for name in frame.collect_schema() if name != "_category"])
        return account, _renamed(frame, form), repeats


def _out_of_range(form: Form) -> dict[str, pl.Expr]:
    """Faults of a value that cannot be."""
    rating, time, votes = pl.col(form.rating), pl.col(form.time), pl.col(form.votes)
    unit = "seconds" if form.second == 1 else "milliseconds"
    return {
        f"have a {form.rating} that is not from 1 to 5": ~rating.is_between(1, 5),
        f"have a {form.time} before 1995, taken as {unit} since 1970": time * form.second < FIRST_REVIEWS,
        f"have a {form.votes} that is no number": ~votes.str.contains(form.votes_pattern),
    }


def _renamed(frame: pl.LazyFrame, form: Form) -> pl.LazyFrame:
    """The reviews under our names; what a form does not say is null."""
    there = frame.collect_schema().names()

    def field(name: str | None, dtype: type[pl.DataType] = pl.String) -> pl.Expr:
        return pl.col(name).cast(dtype) if name in there else pl.lit(None, dtype=dtype)

    votes = field(form.votes).str.extract(form.votes_pattern).str.replace_all(",", "").cast(pl.Int64)
    pairs = field("style").str.extract_all(_PAIR)
    pairs = pairs.list.eval(pl.element().str.replace_all(r'\\?"', "").str.replace(r"\s*:+\s*", ": ").str.strip_chars())
    return frame.select(
        field(form.user).alias("user"),
        field(form.item).alias("item"),
        field(form.rating, pl.Float64).alias("rating"),
        (pl.col(form.time) * form.second).alias("timestamp"),
        (votes.fill_null(0) if form.name == "2018" else votes).alias("votes"),  # 2018: absent where there is none
        field(form.verified, pl.Boolean).alias("verified"),
        pairs.alias("style"),
        pl.coalesce(field("category"), pl.col("_category")).alias("category"),
        field(form.title).alias("review_title"),
        field(form.text).alias("text"),
    )


def form_of(file: Path) -> Form:
    """The form of a file of reviews, by its first record.

    Raises:
        DataError: the first lines hold no record, or one of another kind.
    """
    record = next(_records(file), None)
    if record is None:
        raise DataError(f"{file}: none of its first lines is a JSON object; give a file of Amazon reviews")
    for form in FORMS:
        if {form.user, form.rating} <= record.keys() and (form.name != "2014" or form.votes in record):
            return form
    raise DataError(
        f"{file}: its first record has the fields {', '.join(sorted(record))}, not those of Amazon reviews "
        "(user_id and rating, or reviewerID and overall); give other files as data.source"
    )


def _records(file: Path) -> Iterator[dict[str, Any]]:
    """The records among the first lines; what else stands there is read_table's to refuse."""
    with opened(file) as lines:
        try:
            for line in islice(lines, 100):
                with suppress(ValueError):
                    if isinstance(record := json.loads(line), dict):
                        yield record
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{file}: cannot be unpacked ({error}); get the file again") from error


def category_of(file: Path) -> str:
    """The category that a file of reviews is named after.

    Example:
        >>> category_of(Path("reviews_Musical_Instruments_5.json.gz"))
        'Musical_Instruments'
    """
    stem = re.sub(r"\.jsonl?(\.gz)?$", "", file.name)
    return re.sub(r"(^reviews_|_5$)", "", stem)
