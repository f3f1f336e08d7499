"""What came before: for each row the strictly earlier rows with the same key."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Earlier:
    """Member rows sorted by key and time, and where each row's earlier ones lie among them.

    Args:
        order: (E,) row numbers of the members, by key, then time, then row.
        start: (N,) first place in ``order`` of the row's key.
        end: (N,) one behind the last place that is strictly earlier than the row: the rows of ``start`` to ``end`` have
            the same key and an earlier time. A tie in time is not earlier, so that rows of one moment do not see
            each other.
    """

    order: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]


def sort(key: NDArray, time: NDArray) -> NDArray[np.int32]:
    """Rows by key, then time, then row.

    Args:
        key: (N,) whole numbers from 0.
        time: (N,) numbers.

    Example:
        >>> sort(np.array([1, 0, 1]), np.array([5, 9, 4])).tolist()
        [1, 2, 0]
    """
    if len(key) and np.issubdtype(time.dtype, np.integer):
        span = int(time.max()) - int(time.min()) + 1
        if (int(key.max()) + 1) * span < 2**63:  # one key of both sorts some ten times faster than two in turn
            both = key.astype(np.int64) * span
            both += time.astype(np.int64)
            both -= int(time.min())
            return np.argsort(both, kind="stable").astype(np.int32)
    return np.lexsort((time, key)).astype(np.int32)


def earlier(
    key: NDArray, time: NDArray, member: NDArray[np.bool_] | None = None, by: NDArray[np.int32] | None = None
) -> Earlier:
    """The strictly earlier rows of every row.

    Args:
        key: (N,) whole numbers: whose history it is.
        time: (N,) numbers.
        member: (N,) which rows can be seen; None for all.
        by: what ``sort`` gives, where it is known already.

    Example:
        >>> found = earlier(np.array([5, 5, 6, 5]), np.array([2, 1, 1, 2]))
        >>> [found.order[a:b].tolist() for a, b in zip(found.start, found.end)]
        [[1], [], [], [1]]
    """
    by = sort(key, time) if by is None else by
    n = len(by)
    sorted_key, sorted_time = key[by], time[by]
    new_key = np.ones(n, dtype=bool)
    new_key[1:] = sorted_key[1:] != sorted_key[:-1]
    new_moment = new_key.copy()
    new_moment[1:] |= sorted_time[1:] != sorted_time[:-1]
    del sorted_key, sorted_time
    place = np.arange(n, dtype=np.int32)
    seen = np.ones(n, dtype=bool) if member is None else member[by]
    before = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(seen, out=before[1:])
    start, end = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    start[by] = before[np.maximum.accumulate(np.where(new_key, place, 0))]
    end[by] = before[np.maximum.accumulate(np.where(new_moment, place, 0))]
    return Earlier(by[seen], start, end)


def statistic(found: Earlier, values: NDArray | None, take: str) -> NDArray[np.float64]:
    """Mean, count or sum over each row's earlier rows; NaN for the mean of none.

    Args:
        found: the earlier rows.
        values: (N,) numbers, NaN where unknown (left out); None for a count of rows.
        take: ``mean``, ``count`` or ``sum``.

    Example:
        >>> found = earlier(np.array([5, 5, 5]), np.array([1, 2, 3]))
        >>> statistic(found, np.array([4.0, 2.0, 9.0]), "mean").tolist()
        [nan, 4.0, 3.0]
    """
    if values is None:
        return (found.end - found.start).astype(np.float64)
    mine = values[found.order].astype(np.float64)
    known = ~np.isnan(mine)
    counts = np.concatenate([[0], np.cumsum(known)])
    n = (counts[found.end] - counts[found.start]).astype(np.float64)
    if take == "count":
        return n
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, mine, 0.0))])
    total = sums[found.end] - sums[found.start]
    with np.errstate(invalid="ignore", divide="ignore"):
        return total if take == "sum" else np.where(n > 0, total / n, np.nan)
