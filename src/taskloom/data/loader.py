"""Batches straight from column arrays: one gather a tensor, nothing a row."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from taskloom.data.events import EventIndex
from taskloom.data.negatives import Negatives
from taskloom.data.order import Order, Sampling, permutation
from taskloom.schema import Batch

__all__ = ["ColumnLoader", "Columns", "Extras", "ShuffledLoader", "mapped", "permutation"]


def mapped(path: Path) -> Tensor:
    """An array of a file, memory-mapped.

    Args:
        path: a ``.npy`` file.

    Raises:
        OSError, ValueError: it is missing or damaged.
    """
    # Copy-on-write pages: torch gets an array that it may call writable, the file stays as it is.
    return torch.from_numpy(np.load(path, mmap_mode="c"))


@dataclass(frozen=True)
class Columns:
    """The rows of one part of a data set, column by column. Ids are integers of any width: int32 on disk.

    Args:
        categorical: ids (N, F).
        bags: ids (N, W).
        dense: float32 (N, C).
        targets: float32 (N, T), NaN where there is no label.
        group: integers (N,).
        row: int64 (N,), the row's number in the source.
        history: integers (N, 2), the places [start, end) of its user's earlier events in the event index.
        source: integers (N,), which of several stacked tables it is of.
        noise: float32 (N, T), standard deviation of a label's error; NaN where it is not known.
        reach: integers (N, 2), how many items of the catalogue, and how many training events, there are by its time.
        drawn: integers (N, n), frozen negatives: places in the catalogue, -1 for none.
    """

    categorical: Tensor
    bags: Tensor
    dense: Tensor
    targets: Tensor
    group: Tensor
    row: Tensor
    history: Tensor | None = None
    source: Tensor | None = None
    noise: Tensor | None = None
    reach: Tensor | None = None
    drawn: Tensor | None = None

    @classmethod
    def open(cls, folder: Path) -> "Columns":
        """The files of a folder, each named after its column and memory-mapped; the optional ones where they are.

        Raises:
            OSError, ValueError: a file is missing or damaged.
        """
        paths = {field.name: folder / f"{field.name}.npy" for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is not None}
        return cls(**{name: mapped(path) for name, path in paths.items() if name in needed or path.exists()})

    def __len__(self) -> int:
        return self.row.shape[0]

    def select(self, rows: Tensor) -> "Columns":
        """Some of the rows, copied: int64 (M,) positions."""
        return self._each(lambda column: column.index_select(0, rows))

    def to(self, device: torch.device | str) -> "Columns":
        """The same rows on another device."""
        return self._each(lambda column: column.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Columns":
        return Columns(**{name: change(column) for name, column in vars(self).items() if column is not None})


@dataclass(frozen=True)
class Extras:
    """What batches hold beside the columns of their rows.

    Args:
        events: what histories are gathered from.
        negatives: what draws negatives.
        prior: positions of the categorical columns that are given as ``Batch.prior`` too.
    """

    events: EventIndex | None = None
    negatives: Negatives | None = None
    prior: tuple[int, ...] = ()

    def to(self, device: torch.device | str) -> "Extras":
        """The same on another device."""
        events = None if self.events is None else self.events.to(device)
        return Extras(events, None if self.negatives is None else self.negatives.to(device), self.prior)


class ColumnLoader:
    """All rows in order, a batch at a time.

    Each rank takes the places rank, rank + world_size, ... of every batch, so that a batch holds the same
    rows on any number of ranks. No row is padded or given twice: ranks may differ by a row, and one gets an
    empty batch where the last batch has fewer rows than there are ranks; all have equally many batches.

    Batches are gathered where the columns are: on an accelerator if they were moved there. Negatives stand behind
    the rows of a batch. They are the frozen ones of an evaluation, or else drawn as in the first epoch.

    Args:
        columns: the rows.
        task_columns: for each of the K selected tasks, where its targets stand among the T target columns.
        batch_size: rows of a batch over all ranks, negatives not counted.
        rank, world_size: this process's place among those that share each batch.
        extras: histories, negatives and prior.
    """

    def __init__(
        self,
        columns: Columns,
        task_columns: Sequence[Sequence[int]],
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        *,
        extras: Extras = Extras(),
    ) -> None:
        self.columns = columns
        self.batch_size = batch_size
        self.rank, self.world_size = rank, world_size
        self.extras = extras
        self._task_columns = [list(places) for places in task_columns]
        # Where task k's only label is column k, as a rule, the mask needs no gather of its own.
        self._plain = self._task_columns == [[place] for place in range(columns.targets.shape[1])]

    def __len__(self) -> int:
        return -(-len(self.columns) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.arange(len(self.columns))
        for start in range(0, len(order), self.batch_size):
            yield self._batch(order[start : start + self.batch_size], start)

    def sample(self, n: int) -> Batch:
        """A batch of n rows at most, drawn at random from all, and the same ones each time; nothing else moves.

        Args:
            n: rows over all ranks, negatives not counted.
        """
        drawn = random.Random(0).sample(range(len(self.columns)), min(n, len(self.columns)))
        return self._batch(torch.tensor(drawn, dtype=torch.int64), 0)

    def _batch(self, rows: Tensor, start: int, epoch: int = 0) -> Batch:
        """This rank's share of the global batch of these rows, which begins at a place of an epoch."""
        extras, negatives = self.extras, self.extras.negatives
        rows = rows.to(self.columns.row.device)
        mine = rows[self.rank :: self.world_size]
        picked = self.columns.select(mine)
        labelled = self._labelled(picked.targets)
        batch = Batch(
            picked.categorical.long(),
            picked.bags.long(),
            picked.dense,
            picked.targets,
            labelled,
            picked.group.long(),
            picked.row,
            rows_global=len(rows),
        )
        if extras.events is not None and picked.history is not None:
            batch.history, batch.history_mask = extras.events.gather(picked.history)
        if picked.noise is not None:
            batch.target_noise = picked.noise.nan_to_num(0)
            noisy = torch.stack([(batch.target_noise[:, k] > 0).any(1) for k in self._task_columns], dim=1)
            batch.label_source = labelled * (1 + noisy.long())
        if extras.prior:
            batch.prior = batch.categorical[:, list(extras.prior)]
        if negatives is None or (picked.drawn is None and picked.reach is None):
            return batch
        return self._with_negatives(negatives, batch, picked, rows, start, epoch)

    def _labelled(self, targets: Tensor) -> Tensor:
        """Which of B rows have a label of which task, bool (B, K)."""
        there = ~torch.isnan(targets)
        return there if self._plain else torch.stack([there[:, k].all(1) for k in self._task_columns], dim=1)

    def _with_negatives(
        self, negatives: Negatives, batch: Batch, picked: Columns, rows: Tensor, start: int, epoch: int
    ) -> Batch:
        """The batch with its negatives, those of other ranks counted."""
        share = slice(self.rank, None, self.world_size)
        targets, frozen = picked.targets, picked.drawn
        if self.world_size > 1:  # the rows of all ranks, to count all negatives
            targets = self.columns.targets.index_select(0, rows)
            frozen = None if self.columns.drawn is None else self.columns.drawn.index_select(0, rows)
        observed = self._labelled(targets)[:, negatives.task, None]
        if frozen is not None and picked.drawn is not None:
            wanted = observed & (frozen >= 0)
            places, labelled = picked.drawn.long(), wanted[share]
        else:
            assert picked.reach is not None
            positions = torch.arange(start, start + len(rows), device=rows.device)[share]
            wanted = observed.expand(-1, negatives.per_row)
            places, labelled = negatives.draw(batch.group, picked.reach, positions, epoch)
        columns = self._task_columns[negatives.task]
        full = negatives.extend(batch, places, wanted[share], labelled, columns, self.extras.prior)
        full.rows_global = len(rows) + int(wanted.sum())
        return full


