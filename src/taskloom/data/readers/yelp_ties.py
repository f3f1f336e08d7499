"""Pairs of users for the task tie: who is whose friend, and who could have been but is not."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskloom.data.text_sources import quoted
from taskloom.data.text_table import MEMORY
from taskloom.errors import DataError

ROUNDS = 100  # attempts at replacing pairs that turn out to be friends


@dataclass(frozen=True)
class Ties:
    """Drawn pairs of users.

    Args:
        rows: a pair a row: user, friend, tie (1 for friends, 0 for others), timestamp (seconds).
        partners: user, and ``partners``, the list of those friends whose pair was drawn, either way round.
        notes: lines for people.
    """

    rows: pl.DataFrame
    partners: pl.DataFrame
    notes: list[str]


def tie_rows(users: pl.LazyFrame, reviews: pl.LazyFrame, n: int, seed: int, scratch: Path) -> Ties:
    """Draws pairs of friends, and as many pairs of users who are none.

    A pair is two users who have both written a review and of whom one lists the other. It is drawn once, in one
    direction by chance, so that it can only ever be in one part. The pairs of others join the same first users with
    the same second users in another order (a configuration model: Molloy and Reed 1995), so that everybody is as
    often in a pair of the one kind as in one of the other, and neither a user nor the length of their list tells the
    label. What is drawn depends on the ids and the seed alone, not on the order of the file.

    The lists have no date. A pair of friends and the pair of others with the same first user stand at the same time:
    that of one of this user's reviews, drawn by chance.

    Args:
        users: user, friends (list), one row a user.
        reviews: user, timestamp.
        n: pairs of friends; all there are where they are fewer.
        seed: of the draw.
        scratch: an existing folder for intermediate files.

    Raises:
        DataError: no two reviewers are friends.
    """
    listed = scratch / "friends.parquet"
    reviewers = reviews.select("user").unique()
    users.select("user", "friends").join(reviewers, on="user", how="semi").sink_parquet(listed)
    with duckdb.connect() as connection:
        connection.execute(
            f"SET threads = 2; SET memory_limit = '{MEMORY}'; SET temp_directory = {quoted(str(scratch))};"
            "SET enable_progress_bar = false"
        )
        parquet = f"read_parquet({quoted(str(listed))})"
        connection.execute(
            f"CREATE VIEW reviewers AS SELECT user FROM {parquet}; CREATE VIEW listed AS "
            f"SELECT user, unnest(list_distinct(friends)) AS friend FROM {parquet}"
        )
        pairs = _friends(connection, n, seed)
        if not len(pairs):
            raise DataError("data.reader.ties: no two users of the review file are friends; set data.reader.ties=0")
        ends = np.unique(pairs)
        first, second = np.searchsorted(ends, pairs).T
        known = _known(connection, ends, scratch)
    rng = np.random.default_rng(seed)
    turned = rng.random(len(first)) < 0.5
    first, second = np.where(turned, second, first), np.where(turned, first, second)
    other, good = _others(first, second, known, len(ends), rng)
    times = _times(reviews, ends[first], rng)
    frame = pl.DataFrame(
        {
            "user": np.concatenate([ends[first], ends[first[good]]]),
            "friend": np.concatenate([ends[second], ends[other[good]]]),
            "tie": np.concatenate([np.ones(len(first), dtype=np.int8), np.zeros(int(good.sum()), dtype=np.int8)]),
            "timestamp": np.concatenate([times, times[good]]),
        },
        schema={"user": pl.String, "friend": pl.String, "tie": pl.Int8, "timestamp": pl.Float64},
    )
    both = np.concatenate([np.stack([first, second], 1), np.stack([second, first], 1)])
    partners = pl.DataFrame(
        {"user": ends[both[:, 0]], "partners": ends[both[:, 1]]},
        schema={"user": pl.String, "partners": pl.String},
    )
    notes = [f"ties: {len(first):,} pairs of friends and {int(good.sum()):,} pairs of others, drawn with seed {seed}"]
    if short := n - len(first):
        notes.append(f"ties: {short:,} fewer pairs of friends than asked for, since there are no more")
    if bad := int((~good).sum()):
        notes.append(f"ties: for {bad:,} of them no pair of others was found: their users are friends of too many")
    return Ties(frame, partners.group_by("user", maintain_order=True).agg("partners"), notes)


def _friends(connection: duckdb.DuckDBPyConnection, n: int, seed: int) -> NDArray[np.object_]:
    """(n, 2) ids of friends, each pair once: those with the smallest hash, in its order."""
    entries = connection.execute("SELECT count(*) FROM listed").fetchall()[0][0]
    # Both may list each other, so that a pair comes twice at most. Only what may be among the first is sorted.
    share = 3 * n / max(entries, 1)
    while True:
        found = connection.execute(
            f"SELECT a, b, md5_number_lower(concat({seed}, ' ', a, ' ', b)) AS hash FROM "
            "(SELECT least(l.user, l.friend) AS a, greatest(l.user, l.friend) AS b FROM listed l "
            "SEMI JOIN reviewers r ON l.friend = r.user WHERE l.user <> l.friend) "
            f"WHERE hash <= {min(int(share * 2**64), 2**64 - 1)}"
        ).fetchnumpy()
        kinds = {"a": pl.String, "b": pl.String, "hash": pl.UInt64}
        pairs = pl.DataFrame({name: found[name].tolist() for name in kinds}, schema=kinds).unique()
        if len(pairs) >= n or share >= 1:
            return pairs.sort("hash", "a", "b").head(n).select("a", "b").to_numpy()
        share *= 4


def _known(connection: duckdb.DuckDBPyConnection, ends: NDArray[np.object_], scratch: Path) -> NDArray[np.int64]:
    """Sorted codes of all friendships among the drawn users; see :func:`_code`."""
    numbered = pl.DataFrame({"user": ends, "code": np.arange(len(ends))}, schema={"user": pl.String, "code": pl.Int64})
    file = scratch / "ends.parquet"
    numbered.write_parquet(file)
    connection.execute(f"CREATE VIEW ends AS SELECT * FROM read_parquet({quoted(str(file))})")
    found = connection.execute(
        "SELECT a.code AS a, b.code AS b FROM listed JOIN ends a ON listed.user = a.user "
        "JOIN ends b ON listed.friend = b.user"
    ).fetchnumpy()
    return np.unique(_code(found["a"], found["b"], len(ends)))


def _code(a: NDArray[np.int64], b: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """One number for a pair of users among n, whichever comes first."""
    return np.minimum(a, b) * n + np.maximum(a, b)


def _others(
    first: NDArray[np.int64], second: NDArray[np.int64], known: NDArray[np.int64], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The second users in another order, so that no pair are friends, one person, or there twice.

    Args:
        first, second: (P,) numbers of the users of each pair.
        known: sorted codes of the friends among them.
        n: how many users there are.
        rng: decides.

    Returns:
        (P,) the other second users, and (P,) whether that pair is as it should be.
    """
    other = rng.permutation(second)
    good = _good(first, other, known, n)
    for _ in range(ROUNDS):
        bad, fine = np.flatnonzero(~good), np.flatnonzero(good)
        if not len(bad):
            break
        changed = rng.permutation(other)
        if n_swaps := min(len(bad), len(fine)):
            here, there = rng.permutation(bad)[:n_swaps], rng.choice(fine, n_swaps, replace=False)
            changed = other.copy()
            changed[here], changed[there] = other[there], other[here]
        better = _good(first, changed, known, n)
        if better.sum() >= good.sum():
            other, good = changed, better
    return other, good


def _good(first: NDArray[np.int64], other: NDArray[np.int64], known: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    codes = _code(first, other, n)
    once = np.zeros(len(codes), dtype=bool)
    once[np.unique(codes, return_index=True)[1]] = True
    # np.isin would sort the friendships anew in each round.
    friends = known[np.minimum(np.searchsorted(known, codes), len(known) - 1)] == codes
    return once & (first != other) & ~friends


def _times(reviews: pl.LazyFrame, users: NDArray[np.object_], rng: np.random.Generator) -> NDArray[np.float64]:
    """For each of these users the time of one of their reviews, drawn by chance."""
    wanted = pl.DataFrame({"user": np.unique(users)}, schema={"user": pl.String})
    times = (
        reviews.select("user", "timestamp")
        .join(wanted.lazy(), on="user", how="semi")
        .collect(engine="streaming")
        .sort("user", "timestamp")
    )
    start = np.searchsorted(times["user"].to_numpy(), users, side="left")
    end = np.searchsorted(times["user"].to_numpy(), users, side="right")
    return times["timestamp"].to_numpy()[start + (rng.random(len(users)) * (end - start)).astype(np.int64)]
