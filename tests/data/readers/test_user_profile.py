import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from samples import movielens_1m, movielens_100k
from taskloom.data.readers.user_profile import DAY, GENRES, UserProfile
from taskloom.errors import ConfigError, DataError

TARGETS = [*(f"interest_{genre}" for genre in GENRES), "activity", "gender", "age", "occupation", "zip"]
FEATURES = [name for name in UserProfile.columns if name not in TARGETS]
KINDS = [["Drama"], ["Comedy", "Drama"], ["Children's"], []]


def events(*rows):
    """Ratings as (user, item, stars, second); an item's genres and year follow from its number."""
    frame = pl.DataFrame(rows, schema=["user", "item", "rating", "timestamp"], orient="row")
    return frame.cast({"rating": pl.Float64}).with_columns(
        (pl.col("item") + 1950).alias("year"),
        pl.Series("genres", [KINDS[item % 4] for _, item, _, _ in rows], dtype=pl.List(pl.String)),
        pl.when(pl.col("user") % 2 == 0).then(pl.lit("F")).otherwise(pl.lit("M")).alias("gender"),
        pl.lit(25).alias("age"),
        pl.lit(3).alias("occupation"),
        pl.lit("55455").alias("zip"),
    )


def portrait(frame, **options):
    profile = UserProfile(**{"ratings": "100k", "first": 2, "later": 2, "likes": 1, "days": 1} | options)
    return profile.portraits(frame)


def test_a_portrait_by_hand():
    rows, dropped = portrait(
        events(
            *((1, 1, 5, 1000), (1, 0, 3, 4600), (1, 2, 5, 5000), (1, 4, 5, 5001), (1, 8, 1, 6000)),
            *((2, 1, 1, 10), (2, 4, 4, 20)),
            (3, 4, 4, 20),  # too few
            *((2, 0, 1, 4600 + DAY), (1, 9, 1, 4600 + DAY)),  # the end of the data
        )
    )
    assert dropped == 1
    first, second = rows.iter_rows(named=True)
    assert (first["user"], first["cut"], first["events"], first["hours"]) == (1, 4600, 2, 1.0)
    assert (first["mean_rating"], first["sd_rating"], first["mean_year"]) == (4.0, 1.0, 1950.5)
    assert (first["films"], first["liked_films"]) == ([1, 0], [1])
    assert (first["seen_drama"], first["liked_drama"], first["seen_comedy"], first["seen_war"]) == (1.0, 0.5, 0.5, 0.0)
    # The next two are films 2 (for children) and 4 (drama), both liked; the one after them is not counted.
    assert (first["interest_children"], first["interest_drama"], first["interest_comedy"]) == (True, True, False)
    assert first["activity"] == 4  # its day ends with the data
    assert (first["gender"], first["age"], first["zip"]) == ("M", 25, "55455")
    assert (second["user"], second["films"], second["liked_films"]) == (2, [1, 4], [4])
    assert {second[f"interest_{genre}"] for genre in GENRES} == {None}  # one later rating where two are asked for
    assert second["activity"] == 0  # seen to the end of the day, and nothing came


def test_a_second_is_never_cut_in_two():
    rows, _ = portrait(
        events((1, 5, 5, 10), (1, 3, 2, 20), (1, 1, 5, 20), (1, 0, 5, 20), (1, 4, 1, 30), (1, 6, 5, 40), (1, 9, 5, 40))
    )
    assert rows["events"].to_list() == [4]
    assert rows["films"].to_list() == [[5, 0, 1, 3]]
    # Two later ones are asked for: that of second 30, and both of second 40.
    row = rows.row(0, named=True)
    assert (row["interest_children"], row["interest_comedy"]) == (True, True)


def test_users_whose_window_is_not_over_have_no_activity():
    frame = events((1, 1, 5, 0), (1, 2, 5, 0), (1, 3, 5, 9), (2, 1, 5, 5), (2, 2, 5, 5), (2, 3, 5, 5 + DAY - 1))
    rows, _ = portrait(frame)
    assert rows["activity"].to_list() == [1, None]
    assert portrait(frame, days=2)[0]["activity"].to_list() == [None, None]


def test_likes_is_how_many_make_an_interest():
    frame = events((1, 0, 1, 0), (1, 4, 1, 1), (1, 8, 4, 2), (1, 12, 3, 3), (1, 1, 5, 4))
    for likes, said in ((1, True), (2, True), (3, False)):
        assert portrait(frame, later=3, likes=likes)[0]["interest_drama"].to_list() == [said]


