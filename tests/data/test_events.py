import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.events import EventIndex


def index_of(user, time):
    """The event index by brute force: events by user, time, row; and of each row where its earlier events lie."""
    order = sorted(range(len(user)), key=lambda e: (user[e], time[e], e))
    places = []
    for u, t in zip(user, time, strict=True):
        earlier = [place for place, e in enumerate(order) if user[e] == u and time[e] < t]
        places.append((min(earlier), max(earlier) + 1) if earlier else (0, 0))
    return np.array(order), torch.tensor(places, dtype=torch.int32)


events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=30)


@given(events=events, length=st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_a_history_is_the_last_events_strictly_before_the_row(events, length):
    user, time = zip(*events, strict=True)
    order, places = index_of(user, time)
    # What an event tells is its own row's number, from 1, and its user.
    ids = torch.tensor([[e + 1, user[e] + 1] for e in order], dtype=torch.int32)
    history, mask = EventIndex(ids, length).gather(places)
    assert history.dtype == torch.int64
    assert history.shape == (len(user), length, 2)
    for row in range(len(user)):
        told = history[row][mask[row]]
        assert all(user[e - 1] == user[row] and time[e - 1] < time[row] for e in told[:, 0])
        earlier = sorted((time[e], e) for e in range(len(user)) if user[e] == user[row] and time[e] < time[row])
        assert told[:, 0].tolist() == [e + 1 for _, e in earlier[-length:]]  # all of them, latest last
        assert told[:, 1].tolist() == [user[row] + 1] * len(told)
        assert mask[row].tolist() == sorted(mask[row].tolist())  # they stand at the end
        assert not history[row][~mask[row]].any()


def test_the_index_is_read_and_not_copied(tmp_path):
    np.save(tmp_path / "events.npy", np.arange(1, 2001, dtype=np.int32).reshape(1000, 2))
    ids = torch.from_numpy(np.load(tmp_path / "events.npy", mmap_mode="c"))
    index = EventIndex(ids, 3)
    assert index._windows.data_ptr() == ids.data_ptr()
    history, mask = index.gather(torch.tensor([[990, 1000], [0, 2]]))
    assert history[0].tolist() == [[1995, 1996], [1997, 1998], [1999, 2000]]
    assert history[1].tolist() == [[0, 0], [1, 2], [3, 4]]
    assert mask.tolist() == [[True] * 3, [False, True, True]]
    assert torch.equal(ids, torch.arange(1, 2001, dtype=torch.int32).view(1000, 2))  # nor written to


@pytest.mark.parametrize("n", [0, 1, 5])
def test_no_rows_and_no_events(n):
    index = EventIndex(torch.ones(n, 1, dtype=torch.int32), 4)
    history, mask = index.gather(torch.empty(0, 2, dtype=torch.int32))
    assert history.shape == (0, 4, 1)
    assert mask.shape == (0, 4)
    history, mask = index.to("cpu").gather(torch.zeros(2, 2, dtype=torch.int32))
    assert not history.any()
    assert not mask.any()
    assert len(index) == n
