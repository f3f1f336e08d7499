"""Products of the Amazon review sets: the meta files of 2014, 2018 and 2023 in one set of columns."""

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from taskloom.data.acquire import Say
from taskloom.data.readers.first_line import first_line
from taskloom.data.text_sources import opened
from taskloom.data.text_table import read_table

#: column of ours to what the releases call it
NAMES: Mapping[str, tuple[str, ...]] = {
    "item": ("parent_asin", "asin"),
    "title": ("title",),
    "main_category": ("main_category", "main_cat"),
    "categories": ("categories", "category"),
    "store": ("store", "brand"),
    "price": ("price",),
    "description": ("description",),
    "average_rating": ("average_rating",),
    "rating_number": ("rating_number",),
    "also_buy": ("also_buy",),
    "also_view": ("also_view",),
    "bought_together": ("bought_together",),
    "sales_rank": ("rank", "salesRank"),
}
LISTS = ("categories", "also_buy", "also_view", "bought_together")
NUMBERS = ("average_rating", "rating_number")
PRODUCT_COLUMNS = tuple(name for name in NAMES if name != "item")
#: what is left of a web page in place of a title: an opening tag, or the end of one
_MARKUP = r"^\s*<|/?>\s*$"
_PRICE = r"^\s*(?i:from\s+)?\$?\s*([0-9][0-9,]*(?:\.[0-9]+)?)\s*(?:-\s*\$?\s*[0-9][0-9,]*(?:\.[0-9]+)?\s*)?$"
_RANK = r"([0-9][0-9,]*) in |: *([0-9]+)"
_ENTITIES = {"&amp;": "&", "&quot;": '"', "&#39;": "'", "&lt;": "<", "&gt;": ">", "&nbsp;": " "}
_TYPES = {name: "text" for names in NAMES.values() for name in names} | dict.fromkeys(NUMBERS, "float")


def read_products(files: Sequence[Path], scratch: Path, tolerate: float, say: Say) -> tuple[pl.LazyFrame, list[str]]:
    """The products of meta files, one row each, with ``item`` and PRODUCT_COLUMNS.

    Of several records of one product the first counts. Titles that are a left-over of the page's markup, and prices
    that are none (the 2018 files have style sheets there), are missing; a price range counts by its lower end.

    Args:
        files: meta files of one form or of several.
        scratch: an empty folder.
        tolerate: share of malformed lines that is tolerated.
        say: takes one line for people.

    Returns:
        the products, and lines on what was found.
    """
    parts, notes = [], []
    for file in files:
        table = read_table([_as_json(file, scratch)], scratch, format="jsonl", types=_TYPES, tolerate=tolerate, say=say)
        raw = _renamed(table.frame)
        products = raw.with_columns(
            _text("title"),
            pl.coalesce(pl.col("main_category").str.extract(r'alt="([^"]+)"'), _text("main_category")),
            _text("store"),
            pl.col("price").str.extract(_PRICE).str.replace_all(",", "").cast(pl.Float64).alias("price"),
            _joined("description"),
            pl.coalesce(pl.col("sales_rank").str.extract(_RANK, 1), pl.col("sales_rank").str.extract(_RANK, 2))
            .str.replace_all(",", "")
            .cast(pl.Int64, strict=False)
            .alias("sales_rank"),
            *(_listed(name) for name in LISTS),
        )
        notes += _found(file, table.account.read, table.account.refusals, raw, products)
        parts.append(products)
    if not parts:
        kinds = dict.fromkeys(LISTS, pl.List(pl.String)) | dict.fromkeys((*NUMBERS, "price"), pl.Float64)
        return pl.LazyFrame(schema=dict.fromkeys(NAMES, pl.String) | kinds | {"sales_rank": pl.Int64}), notes
    return pl.concat(parts).unique(subset="item", keep="first", maintain_order=True), notes


def _renamed(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The columns under our names; every name that is declared is there, null where the file lacks it."""
    columns = [pl.coalesce(theirs).alias(ours) for ours, theirs in NAMES.items()]
    return frame.select(columns).filter(pl.col("item").is_not_null())


def _text(name: str) -> pl.Expr:
    """A text without the page's markup; missing where nothing else is left."""
    text = pl.col(name).str.strip_chars()
    text = pl.when((text != "") & ~text.str.contains(_MARKUP)).then(text)
    return text.str.replace_many(_ENTITIES).alias(name)


def _listed(name: str) -> pl.Expr:
    """A list of texts that stands there as JSON."""
    column = pl.col(name)
    listed = pl.when(column.str.starts_with("[")).then(column).str.json_decode(pl.List(pl.String))
    return listed.list.eval(pl.element().str.replace_many(_ENTITIES)).alias(name)


def _joined(name: str) -> pl.Expr:
    """A text, or a list of texts as one."""
    text = pl.coalesce(_listed(name).list.join(" ").str.strip_chars(), _text(name))
    return pl.when(text != "").then(text).alias(name)


def _found(file: Path, read: int, refusals: Sequence[str], raw: pl.LazyFrame, products: pl.LazyFrame) -> list[str]:
    """Lines on what a meta file holds and what of it could not be used."""
    seen = raw.select(
        pl.col("item").n_unique().alias("products"),
        pl.len().alias("rows"),
        *((pl.col(name).fill_null("").str.strip_chars() != "").sum().alias(name) for name in ("title", "price")),
    )
    counts = pl.concat(
        [seen, products.select(pl.col("title").count().alias("titles"), pl.col("price").count().alias("prices"))],
        how="horizontal",
    ).collect(engine="streaming")
    found = counts.row(0, named=True)
    notes = [f"{file.name}: {read:,} records of {found['products']:,} products"]
    if repeats := found["rows"] - found["products"]:
        notes[0] += f"; {repeats:,} records repeat a product, whose first record counts"
    for one, kept, why in (("title", "titles", "left-overs of the page's markup"), ("price", "prices", "no number")):
        if lost := found[one] - found[kept]:
            notes.append(f"{file.name}: {lost:,} {kept} are {why} and count as missing")
    if refusals:
        notes.append(f"{file.name}: malformed lines were left out: {'; '.join(refusals)}")
    return notes


def _as_json(file: Path, folder: Path) -> Path:
    """The file itself, or its records as JSON where they are Python literals, as those of 2014 are.

    A line that is no literal is kept as it is, so that it is counted as malformed with its number.
    """
    if not first_line(file).lstrip().startswith("{'"):
        return file
    converted = folder / file.name.removesuffix(".gz")
    with opened(file) as lines, converted.open("wb") as out:
        for line in lines:
            try:
                out.write(json.dumps(_flat(ast.literal_eval(line.decode()))).encode() + b"\n")
            except (ValueError, SyntaxError, TypeError, AttributeError):
                out.write(line)
    return converted


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record of 2014 with the keys of 2018: one list of categories, and the related products side by side."""
    related = record.pop("related", {})
    record["categories"] = list(dict.fromkeys(name for path in record.get("categories", []) for name in path))
    record["also_buy"], record["also_view"] = related.get("also_bought", []), related.get("also_viewed", [])
    record["bought_together"] = related.get("bought_together", [])
    return record
