"""Negatives: items that a user has not met, beside the rows that a task was observed on."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskloom.data.catalogue import Catalogue
from taskloom.schema import Batch, concatenate

Rule = Literal["uniform", "popularity"]

#: draws for one negative before it is given up
TRIES = 8
#: rows whose frozen negatives are drawn at once
CHUNK = 65536


class Pairs:
    """Which user has which item in training.

    Args:
        keys: int64 (P,), sorted: user · I + the item's place in the catalogue; the user as in ``Batch.group``.
        n_items: I.

    Example:
        >>> pairs = Pairs(torch.tensor([1, 12, 14]), n_items=10)
        >>> pairs.contains(torch.tensor([0, 0, 1]), torch.tensor([1, 2, 4])).tolist()
        [True, False, True]
        >>> pairs.of(1).tolist()
        [2, 4]
    """

    def __init__(self, keys: Tensor, n_items: int) -> None:
        self.keys, self.n_items = keys, n_items

    def to(self, device: torch.device | str) -> "Pairs":
        """The same pairs on another device."""
        return Pairs(self.keys.to(device), self.n_items)

    def contains(self, group: Tensor, places: Tensor) -> Tensor:
        """Whether users have items: bool, of the shape of both."""
        if not len(self.keys):
            return torch.zeros_like(places, dtype=torch.bool)
        wanted = group.long() * self.n_items + places
        found = torch.searchsorted(self.keys, wanted).clamp_(max=len(self.keys) - 1)
        return self.keys.take(found) == wanted

    def of(self, group: int) -> Tensor:
        """Places in the catalogue of one user's items, int64, ascending."""
        ends = torch.tensor([group * self.n_items, (group + 1) * self.n_items], device=self.keys.device)
        first, last = torch.searchsorted(self.keys, ends).tolist()
        return self.keys[first:last] - group * self.n_items