class ShuffledLoader(ColumnLoader):
    """All rows, shuffled anew in each epoch; stops and goes on anywhere.

    The order of an epoch is a pure function of seed and epoch, as are the negatives of each place in it. An iterator
    goes on from ``state_dict()``, which counts the places of the epoch's order that were given out, over all ranks:
    a run goes on with the very batches that were left, on another number of ranks too. ``len`` stays the
    whole epoch's, as Lightning expects, which counts the batches before a stop as fetched.

    The state moves as a batch is handed over. Lightning fetches nothing ahead from a loader with a length, so
    that at ``on_train_batch_end`` the state stands exactly behind the batches trained on.

    Args:
        columns, task_columns, batch_size, rank, world_size, extras: as for ``ColumnLoader``.
        seed: of the shuffling.
        sampling: the share of each of several stacked tables; None gives each row once an epoch.
        block: rows of a block, for stores larger than memory; None shuffles all rows at once.

    Example:
        >>> n = torch.arange(5)
        >>> columns = Columns(n[:, None], n[:, None], n[:, None].float(), n[:, None].float(), n, n)
        >>> loader = ShuffledLoader(columns, [[0]], batch_size=2, seed=1)
        >>> whole = [batch.row.tolist() for batch in loader]
        >>> loader.load_state_dict({"epoch": 0, "position": 2})
        >>> [batch.row.tolist() for batch in loader] == whole[1:]
        True
        >>> loader.state_dict()
        {'epoch': 1, 'position': 0}
    """

    def __init__(
        self,
        columns: Columns,
        task_columns: Sequence[Sequence[int]],
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        *,
        seed: int,
        extras: Extras = Extras(),
        sampling: Sampling | None = None,
        block: int | None = None,
    ) -> None:
        super().__init__(columns, task_columns, batch_size, rank, world_size, extras=extras)
        self.seed = seed
        self.order = Order(len(columns), seed, columns.source, sampling, block)
        self.epoch = 0
        self.position = 0

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        n = len(self.columns)
        for start in range(self.position, n, self.batch_size):
            end = min(start + self.batch_size, n)
            self.epoch, self.position = (epoch, end) if end < n else (epoch + 1, 0)
            yield self._batch(self.order.take(epoch, start, end), start, epoch)

    @property
    def sampler(self) -> "ShuffledLoader":
        """Where Lightning looks for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Begins this epoch, unless it is the one that is under way.

        Lightning calls it before each epoch. It restores the state of loaders after a stop within an epoch
        but not after a stop between two; and epochs that are cut short leave a rest that is not to be given.
        """
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Where the next batch begins: the epoch, and places of its order given out."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on from a state, of a loader with any number of ranks."""
        self.epoch, self.position = state["epoch"], state["position"]
