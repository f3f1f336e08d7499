import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.earlier import earlier, sort, statistic


@st.composite
def rows(draw, floats=False):
    n = draw(st.integers(0, 40))
    key = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), dtype=np.int32)
    time = np.array(draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n)), dtype=float if floats else np.int64)
    member = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    return key, time, member


@pytest.mark.parametrize("floats", [False, True])
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_it_is_what_a_loop_over_all_pairs_finds(floats, data):
    key, time, member = data.draw(rows(floats))
    found = earlier(key, time, member)
    for i in range(len(key)):
        seen = found.order[found.start[i] : found.end[i]].tolist()
        wanted = [j for j in range(len(key)) if member[j] and key[j] == key[i] and time[j] < time[i]]
        assert seen == sorted(wanted, key=lambda j: (time[j], j))


@given(rows())
@settings(max_examples=60, deadline=None)
def test_the_fast_way_to_sort_gives_the_order_of_the_slow_one(data):
    key, time, _ = data
    np.testing.assert_array_equal(sort(key, time), sort(key, time.astype(float)))


def test_times_too_far_apart_for_one_key():
    key, time = np.array([1, 0, 1]), np.array([2**62, 5, -(2**62)])
    assert sort(key, time).tolist() == [1, 2, 0]


@given(rows(), st.sampled_from(["mean", "count", "sum"]))
@settings(max_examples=60, deadline=None)
def test_statistics_against_a_loop(data, take):
    key, time, member = data
    values = np.where(np.arange(len(key)) % 3 == 0, np.nan, np.arange(len(key)) / 2)
    found = earlier(key, time, member)
    result = statistic(found, values, take)
    for i in range(len(key)):
        seen = [values[j] for j in found.order[found.start[i] : found.end[i]] if values[j] == values[j]]
        wanted = {"count": len(seen), "sum": sum(seen), "mean": np.mean(seen) if seen else np.nan}[take]
        np.testing.assert_allclose(result[i], wanted)
