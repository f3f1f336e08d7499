import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.splits import SPLITS, Events, unseen

RATIOS = (8, 1, 1)


@st.composite
def events(draw):
    n = draw(st.integers(1, 60))
    users = draw(st.lists(st.integers(0, 8), min_size=n, max_size=n))
    times = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))  # many ties
    return Events(np.array(users), np.array(times))


@pytest.mark.parametrize("kind", SPLITS)
@given(data=events(), seed=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_parts_are_a_partition_in_source_order(kind, data, seed):
    parts = SPLITS[kind](data, RATIOS, seed)
    assert list(parts) == ["train", "val", "test"]
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(data.user)))
    assert all((np.diff(rows) > 0).all() for rows in parts.values())


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
    parts = SPLITS[kind](Events(np.zeros(n), np.arange(n)), ratios, 5)
    assert tuple(map(len, parts.values())) == sizes


def test_random_follows_its_seed_alone():
    n = 1000
    first, other = (Events(np.full(n, value), np.arange(n) * value) for value in (1, 2))
    one, same, two = (SPLITS["random"](e, RATIOS, seed) for e, seed in ((first, 1), (other, 1), (first, 2)))
    assert all((one[part] == same[part]).all() for part in one)
    assert not np.array_equal(one["test"], two["test"])
    assert abs(one["test"].mean() - n / 2) < 100


@given(data=events())
@settings(max_examples=60, deadline=None)
def test_global_time_never_tests_before_it_trains(data):
    parts = SPLITS["global_time"](data, RATIOS, 1)
    key = data.time * 1000 + np.arange(len(data.time))  # ties by row
    for early, late in (("train", "val"), ("val", "test"), ("train", "test")):
        if len(parts[early]) and len(parts[late]):
            assert key[parts[early]].max() < key[parts[late]].min()


@given(data=events())
@settings(max_examples=60, deadline=None)
def test_per_user_takes_the_last_two_of_each_user(data):
    parts = SPLITS["per_user"](data, RATIOS, 1)
    for user in np.unique(data.user):
        rows = sorted(np.flatnonzero(data.user == user), key=lambda row: (data.time[row], row))
        expected = {"train": rows, "val": [], "test": []}
        if len(rows) >= 3:
            expected = {"train": rows[:-2], "val": rows[-2:-1], "test": rows[-1:]}
        for part, wanted in expected.items():
            assert sorted(wanted) == [row for row in parts[part] if data.user[row] == user]


def test_unseen_counts():
    parts = {"train": np.array([0, 1]), "val": np.array([2, 3]), "test": np.array([4])}
    assert unseen(np.array([5, 6, 6, 7, 8]), parts) == {"train": 0, "val": 1, "test": 1}