class Negatives:
    """Rows with an item that was not chosen, drawn for the rows of a batch on which a task was observed.

    A negative has its row's user, context and history, an item drawn from those that existed at the row's time, the
    target 0 for the task, and no label of any other task. Which item is a hash of the seed, the epoch, the row's place
    in the epoch and the negative's number, so that a run that goes on, or has another number of ranks, draws the same.
    An item that the user has in training is drawn anew, up to 7 times, and then goes without a label.

    Args:
        catalogue: the items.
        pairs: which user has which item in training.
        task: which of the K selected tasks it is for.
        per_row: negatives of a row.
        rule: ``uniform`` over the items that existed, or by ``popularity``: the item of a random training event up
            to the row's time.
        seed: of the draws.
        popularity: integers (E,), the place in the catalogue of each training event's item, in order of time; needed
            by the rule ``popularity`` alone.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        pairs: Pairs,
        task: int,
        per_row: int,
        rule: Rule,
        seed: int,
        popularity: Tensor | None = None,
    ) -> None:
        self.catalogue, self.pairs, self.task = catalogue, pairs, task
        self.per_row, self.rule, self.seed, self.popularity = per_row, rule, seed, popularity

    def to(self, device: torch.device | str) -> "Negatives":
        """The same on another device."""
        popularity = None if self.popularity is None else self.popularity.to(device)
        parts = self.catalogue.to(device), self.pairs.to(device)
        return Negatives(*parts, self.task, self.per_row, self.rule, self.seed, popularity)

    def draw(self, group: Tensor, reach: Tensor, positions: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """Items for rows of a training batch.

        Args:
            group: integers (B,), the rows' users.
            reach: integers (B, 2), how many items, and how many training events, there are by each row's time.
            positions: int64 (B,), the rows' places in the epoch.
            epoch: the epoch.

        Returns:
            Places in the catalogue, int64 (B, per_row), and which of them may have a label, bool (B, per_row).
        """
        drawer = _Drawer(_key(self.seed, epoch), self.per_row, reach, self.rule, self.popularity)
        users = group.long().unsqueeze(1).expand(-1, self.per_row)
        places = drawer.draw(positions)
        bad = self.pairs.contains(users, places) | drawer.nothing
        for attempt in range(1, TRIES):
            b, j = bad.nonzero(as_tuple=True)
            if not len(b):
                break
            places[b, j] = again = drawer.redraw(positions, attempt, b, j)
            bad[b, j] = self.pairs.contains(users[b, j], again) | drawer.nothing[b, 0]
        return places, ~bad

    def extend(
        self,
        batch: Batch,
        places: Tensor,
        wanted: Tensor,
        labelled: Tensor,
        columns: Sequence[int],
        prior: Sequence[int] = (),
    ) -> Batch:
        """A batch with negatives behind its rows; number j of the n of row r is row -(r * n + j) - 1.

        Args:
            batch: B rows.
            places: int64 (B, n), items' places in the catalogue.
            wanted: bool (B, n), which of them become rows.
            labelled: bool (B, n), which of these have a label.
            columns: where the task's targets stand among the T target columns.
            prior: positions of the categorical columns that are the prior.
        """
        of, number = wanted.nonzero(as_tuple=True)
        negatives = batch.select(of)
        negatives.row = -(negatives.row * places.shape[1] + number) - 1
        categorical, bags, dense = self.catalogue.place(negatives, places[of, number])
        negatives.categorical, negatives.bags, negatives.dense = categorical, bags, dense
        negatives.targets.fill_(float("nan"))
        negatives.targets[:, list(columns)] = 0
        negatives.labelled.fill_(False)
        negatives.labelled[:, self.task] = labelled[of, number]
        if negatives.target_noise is not None:
            negatives.target_noise.zero_()
        if negatives.label_source is not None:
            negatives.label_source = negatives.labelled.long()
        if negatives.prior is not None:
            negatives.prior = categorical[:, list(prior)]
        return concatenate([batch, negatives])


def freeze(
    row: NDArray[np.int64],
    group: NDArray[np.integer],
    own: NDArray[np.integer],
    reach: NDArray[np.integer],
    pairs: NDArray[np.int64],
    n_items: int,
    per_row: int,
    rule: Rule,
    popularity: NDArray[np.integer] | None,
    seed: int,
    out: NDArray[np.int32] | None = None,
) -> NDArray[np.int32]:
    """The negatives of an evaluation, drawn once for good: different items for each row, none that the user knows.

    They are drawn as those of training are, by a hash of the seed and the row's number. A row that has too few even so
    takes what is left of the items that existed by its time, in an order by hash; -1 where nothing is left.

    Args:
        row: (N,), the rows' numbers in the source.
        group: (N,), their users.
        own: (N,), the place of each row's own item in the catalogue; -1 where training lacks it.
        reach: (N, 2), how many items, and how many training events, there are by each row's time.
        pairs, popularity: as for ``Pairs`` and ``Negatives``.
        n_items: I.
        per_row: negatives of a row.
        rule: ``uniform`` or ``popularity``.
        seed: of the draws; the split's own.
        out: (N, per_row), where to write them, such as a memory-mapped file.

    Returns:
        Places in the catalogue, (N, per_row); -1 at the end of a row that has fewer.

    Example:
        >>> two, none = np.zeros(2, int), np.full(2, -1)
        >>> drawn = freeze(np.arange(2), two, none, np.array([[2, 0], [4, 0]]), np.array([1]), 4, 3, "uniform", None, 1)
        >>> np.sort(drawn).tolist()  # user 0 has item 1; two and four items exist
        [[-1, -1, 0], [0, 2, 3]]
    """
    out = np.empty((len(row), per_row), np.int32) if out is None else out
    known = Pairs(torch.from_numpy(pairs), n_items)
    popular = None if popularity is None else torch.from_numpy(popularity)
    for start in range(0, len(row), CHUNK):
        part = slice(start, start + CHUNK)
        rows, users, owned, reached = (torch.from_numpy(x[part].astype(np.int64)) for x in (row, group, own, reach))
        drawer = _Drawer(_key(seed), per_row, reached, rule, popular)
        out[part] = _different(drawer, known, rows, users, owned).numpy()
    return out


def digest(drawn: NDArray[np.int32]) -> str:
    """The sha256 of frozen negatives, in hexadecimal digits.

    Example:
        >>> digest(np.array([[3, -1]], np.int32)) == digest(np.array([[-1, 3]], np.int32))
        False
    """
    return hashlib.sha256(np.ascontiguousarray(drawn, "<i4").data).hexdigest()


def _different(drawer: "_Drawer", pairs: Pairs, rows: Tensor, users: Tensor, own: Tensor) -> Tensor:
    """Frozen negatives of B rows, (B, n)."""
    places = drawer.draw(rows)
    wide = users.unsqueeze(1).expand_as(places)
    barred = pairs.contains(wide, places) | (places == own.unsqueeze(1)) | drawer.nothing
    bad, todo = barred | _repeated(places), torch.arange(len(rows))
    for attempt in range(1, TRIES):
        todo, bad = todo[bad.any(1)], bad[bad.any(1)]
        b, j = bad.nonzero(as_tuple=True)
        b = todo[b]
        places[b, j] = again = drawer.redraw(rows, attempt, b, j)
        barred[b, j] = pairs.contains(users[b], again) | (again == own[b]) | drawer.nothing[b, 0]
        bad = barred[todo] | _repeated(places[todo])
    places[todo] = places[todo].masked_fill(bad, -1)
    for b in todo[bad.any(1)].tolist():
        left = torch.zeros(pairs.n_items + 1, dtype=torch.bool)  # the last is where -1 points to
        left[: int(drawer.reach[b, 0])] = True
        left[torch.cat([pairs.of(int(users[b])), places[b], own[b : b + 1]])] = False
        rest = left.nonzero().squeeze(1)
        rest = rest[_hash(drawer.key, rows[b] * len(left) + rest).argsort()]
        kept = torch.cat([places[b][places[b] >= 0], rest])[: places.shape[1]]
        places[b] = torch.nn.functional.pad(kept, (0, places.shape[1] - len(kept)), value=-1)
    return places


def _repeated(places: Tensor) -> Tensor:
    """Which entries (B, n) repeat an earlier one of their row."""
    ordered, where = places.sort(dim=1, stable=True)
    repeats = torch.zeros_like(places, dtype=torch.bool)
    return repeats.scatter_(1, where[:, 1:], ordered[:, 1:] == ordered[:, :-1])


class _Drawer:
    """Draws of B rows: each a hash of its row's counter, its number and the attempt."""

    def __init__(self, key: int, n: int, reach: Tensor, rule: Rule, popularity: Tensor | None) -> None:
        self.key, self.n, self.reach = key, n, reach
        self.popularity = popularity if rule == "popularity" else None
        bound = reach[:, 0 if self.popularity is None else 1].long().unsqueeze(1)
        self.nothing = bound < 1
        self.bound = bound.clamp(min=1)

    def draw(self, counters: Tensor) -> Tensor:
        """The first draws, (B, n)."""
        counters = counters.unsqueeze(1) * self.n + torch.arange(self.n, device=counters.device)
        return self._item(_hash(self.key, counters * TRIES), self.bound)

    def redraw(self, counters: Tensor, attempt: int, b: Tensor, j: Tensor) -> Tensor:
        """Other draws, for entries (b, j)."""
        return self._item(_hash(self.key, (counters[b] * self.n + j) * TRIES + attempt), self.bound[b, 0])

    def _item(self, hashed: Tensor, bound: Tensor) -> Tensor:
        place = (hashed & _LARGEST).remainder_(bound)
        if self.popularity is None:
            return place
        return self.popularity.take(place.clamp_(max=len(self.popularity) - 1)).long()


# SplitMix64 (Steele et al. 2014), on signed integers: the n-th number of a stream is a hash of its key and n.
_LARGEST = (1 << 63) - 1
_STEP, _FIRST, _SECOND = (x - (1 << 64) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _hash(key: int, counters: Tensor) -> Tensor:
    """64 random bits for each counter, int64."""
    x = counters * _STEP + key
    x = (x ^ _shifted(x, 30)).mul_(_FIRST)
    x = (x ^ _shifted(x, 27)).mul_(_SECOND)
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """A shift to the right that fills up with zeros."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _key(*seeds: int) -> int:
    """64 bits, signed, for a stream of draws."""
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0].astype(np.int64))
