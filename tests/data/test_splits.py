import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.sections import SplitSpec
from taskloom.data.splits import PARTS, SPLITS, Events, core, sample, unseen
from taskloom.data.splits import given as by_column
from taskloom.errors import ConfigError, DataError

RATIOS = (8, 1, 1)


def split(kind, data, ratios=RATIOS, seed=1, **options):
    """Rows of each part."""
    column = {"column": "user"} if kind == "group" else {}
    part = SPLITS[kind](data, SplitSpec(kind, ratios, seed, **column, **options))
    return {name: np.flatnonzero(part == place) for place, name in enumerate(PARTS)}


@st.composite
def events(draw):
    n = draw(st.integers(1, 60))
    users = draw(st.lists(st.integers(0, 8), min_size=n, max_size=n))
    times = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))  # many ties
    return Events(n, np.array(users), np.array(times), key=np.array(users))


@pytest.mark.parametrize("kind", SPLITS)
@given(data=events(), seed=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_parts_are_a_partition_in_source_order(kind, data, seed):
    parts = split(kind, data, seed=seed)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(data.user)))


@pytest.mark.parametrize("kind", ["random", "global_time"])
@pytest.mark.parametrize(
    ("n", "ratios", "sizes"),
    [
        (100_000, (8, 1, 1), (80_000, 10_000, 10_000)),
        (10, (0.8, 0.1, 0.1), (8, 1, 1)),
        (7, (1, 1, 1), (2, 2, 3)),
    ],
)
def test_sizes_are_exact(kind, n, ratios, sizes):
    parts = split(kind, Events(n, np.zeros(n), np.arange(n)), ratios, 5)
    assert tuple(map(len, parts.values())) == sizes


def test_random_follows_its_seed_alone():
    n = 1000
    first, other = (Events(n, np.full(n, value), np.arange(n) * value) for value in (1, 2))
    one, same, two = (split("random", e, seed=seed) for e, seed in ((first, 1), (other, 1), (first, 2)))
    assert all((one[part] == same[part]).all() for part in one)
    assert not np.array_equal(one["test"], two["test"])
    assert abs(one["test"].mean() - n / 2) < 100


@given(data=events())
@settings(max_examples=60, deadline=None)
def test_global_time_never_tests_before_it_trains(data):
    parts = split("global_time", data)
    key = data.time * 1000 + np.arange(len(data.time))  # ties by row
    for early, late in (("train", "val"), ("val", "test"), ("train", "test")):
        if len(parts[early]) and len(parts[late]):
            assert key[parts[early]].max() < key[parts[late]].min()


@pytest.mark.parametrize("n", [1, 2])
@given(data=events())
@settings(max_examples=60, deadline=None)
def test_leave_last_takes_the_last_of_each_user(n, data):
    parts = split("leave_last", data, n=n)
    for user in np.unique(data.user):
        rows = sorted(np.flatnonzero(data.user == user), key=lambda row: (data.time[row], row))
        expected = {"train": rows, "val": [], "test": []}
        if len(rows) > 2 * n:
            expected = {"train": rows[: -2 * n], "val": rows[-2 * n : -n], "test": rows[-n:]}
        for part, wanted in expected.items():
            assert sorted(wanted) == [row for row in parts[part] if data.user[row] == user]


