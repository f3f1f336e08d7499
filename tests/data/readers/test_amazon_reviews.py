"""Amazon reviews: three forms, their quirks, what they leak, and what cannot be one of them."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from samples import amazon_reviews as sample
from taskloom.data.readers.amazon_reviews import AmazonReviews
from taskloom.data.readers.review_rows import without_repeats
from taskloom.data.table import Table
from taskloom.errors import ConfigError, DataError

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "conf" / "data" / "amazon_reviews.yaml").read_text())
DAY = 86_400
NEW = {"user_id": "AE1", "parent_asin": "B1", "rating": 4.0, "timestamp": 1_600_000_000_123}
OLD = {"reviewerID": "A1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1_400_000_000}


def quiet(line: str) -> None:
    """Says nothing."""


def put(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    text = "".join(json.dumps(record) + "\n" for record in records)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def read(source: Path, scratch: Path, **options: Any) -> Table:
    """The table of a folder or file, with its frame collected."""
    reader = AmazonReviews(**options)
    scratch.mkdir(parents=True, exist_ok=True)
    table = reader.read(reader.acquire(source, scratch / "raw", quiet), scratch, quiet)
    frame = table.frame.collect()
    assert len(frame) == table.account.kept
    assert tuple(frame.columns) == AmazonReviews.columns
    return Table(frame.lazy(), table.account, table.notes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "amazon"
    folder.mkdir()
    return folder


# The three forms


def test_the_form_of_2023_has_milliseconds_votes_and_products_by_parent(folder: Path, tmp_path: Path) -> None:
    review = {**NEW, "asin": "B1RED", "title": "Bad", "text": "no", "helpful_vote": 3, "verified_purchase": False}
    put(folder / "Gift_Cards.jsonl.gz", [review, {**review, "parent_asin": "B2", "helpful_vote": 0}])
    meta = {"parent_asin": "B1", "main_category": "Gift Cards", "title": "A card", "store": "Shop", "price": 25.0}
    lists = {"categories": ["Gifts", "Cards &amp; more"], "description": ["One.", "Two."], "bought_together": None}
    put(folder / "meta_Gift_Cards.jsonl", [{**meta, **lists, "average_rating": 4.7, "rating_number": 9}])
    table = read(folder, tmp_path / "s")
    first, second = table.frame.collect().rows(named=True)
    assert (first["user"], first["item"], first["rating"], first["votes"], first["verified"]) == (
        "AE1",
        "B1",
        4,
        3,
        False,
    )
    assert first["timestamp"] == pytest.approx(1_600_000_000.123, abs=1e-6)
    assert (first["review_title"], first["text"], first["category"]) == ("Bad", "no", "Gift_Cards")
    assert (first["title"], first["main_category"], first["store"], first["price"]) == (
        "A card",
        "Gift Cards",
        "Shop",
        25,
    )
    assert (first["categories"], first["description"]) == (["Gifts", "Cards & more"], "One. Two.")
    assert (first["average_rating"], first["rating_number"], first["bought_together"]) == (4.7, 9, None)
    assert second["item"] == "B2"
    assert second["title"] is None
    assert "1 of 2 reviewed products are in the meta file" in table.notes


def test_the_form_of_2018_has_votes_with_commas_and_styles_with_odd_keys(folder: Path, tmp_path: Path) -> None:
    more = {"verified": True, "summary": "Fine", "reviewText": "x"}
    style = {"Size:": " 7.0 oz", "Flavor Name:": ' Classic 9" Ice: Blue'}
    records = [{**OLD, **more, "vote": "1,341", "style": style}, {**OLD, **more, "asin": "B2"}]
    put(folder / "All_Beauty_5.json.gz", records)
    frame = read(folder, tmp_path / "s").frame.collect()
    assert frame["votes"].to_list() == [1341, 0]
    assert frame["style"].to_list() == [["Size: 7.0 oz", "Flavor Name: Classic 9 Ice: Blue"], None]
    assert frame["category"].unique().to_list() == ["All_Beauty"]
    assert frame["verified"].to_list() == [True, True]
    assert frame["timestamp"].to_list() == [1_400_000_000, 1_400_000_000]
    assert frame["review_title"].to_list() == ["Fine", "Fine"]


def test_the_form_of_2014_counts_helpful_votes_and_does_not_know_of_purchases(folder: Path, tmp_path: Path) -> None:
    records = [{**OLD, "helpful": [13, 14]}, {**OLD, "asin": "B2", "helpful": [0, 2]}]
    path = put(folder / "reviews_Musical_Instruments_5.json", records)
    path.write_text(path.read_text().rstrip("\n"))  # as the official file ends
    table = read(folder, tmp_path / "s")
    frame = table.frame.collect()
    assert frame["votes"].to_list() == [13, 0]
    assert frame["verified"].null_count() == 2
    assert frame["category"].unique().to_list() == ["Musical_Instruments"]
    assert any("verified" in note for note in table.notes)


def test_products_of_2014_are_python_literals(folder: Path, tmp_path: Path) -> None:
    put(folder / "reviews_Music_5.json", [{**OLD, "helpful": [0, 0]}])
    product = {
        "asin": "B1",
        "title": 'Bob\'s "Best"',
        "price": 12.5,
        "brand": "Korg",
        "description": "Loud",
        "categories": [["Music", "Rock"], ["Music", "Gifts"]],
        "related": {"also_bought": ["B7"], "also_viewed": ["B8"]},
        "salesRank": {"Musical Instruments": 94593},
    }
    (folder / "meta_Music.json").write_text(f"{product}\n")
    row = read(folder, tmp_path / "s").frame.collect().row(0, named=True)
    assert (row["title"], row["price"], row["store"], row["sales_rank"]) == ('Bob\'s "Best"', 12.5, "Korg", 94593)
    assert row["categories"] == ["Music", "Rock", "Gifts"]
    assert (row["also_buy"], row["also_view"], row["description"]) == (["B7"], ["B8"], "Loud")
    with (folder / "meta_Music.json").open("a") as file:
        file.write("{'asin': 'B2', \n")
    with pytest.raises(DataError, match=r"meta_Music\.json, line 2"):
        read(folder, tmp_path / "t")


def test_two_forms_in_one_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    put(folder / "a.jsonl", [NEW])
    put(folder / "b_5.json", [{**OLD, "vote": "2"}])
    with pytest.raises(DataError, match="the forms of 2018 and 2023"):
        read(folder, tmp_path / "s")


def test_several_categories_are_one_table_each_named_after_its_file(folder: Path, tmp_path: Path) -> None:
    put(folder / "Books.jsonl", [NEW, NEW])
    put(folder / "Art.jsonl", [{**NEW, "helpful_vote": 1}])
    table = read(folder, tmp_path / "s")
    assert table.frame.collect().select("category", "votes").rows() == [("Art", 1), ("Books", None)]
    assert (table.account.read, table.account.dropped) == (3, {"equal to an earlier record": 1})


# Products


@pytest.mark.parametrize(
    ("price", "dollars"),
    [
        (12.99, 12.99),
        ("$1,299.50", 1299.5),
        ("$7.99 - $24.99", 7.99),
        ("from 12.00", 12.0),
        (" 3 ", 3.0),
        ("—", None),
        ("", None),
        (".a-box-inner{background-color:#fff}", None),
        ("\n\n<script 12", None),
        ("12 left in stock", None),
    ],
)
def test_prices_are_parsed_and_rubbish_is_missing(
    folder: Path, tmp_path: Path, price: object, dollars: float | None
) -> None:
    put(folder / "All_5.json", [OLD])
    put(folder / "meta_All.json", [{"asin": "B1", "price": price}])
    assert read(folder, tmp_path / "s").frame.collect()["price"].to_list() == [dollars]


def test_leftovers_of_the_page_are_no_titles(folder: Path, tmp_path: Path) -> None:
    put(folder / "All_5.json", [{**OLD, "asin": item} for item in "BCDE"])
    titles = {"B": '<span class="a-size-medium"', "C": ' Magazines" />', "D": "Q&amp;A < 5", "E": ""}
    image = '<img src="x.png" class="nav" alt="Digital Music"/>'
    meta = [{"asin": item, "title": title, "main_cat": image} for item, title in titles.items()]
    put(folder / "meta_All.json", meta)
    table = read(folder, tmp_path / "s")
    assert table.frame.collect()["title"].to_list() == [None, None, "Q&A < 5", None]
    assert table.frame.collect()["main_category"].unique().to_list() == ["Digital Music"]
    assert "meta_All.json: 2 titles are left-overs of the page's markup and count as missing" in table.notes


def test_of_repeated_products_the_first_counts(folder: Path, tmp_path: Path) -> None:
    put(folder / "All_5.json", [OLD, {**OLD, "overall": 1.0}])
    ranks = ("1,323 in Magazines (", ["&gt;#2 in Books (See Top 100)"])
    meta = [{"asin": "B1", "brand": brand, "rank": rank} for brand, rank in zip("ab", ranks, strict=True)]
    put(folder / "meta_All.json", meta)
    table = read(folder, tmp_path / "s")
    assert table.frame.collect().select("store", "sales_rank").unique().rows() == [("a", 1323)]
    assert any("2 records of 1 products; 1 records repeat" in note for note in table.notes)


def test_a_single_file_finds_its_own_meta_file(folder: Path, tmp_path: Path) -> None:
    path = put(folder / "All_Beauty_5.json.gz", [OLD])
    put(folder / "Books_5.json", [OLD, OLD])
    put(folder / "meta_All_Beauty.json.gz", [{"asin": "B1", "title": "Right"}])
    put(folder / "meta_Books.json", [{"asin": "B1", "title": "Wrong"}])
    reader = AmazonReviews()
    raw = reader.acquire(path, tmp_path, quiet)
    assert [file.name for file in reader.files(raw)] == ["All_Beauty_5.json.gz", "meta_All_Beauty.json.gz"]
    table = read(path, tmp_path / "s")
    assert (table.account.read, table.frame.collect()["title"].to_list()) == (1, ["Right"])


def test_without_meta_file_the_products_are_unknown(folder: Path, tmp_path: Path) -> None:
    put(folder / "All_5.json", [OLD])
    table = read(folder, tmp_path / "s")
    assert table.frame.collect().row(0, named=True)["title"] is None
    assert any("no meta file" in note for note in table.notes)


# Repeats and maturity


def test_exact_repeats_are_dropped_and_counted_by_default(folder: Path, tmp_path: Path) -> None:
    close = {**OLD, "reviewText": "other words"}
    put(folder / "All_5.json", [OLD, close, OLD, {**OLD, "image": ["u"]}, close, OLD])
    table = read(folder, tmp_path / "s")
    assert table.account.dropped == {"equal to an earlier record": 3}
    assert table.frame.collect()["text"].to_list() == [None, "other words", None]
    assert any(note.startswith("2 reviews are a user's second or later") for note in table.notes)
    kept = read(folder, tmp_path / "t", duplicates="keep")
    assert (kept.account.dropped, kept.account.kept) == ({}, 6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 3)), min_size=1, max_size=30))
def test_what_is_left_is_each_first_row_in_order(rows: list[tuple[str | None, int]]) -> None:
    frame = pl.LazyFrame(rows, schema={"a": pl.String, "b": pl.Int64}, orient="row")
    left, out = without_repeats(frame, ["a", "b"])
    assert left.collect().rows() == list(dict.fromkeys(rows))
    assert out == len(rows) - len(set(rows))


def test_votes_count_only_on_reviews_that_have_had_the_time(folder: Path, tmp_path: Path) -> None:
    last = 1_500_000_000
    ages = (0, 29, 30, 31, 400)
    put(folder / "All_5.json", [{**OLD, "unixReviewTime": last - age * DAY} for age in ages])
    table = read(folder, tmp_path / "s", maturity_days=30)
    assert table.frame.collect()["mature"].to_list() == [False, False, True, True, True]
    assert read(folder, tmp_path / "t", maturity_days=0).frame.collect()["mature"].all()


# What is out by default


def test_every_leak_is_a_column_of_the_reader_and_none_is_a_feature() -> None:
    excluded = CONFIG["excluded"]
    assert set(excluded) <= set(AmazonReviews.columns)
    assert {"average_rating", "rating_number", "text", "review_title", "votes", "also_buy", "sales_rank"} <= set(
        excluded
    )
    features = {key: value for key, value in CONFIG["features"].items() if value}
    used = {value.get(key, name) for name, value in features.items() for key in ("column", "by")}
    assert not used & set(excluded)
    assert CONFIG["reader"].items() >= {"duplicates": "drop", "maturity_days": 90, "tolerate": 0.0}.items()


def test_later_reviews_change_nothing_but_who_is_mature(folder: Path, tmp_path: Path) -> None:
    sample.write(folder)
    lines = (folder / "All_Beauty.jsonl").read_text().splitlines()
    times = sorted({json.loads(line)["timestamp"] for line in lines})
    early = [line for line in lines if json.loads(line)["timestamp"] < times[len(times) // 2]]
    past = tmp_path / "past"
    past.mkdir()
    (past / "All_Beauty.jsonl").write_text("\n".join(early))
    (past / "meta_All_Beauty.jsonl").write_text((folder / "meta_All_Beauty.jsonl").read_text())
    before = read(past, tmp_path / "s").frame.collect().drop("mature")
    after = read(folder, tmp_path / "t").frame.filter(pl.col("timestamp") < times[len(times) // 2] * 0.001).collect()
    assert before.equals(after.drop("mature"))


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user_id": None}, r"1 of 2 reviews have no user_id, the first is record 2; mend"),
        ({"rating": None}, "1 of 2 reviews have no rating"),
        ({"rating": 9}, "1 of 2 reviews have a rating that is not from 1 to 5, the first is record 2"),
        ({"timestamp": 1_600_000_000}, "have a timestamp before 1995, taken as milliseconds since 1970"),
        ({"helpful_vote": "many"}, "have a helpful_vote that is no number"),
        ({"timestamp": "May"}, r"All\.jsonl, line 2: timestamp is 'May', not a whole number"),
    ],
)
def test_a_record_that_is_no_review_is_refused(
    folder: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    put(folder / "All.jsonl", [{**NEW, "helpful_vote": 1}, {**NEW, "helpful_vote": 1, **change}])
    with pytest.raises(DataError, match=message):
        read(folder, tmp_path / "s")


def test_malformed_lines_are_tolerated_up_to_a_share_and_counted(folder: Path, tmp_path: Path) -> None:
    path = put(folder / "All.jsonl", [{**NEW, "user_id": f"A{n}"} for n in range(9)])
    path.write_text('{"user_id": "A", \n' + path.read_text())
    with pytest.raises(DataError, match=r"1 of 10 lines .*All\.jsonl, line 1"):
        read(folder, tmp_path / "s")
    account = read(folder, tmp_path / "t", tolerate=0.1).account
    assert (account.read, account.refused, account.kept) == (10, 1, 9)
    assert "All.jsonl, line 1" in account.refusals[0]


def test_files_of_something_else_are_refused(folder: Path, tmp_path: Path) -> None:
    put(folder / "config.json", [{"a": 1}])
    with pytest.raises(
        DataError, match=r"config\.json: its first record has the fields a, not those of Amazon reviews"
    ):
        read(folder, tmp_path / "s")
    (folder / "config.json").write_text("[1, 2]\n")
    with pytest.raises(DataError, match="none of its first lines is a JSON object"):
        read(folder, tmp_path / "s")
    (folder / "config.json").rename(folder / "meta_All.json")
    with pytest.raises(DataError, match=r"holds no \*\.json or \*\.jsonl"):
        read(folder, tmp_path / "s")


def test_a_damaged_gz_is_said_to_be_one(folder: Path, tmp_path: Path) -> None:
    path = put(folder / "All.jsonl.gz", [NEW] * 50)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match=r"All\.jsonl\.gz: cannot be unpacked"):
        read(folder, tmp_path / "s")


@pytest.mark.parametrize("options", [{"duplicates": "some"}, {"maturity_days": -1}, {"maturity_days": float("nan")}])
def test_an_option_without_meaning_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        AmazonReviews(**options)


# Real files


def test_all_beauty_of_2018(shared_data: Path, tmp_path: Path) -> None:
    table = read(shared_data / "amazon-2018-all-beauty", tmp_path)
    frame = table.frame.collect()
    assert (table.account.read, table.account.dropped) == (5269, {"equal to an earlier record": 1027})
    assert (frame["user"].n_unique(), frame["item"].n_unique(), frame["votes"].max()) == (991, 85, 1341)
    assert any(note.startswith("150 reviews are a user's second") for note in table.notes)  # 1,177 with the repeats


def test_magazines_of_2018_and_their_products(shared_data: Path, tmp_path: Path) -> None:
    table = read(shared_data / "amazon-2018-magazine-subscriptions", tmp_path)
    frame = table.frame.collect()
    assert (table.account.read, table.account.dropped) == (2375, {"equal to an earlier record": 42})
    assert (frame["user"].n_unique(), frame["item"].n_unique()) == (348, 157)
    assert frame["price"].null_count() == len(frame)
    notes = " ".join(table.notes)
    assert "3,385 records of 2,320 products; 1,065 records repeat" in notes
    assert "18 prices are no number" in notes
    assert "151 of 157 reviewed products are in the meta file" in notes


def test_the_sample_of_2014(shared_data: Path, tmp_path: Path) -> None:
    table = read(shared_data / "amazon-2014-sample", tmp_path)
    assert (table.account.read, table.account.kept) == (50, 50)
    assert table.frame.collect()["votes"].max() == 13


def test_the_sample_of_2023(shared_data: Path, tmp_path: Path) -> None:
    table = read(shared_data / "amazon-2023-sample", tmp_path)
    frame = table.frame.collect()
    assert (table.account.read, table.account.kept, frame["user"].n_unique()) == (3455, 3455, 354)
    assert frame["category"].n_unique() == 24
    assert frame["rating"].value_counts().sort("rating")["count"].to_list() == [256, 138, 262, 487, 2312]
    products = frame.unique("item")
    assert (len(products), products["price"].null_count()) == (3228, 897)
    assert (frame["timestamp"].min(), frame["timestamp"].max()) == pytest.approx((1165338257.0, 1678940856.098))
    assert frame["votes"].null_count() == frame["verified"].null_count() == 3455
