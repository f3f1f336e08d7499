"""Yelp: reviews with what was known of business and user, votes that need time, and pairs of users."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from samples import yelp as sample
from taskloom.data.readers.yelp import USER_TYPES, Yelp, businesses_of, users_of
from taskloom.data.readers.yelp_ties import _others
from taskloom.data.table import Table
from taskloom.errors import ConfigError, DataError

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "conf" / "data" / "yelp.yaml").read_text())
REVIEW = {"review_id": "r1", "user_id": "u1", "business_id": "b1", "stars": 4.0, "useful": 2, "funny": 0, "cool": 1}
REVIEW |= {"text": "Fine", "date": "2018-07-07 22:09:11"}
DATE = 1_531_001_351  # that date as UTC


def quiet(line: str) -> None:
    """Says nothing."""


def put(folder: Path, role: str, records: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(record).replace("/", "\\/") + "\n" for record in records)
    (folder / f"yelp_academic_dataset_{role}.json").write_text(text)


def read(source: Path, scratch: Path, **options: Any) -> Table:
    """The table of a folder, with its frame collected."""
    reader = Yelp(**options)
    scratch.mkdir(parents=True, exist_ok=True)
    table = reader.read(reader.acquire(source, scratch / "raw", quiet), scratch, quiet)
    frame = table.frame.collect()
    assert len(frame) == table.account.kept
    assert tuple(frame.columns) == Yelp.columns
    return Table(frame.lazy(), table.account, table.notes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "yelp"
    folder.mkdir()
    return folder


# Reviews, businesses, users


def test_a_review_with_its_business_and_its_user(folder: Path, tmp_path: Path) -> None:
    put(folder, "review", [REVIEW, {**REVIEW, "review_id": "r2", "business_id": "b2", "user_id": "u2"}])
    facts = {"name": "A/B", "city": "Reno", "state": "NV", "stars": 4.5, "review_count": 9, "is_open": 0}
    attributes = {"RestaurantsPriceRange2": "2", "WiFi": "u'free'"}
    put(folder, "business", [{"business_id": "b1", **facts, "attributes": attributes, "categories": "Food, Tea & Co"}])
    user = {"user_id": "u1", "yelping_since": "2018-07-05 22:09:11", "friends": "u2, u3", "average_stars": 3.2}
    put(folder, "user", [{**user, "review_count": 7, "fans": 1, "compliment_hot": 2, "compliment_cute": 3}])
    table = read(folder, tmp_path / "s")
    first, second = table.frame.collect().rows(named=True)
    assert (first["table"], first["user"], first["item"], first["rating"]) == ("review", "u1", "b1", 4)
    assert (first["useful"], first["funny"], first["cool"], first["timestamp"]) == (2, 0, 1, DATE)
    assert (first["name"], first["city"], first["categories"]) == ("A/B", "Reno", ["Food", "Tea & Co"])
    assert (first["attributes"], first["price_range"], first["is_open"]) == (["WiFi=free"], 2, 0)
    assert (first["business_stars"], first["business_review_count"]) == (4.5, 9)
    assert (first["account_days"], first["friends"], first["user_compliments"]) == (2, ["u2", "u3"], 5)
    assert (first["user_average_stars"], first["user_review_count"], first["user_fans"]) == (3.2, 7, 1)
    assert second["city"] is second["friends"] is second["account_days"] is second["tie"] is None
    assert any("yelp_academic_dataset_business.json: nothing on the item of" in note for note in table.notes)
    assert any("UTC" in note for note in table.notes)


def test_the_review_file_alone_is_enough(folder: Path, tmp_path: Path) -> None:
    put(folder, "review", [REVIEW])
    row = read(folder, tmp_path / "s").frame.collect().row(0, named=True)
    assert row["rating"] == 4
    assert row["city"] is row["attributes"] is row["yelping_since"] is None


@pytest.mark.parametrize(
    ("attributes", "listed", "price"),
    [
        (None, [], None),
        ({"WiFi": "u'no'", "Alcohol": "'none'", "HasTV": "True"}, ["Alcohol=none", "HasTV=True", "WiFi=no"], None),
        ({"WiFi": "None", "RestaurantsPriceRange2": "None"}, [], None),
        ({"RestaurantsPriceRange2": "4", "NoiseLevel": "u'loud'"}, [], 4),
        (
            {"BusinessParking": "{'lot': False, u'street': True, 'valet': True}"},
            ["Parking=street", "Parking=valet"],
            None,
        ),
        ({"BusinessParking": "{}", "WiFi": "{'odd': True}", "DriveThru": "False"}, ["DriveThru=False"], None),
    ],
)
def test_attributes_are_python_literals_in_text(
    attributes: dict[str, str] | None, listed: list[str], price: int | None
) -> None:
    plain = {"business_id": "b", "name": "n", "city": "c", "state": "s", "postal_code": "", "categories": None}
    numbers = {"latitude": 0.0, "longitude": 0.0, "stars": 4.0, "review_count": 1, "is_open": 1}
    text = json.dumps(attributes) if attributes is not None else None
    schema = {"attributes": pl.String, "categories": pl.String}
    frame = pl.LazyFrame([{**plain, **numbers, "attributes": text}], schema_overrides=schema)
    row = businesses_of(frame).collect().row(0, named=True)
    assert (row["attributes"], row["price_range"], row["categories"]) == (listed, price, None)


@pytest.mark.parametrize(("text", "friends"), [("None", None), ("", None), ("u2", ["u2"]), ("u2, u3", ["u2", "u3"])])
def test_lists_of_friends(text: str, friends: list[str] | None) -> None:
    record = dict.fromkeys(USER_TYPES) | {"user_id": "u1", "friends": text, "yelping_since": "2012-05-01"}
    kinds = {"text": pl.String, "int": pl.Int64, "float": pl.Float64}
    frame = pl.LazyFrame([record], schema={name: kinds[kind] for name, kind in USER_TYPES.items()})
    row = users_of(frame).collect().row(0, named=True)
    assert (row["friends"], row["yelping_since"]) == (friends, 1_335_830_400)


def test_a_review_id_counts_once(folder: Path, tmp_path: Path) -> None:
    put(folder, "review", [REVIEW, {**REVIEW, "review_id": "r2"}, {**REVIEW, "stars": 1.0}])
    table = read(folder, tmp_path / "s")
    assert table.account.dropped == {"a review_id that an earlier record has": 1}
    assert table.frame.collect()["rating"].to_list() == [4, 4]


def test_a_business_with_two_different_records_is_refused(folder: Path, tmp_path: Path) -> None:
    put(folder, "review", [REVIEW])
    put(folder, "business", [{"business_id": "b1", "city": "Reno"}, {"business_id": "b1", "city": "Tampa"}])
    with pytest.raises(DataError, match="'b1' has 2 rows that differ"):
        read(folder, tmp_path / "s")


def test_votes_count_only_on_reviews_that_have_had_the_time(folder: Path, tmp_path: Path) -> None:
    dates = ("2018-07-07 22:09:11", "2018-06-07 22:09:12", "2018-06-07 22:09:11", "2010-01-01 00:00:00")
    put(folder, "review", [{**REVIEW, "review_id": date, "date": date} for date in dates])
    frame = read(folder, tmp_path / "s", maturity_days=30).frame.collect()
    assert frame["mature"].to_list() == [False, False, True, True]


def test_every_leak_is_a_column_of_the_reader_and_none_is_a_feature() -> None:
    excluded = CONFIG["excluded"]
    assert set(excluded) <= set(Yelp.columns)
    leaks = {"business_stars", "business_review_count", "is_open", "friends", "text"}
    leaks |= {f"user_{name}" for name in ("average_stars", "review_count", "fans", "elite", "compliments")}
    assert leaks <= set(excluded)
    features = {key: value for key, value in CONFIG["features"].items() if value}
    used = {value.get(key, name) for name, value in features.items() for key in ("column", "by")}
    assert not used & set(excluded)


# Pairs of users


def pairs_of(frame: pl.DataFrame, label: int) -> list[tuple[str, str]]:
    return frame.filter(pl.col("tie") == label).select("user", "friend").rows()


def friends_in(folder: Path) -> dict[str, set[str]]:
    lines = (folder / "yelp_academic_dataset_user.json").read_text().splitlines()
    return {user["user_id"]: set(user["friends"].split(", ")) for user in map(json.loads, lines)}


@pytest.fixture
def ties(folder: Path, tmp_path: Path) -> pl.DataFrame:
    """All rows of the made-up set with 60 pairs of friends."""
    sample.write(folder)
    return read(folder, tmp_path / "s", ties=60).frame.collect()


def test_a_pair_is_there_once_and_its_label_is_right(folder: Path, ties: pl.DataFrame) -> None:
    listed = friends_in(folder)
    friends, others = pairs_of(ties, 1), pairs_of(ties, 0)
    assert (len(friends), len(others)) == (60, 60)
    assert len({frozenset(pair) for pair in friends + others}) == 120
    assert all(b in listed[a] or a in listed[b] for a, b in friends)
    assert not any(b in listed[a] or a in listed[b] for a, b in others)
    assert all(len(frozenset(pair)) == 2 for pair in friends + others)
    assert len({pair[0] < pair[1] for pair in friends}) == 2  # the direction tells nothing


def test_everybody_is_as_often_in_pairs_of_either_kind(ties: pl.DataFrame) -> None:
    for side in (0, 1):
        friends, others = ([pair[side] for pair in pairs_of(ties, label)] for label in (1, 0))
        assert Counter(friends) == Counter(others)


def test_no_list_of_friends_tells_a_tie_on_any_row(folder: Path, ties: pl.DataFrame) -> None:
    drawn = pairs_of(ties, 1)
    partners = {(a, b) for a, b in drawn} | {(b, a) for a, b in drawn}
    for user, friends in ties.select("user", "friends").rows():
        assert not any((user, friend) in partners for friend in friends or [])
    full = friends_in(folder)
    kept = {user: set(friends) for user, friends in ties.select("user", "friends").rows() if friends is not None}
    for user, friends in kept.items():
        assert friends == {friend for friend in full[user] if (user, friend) not in partners}
    by_label = [ties.filter(pl.col("tie") == label)["friends"].list.len().fill_null(0).sort() for label in (0, 1)]
    assert by_label[0].equals(by_label[1])


def test_pairs_have_no_label_of_reviews_and_reviews_none_of_pairs(ties: pl.DataFrame) -> None:
    pairs = ties.filter(pl.col("table") == "tie")
    assert len(pairs) == 120
    for name in ("item", "rating", "useful", "funny", "cool", "mature", "city"):
        assert pairs[name].null_count() == 120
    reviews = ties.filter(pl.col("table") == "review")
    assert len(reviews) == 400
    assert reviews["tie"].null_count() == reviews["friend"].null_count() == 400


def test_a_pair_stands_at_the_time_of_a_review_and_the_label_does_not_show_in_it(ties: pl.DataFrame) -> None:
    reviews = set(ties.filter(pl.col("table") == "review").select("user", "timestamp").rows())
    pairs = ties.filter(pl.col("table") == "tie").select("user", "timestamp")
    assert set(pairs.rows()) <= reviews
    times = [sorted(ties.filter(pl.col("tie") == label).select("user", "timestamp").rows()) for label in (0, 1)]
    assert times[0] == times[1]
    assert (pairs["timestamp"].n_unique()) > 30


def test_the_draw_depends_on_ids_and_seed_and_not_on_the_order_of_the_file(
    folder: Path, tmp_path: Path, ties: pl.DataFrame
) -> None:
    def drawn(seed: int) -> set[tuple[object, ...]]:
        frame = read(folder, tmp_path / f"again{seed}", ties=60, seed=seed).frame.collect()
        return set(frame.filter(pl.col("table") == "tie").select("user", "friend", "tie", "timestamp").rows())

    path = folder / "yelp_academic_dataset_user.json"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    same = set(ties.filter(pl.col("table") == "tie").select("user", "friend", "tie", "timestamp").rows())
    assert drawn(1) == same
    assert len(drawn(2) & same) < 60


def test_more_ties_than_there_are_gives_all_of_them_and_says_so(folder: Path, tmp_path: Path) -> None:
    sample.write(folder)
    table = read(folder, tmp_path / "s", ties=5000)
    written = set(table.frame.filter(pl.col("table") == "review").collect()["user"])
    listed = friends_in(folder)
    all_pairs = {frozenset((a, b)) for a in listed for b in listed[a] if {a, b} <= written}
    assert {frozenset(pair) for pair in pairs_of(table.frame.collect(), 1)} == all_pairs
    assert any(f"{5000 - len(all_pairs):,} fewer pairs" in note for note in table.notes)


def test_ties_need_a_user_file_with_friends(folder: Path, tmp_path: Path) -> None:
    put(folder, "review", [REVIEW, {**REVIEW, "review_id": "r2", "user_id": "u2"}])
    with pytest.raises(DataError, match=r"data\.reader\.ties=5 .* has no yelp_academic_dataset_user\.json"):
        read(folder, tmp_path / "s", ties=5)
    put(folder, "user", [{"user_id": "u1", "friends": "u1, u9"}, {"user_id": "u2", "friends": "None"}])
    with pytest.raises(DataError, match="no two users of the review file are friends"):
        read(folder, tmp_path / "t", ties=5)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.data())
def test_pairs_of_others_are_a_permutation_without_friends_selves_and_repeats(n: int, data: st.DataObject) -> None:
    every = [(a, b) for a in range(n) for b in range(a + 1, n)]
    known = sorted(data.draw(st.sets(st.sampled_from(every), min_size=1)))
    pairs = np.array(known)
    codes = np.sort(pairs[:, 0] * n + pairs[:, 1])
    other, good = _others(pairs[:, 0], pairs[:, 1], codes, n, np.random.default_rng(0))
    assert sorted(other) == sorted(pairs[:, 1])
    found = [tuple(sorted(pair)) for pair in np.stack([pairs[:, 0], other], 1)[good].tolist()]
    assert len(set(found)) == len(found)
    assert not set(found) & set(known)
    assert all(a != b for a, b in found)


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stars": 7}, r"review\.json: 1 of 2 reviews have stars that are not from 1 to 5, the first is record 2"),
        ({"date": "07/07/2018"}, "1 of 2 reviews have a date that is not like 2018-07-07 22:09:11"),
        ({"user_id": None}, "1 of 2 reviews have no user_id, the first is record 2; mend"),
        ({"stars": "good"}, "line 2: stars is 'good', not a number"),
    ],
)
def test_a_record_that_is_no_review_is_refused(
    folder: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    put(folder, "review", [REVIEW, {**REVIEW, "review_id": "r2", **change}])
    with pytest.raises(DataError, match=message):
        read(folder, tmp_path / "s")


def test_without_the_review_file_there_is_nothing(folder: Path, tmp_path: Path) -> None:
    put(folder, "business", [{"business_id": "b1"}])
    with pytest.raises(DataError, match=r"holds no yelp_academic_dataset_review\.json"):
        read(folder, tmp_path / "s")


@pytest.mark.parametrize("name", ["maturity_days", "ties", "seed"])
def test_an_option_below_zero_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.reader\.{name} must be >= 0, got -1"):
        Yelp(**{name: -1})


# Real files


def test_the_first_5000_reviews(shared_data: Path, tmp_path: Path) -> None:
    table = read(shared_data / "yelp", tmp_path)
    frame = table.frame.collect()
    assert (table.account.read, table.account.kept) == (5000, 5000)
    assert (frame["user"].n_unique(), frame["item"].n_unique()) == (4843, 2663)
    dates = pl.from_epoch(frame["timestamp"].cast(pl.Int64)).dt.date()
    assert (str(dates.min()), str(dates.max())) == ("2005-03-12", "2018-10-04")
    assert frame.filter(pl.col("city").is_not_null())["item"].n_unique() == 914
    assert frame["price_range"].drop_nulls().is_in([1, 2, 3, 4]).all()


def test_the_first_5000_businesses(shared_data: Path) -> None:
    lines = (shared_data / "yelp" / "yelp_academic_dataset_business.json").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        record["attributes"] = json.dumps(record["attributes"]) if record["attributes"] else None
        del record["hours"]
    found = businesses_of(pl.LazyFrame(records, infer_schema_length=None)).collect()
    assert (len(found), found["categories"].null_count()) == (5000, 5)
    prices = found["price_range"].drop_nulls().value_counts().sort("price_range")
    assert prices.rows() == [(1, 986), (2, 1656), (3, 217), (4, 40)]
    listed = Counter(found["attributes"].explode().drop_nulls())
    assert (listed["WiFi=free"], listed["WiFi=no"], listed["HasTV=True"]) == (907 + 238, 482 + 231, 1169)
    assert not any("'" in name or "{" in name or "None" in name for name in listed)