@given(data=events())
@settings(max_examples=60, deadline=None)
def test_per_user_cuts_each_users_time(data):
    parts = split("per_user", data, (2, 1, 1))
    for user in np.unique(data.user):
        rows = sorted(np.flatnonzero(data.user == user), key=lambda row: (data.time[row], row))
        ends = [len(rows) // 2, len(rows) * 3 // 4]
        wanted = {"train": rows[: ends[0]], "val": rows[ends[0] : ends[1]], "test": rows[ends[1] :]}
        assert {part: [r for r in found if data.user[r] == user] for part, found in parts.items()} == {
            part: sorted(found) for part, found in wanted.items()
        }


@given(data=events(), seed=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_a_group_is_in_one_part(data, seed):
    parts = split("group", data, seed=seed)
    users = [set(data.user[rows].tolist()) for rows in parts.values()]
    assert sum(map(len, users)) == len(set.union(*users))


@pytest.mark.parametrize("kind", ["random", "group"])
def test_each_row_is_tested_in_one_fold(kind):
    data = Events(30, key=np.arange(30) // 2)
    tested, validated = (
        np.concatenate([split(kind, data, folds=5, fold=fold)[part] for fold in range(5)]) for part in ("test", "val")
    )
    assert sorted(tested.tolist()) == sorted(validated.tolist()) == list(range(30))
    first, second = (split(kind, data, folds=5, fold=fold) for fold in (0, 1))
    np.testing.assert_array_equal(first["val"], second["test"])


def test_a_column_names_the_parts_and_validation_is_carved_out_by_its_key():
    n = 3000
    key = np.arange(n) // 3
    names = ["test" if k % 5 == 0 else "log_random" if k % 5 == 1 else "train" for k in key.tolist()]
    spec = SplitSpec("column", (9, 1, 1), column="part", by="group")
    part, all_names = by_column(names, Events(n, key=key), spec)
    assert all_names == ["train", "val", "test", "log_random"]
    assert {key[part == a].tolist()[0] % 5 for a in (2,)} == {0}
    assert not set(key[part == 0].tolist()) & set(key[part == 1].tolist())
    share = (part == 1).sum() / (part <= 1).sum()
    assert abs(share - 0.1) < 0.03
    other, _ = by_column(names, Events(n, key=key), SplitSpec("column", (9, 1, 1), 2, column="part", by="group"))
    assert (other != part).any()
    # A key's place does not depend on what other rows there are.
    fewer, _ = by_column(names[:900], Events(900, key=key[:900]), spec)
    np.testing.assert_array_equal(fewer, part[:900])


@pytest.mark.parametrize("name", ["catalogue", "a/b", "..", "log random"])
def test_a_test_set_is_named_as_a_folder_can_be(name):
    with pytest.raises(DataError, match="cannot be the name of a test set"):
        by_column(["train", "test", name], Events(3), SplitSpec("column", column="part"))


def test_a_column_that_names_no_test_rows():
    with pytest.raises(DataError, match=r"data\.split\.column: no row is 'test'"):
        by_column(["train", "val"], Events(2), SplitSpec("column", column="part"))


@given(data=events(), least=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_core_has_enough_training_rows_and_no_row_too_few(data, least):
    part = SPLITS["random"](data, SplitSpec("random"))
    kept, out = core(data.user, data.time, part, {"user": least, "item": least})
    assert out == int(((kept == -1) & (part != -1)).sum())
    for codes in (data.user, data.time):
        counts = np.bincount(codes[kept == 0], minlength=codes.max() + 1)
        assert (counts[codes[kept >= 0]] >= least).all()
    if least == 1 and not np.isin(part, (1, 2)).any():
        assert out == 0


def test_a_sample_keeps_whole_users_and_moves_no_row():
    user = np.arange(20_000) % 997
    parts = split_of(user)
    kept, out = sample(parts, user, SplitSpec(sample=0.2))
    there = kept != -1
    assert (kept[there] == parts[there]).all()
    assert out == (~there).sum()
    assert not set(user[there]) & set(user[~there])
    assert len(set(user[there])) == pytest.approx(200, abs=40)
    other, _ = sample(parts, user, SplitSpec(seed=2, sample=0.2))
    assert len(set(user[there]) & set(user[other != -1])) < 90
    rows, _ = sample(parts, None, SplitSpec(sample=0.2))
    assert len(set(user[rows != -1])) > 900


def split_of(user):
    return SPLITS["random"](Events(len(user), user), SplitSpec())


def test_a_sample_is_independent_of_the_split():
    """Of a column's split, whose validation is carved out by a hash of the same key, all parts keep their share."""
    user = np.arange(5000)
    parts, _ = by_column(["test" if n % 5 == 0 else "train" for n in user], Events(5000, user, key=user), SplitSpec())
    kept, _ = sample(parts, user, SplitSpec(sample=0.3))
    for place in range(3):
        assert (kept == place).sum() == pytest.approx(0.3 * (parts == place).sum(), rel=0.15)


def test_unseen_counts():
    parts = np.array([0, 0, 1, 1, 2], dtype=np.int8)
    assert unseen(np.array([5, 6, 6, 7, 8]), parts, PARTS) == {"train": 0, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "group"}, r"data\.split\.kind=group needs data\.split\.column"),
        ({"kind": "global_time", "folds": 5}, r"data\.split\.folds goes with kind random or group"),
        ({"sample": 0}, r"data\.split\.sample is the share of users to keep, above 0 and up to 1; got 0"),
        ({"sample": 1.5}, r"data\.split\.sample is the share"),
        ({"kind": "random", "folds": 2}, r"data\.split\.folds must be at least 3"),
        ({"kind": "random", "folds": 5, "fold": 5}, r"data\.split\.fold must be from 0 to 4, got 5"),
    ],
)
def test_splits_that_cannot_be(options, says):
    with pytest.raises(ConfigError, match=says):
        SplitSpec(**options)