LIVES = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 12), st.integers(1, 5), st.integers(0, 30).map(lambda t: t * 7000)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(LIVES, LIVES, st.randoms(use_true_random=False))
def test_later_ratings_never_reach_the_features(before, after, rng):
    """Whatever users rate after their portrait, and in whatever order the file has it, the features stay."""
    plain, _ = portrait(events(*before))
    cuts = dict(plain.select("user", "cut").iter_rows())
    kept = [row for row in before if row[0] not in cuts or row[3] <= cuts[row[0]] or rng.random() < 0.5]
    changed = [
        (user, item, 6 - stars if user in cuts and second > cuts[user] else stars, second)
        for user, item, stars, second in kept
    ]
    added = [(user, item, stars, cuts[user] + 1 + second) for user, item, stars, second in after if user in cuts]
    shuffled = [*changed, *added]
    rng.shuffle(shuffled)
    other, _ = portrait(events(*shuffled))
    assert_frame_equal(plain.select(FEATURES), other.select(FEATURES))


@settings(max_examples=60, deadline=None)
@given(LIVES)
def test_early_ratings_never_reach_the_targets_and_each_rating_is_accounted_for(lives):
    rows, dropped = portrait(events(*lives))
    cuts = dict(rows.select("user", "cut").iter_rows())
    assert dropped == sum(user not in cuts for user, *_ in lives)
    other = [
        (user, item, 6 - stars if second <= cuts.get(user, -1) else stars, second)
        for user, item, stars, second in lives
    ]
    assert_frame_equal(rows.select(TARGETS), portrait(events(*other))[0].select(TARGETS))
    end = max(second for *_, second in lives)
    for user, cut, early, activity in rows.select("user", "cut", "events", "activity").iter_rows():
        own = [second for one, _, _, second in lives if one == user]
        assert early == sum(second <= cut for second in own) >= 2
        assert activity == (sum(cut < second <= cut + DAY for second in own) if cut + DAY <= end else None)


@pytest.mark.parametrize(("ratings", "sample"), [("1m", movielens_1m), ("100k", movielens_100k)])
def test_rows_come_from_the_files_and_each_line_is_accounted_for(ratings, sample, tmp_path):
    sample.write(tmp_path / "raw")
    profile = UserProfile(ratings, first=5, later=5, likes=1)
    raw = profile.acquire(tmp_path / "raw", tmp_path / "data", lambda line: None)
    table = profile.read(raw, tmp_path, lambda line: None)
    frame = table.frame.collect()
    assert tuple(frame.columns) == UserProfile.columns
    assert frame["user"].n_unique() == len(frame) == table.account.kept
    assert frame["interest_drama"].null_count() < len(frame)
    assert profile.files(raw)[0].name == {"1m": "ratings.dat", "100k": "u.data"}[ratings]
    if ratings == "1m":
        assert set(frame["age"].to_list()) == {16, 21, 30, 40, 47, 53, 60}
        assert table.account.dropped == {"ratings gathered into their user's one row": 600 - 40}


def test_users_with_few_ratings_are_counted(tmp_path):
    movielens_1m.write(tmp_path / "raw")
    lines = (tmp_path / "raw" / "ratings.dat").read_text().splitlines(keepends=True)
    (tmp_path / "raw" / "ratings.dat").write_text("".join(lines[12:]))  # user 1 keeps 3 of 15
    profile = UserProfile(first=5, later=5, likes=1)
    raw = profile.acquire(tmp_path / "raw", tmp_path / "data", lambda line: None)
    account = profile.read(raw, tmp_path, lambda line: None).account
    assert account.dropped == {
        "ratings of users with fewer than 5": 3,
        "ratings gathered into their user's one row": 585 - 39,
    }
    assert account.kept == 39
    with pytest.raises(DataError, match=r"no user has 16 ratings; lower data\.reader\.first"):
        UserProfile(first=16).read(raw, tmp_path, lambda line: None)


def test_options_that_have_no_meaning():
    with pytest.raises(ConfigError, match=r"data\.reader\.ratings must be one of 1m, 100k, got '20m'"):
        UserProfile("20m")
    with pytest.raises(ConfigError, match=r"data\.reader\.likes=5 is more than data\.reader\.later=4"):
        UserProfile(later=4, likes=5)


@pytest.mark.slow
def test_all_users_of_1m(shared_data, tmp_path):
    profile = UserProfile("1m")
    raw = profile.acquire(shared_data / "ml-1m" / "ml-1m-all-ratings.zip", tmp_path / "data", lambda line: None)
    frame = profile.read(raw, tmp_path, lambda line: None).frame.collect()
    assert len(frame) == 6040
    assert frame["interest_drama"].drop_nulls().len() == 6040 - 1361
    assert dict(frame["gender"].value_counts().iter_rows()) == {"F": 1709, "M": 4331}
