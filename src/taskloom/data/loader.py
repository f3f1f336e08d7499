"""Batches straight from column arrays: one gather a tensor, nothing a row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from taskloom.schema import Batch


@dataclass(frozen=True)
class Columns:
    """The rows of one part of a data set, column by column.

    Args:
        categorical: int64 (N, F).
        bags: int64 (N, W).
        dense: float32 (N, C).
        targets: float32 (N, T), NaN where there is no label.
        group: int64 (N,).
        row: int64 (N,), the row's number in the source.
    """

    categorical: Tensor
    bags: Tensor
    dense: Tensor
    targets: Tensor
    group: Tensor
    row: Tensor

    def __len__(self) -> int:
        return self.row.shape[0]

    def select(self, rows: Tensor) -> "Columns":
        """Some of the rows, copied: int64 (M,) positions."""
        return Columns(*(getattr(self, field.name).index_select(0, rows) for field in fields(self)))


class ColumnLoader:
    """All rows in order, a batch at a time.

    Each rank takes the places rank, rank + world_size, ... of every batch, so that a batch holds the same
    rows on any number of ranks. No row is padded or given twice: ranks may differ by a row, and one gets an
    empty batch where the last batch has fewer rows than there are ranks; all have equally many batches.

    Args:
        columns: the rows.
        task_columns: for each of the K selected tasks, where its targets stand among the T target columns.
        batch_size: rows of a batch over all ranks.
        rank, world_size: this process's place among those that share each batch.
    """

    def __init__(
        self,
        columns: Columns,
        task_columns: Sequence[Sequence[int]],
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.columns = columns
        self.batch_size = batch_size
        self.rank, self.world_size = rank, world_size
        self._task_columns = [list(places) for places in task_columns]
        # Where task k's only label is column k, as a rule, the mask needs no gather of its own.
        self._plain = self._task_columns == [[place] for place in range(columns.targets.shape[1])]

    def __len__(self) -> int:
        return -(-len(self.columns) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.arange(len(self.columns))
        for start in range(0, len(order), self.batch_size):
            yield self._batch(order[start : start + self.batch_size])

    def _batch(self, rows: Tensor) -> Batch:
        """This rank's share of the global batch of these rows."""
        mine = rows[self.rank :: self.world_size]
        picked = self.columns.select(mine)
        there = ~torch.isnan(picked.targets)
        labelled = there if self._plain else torch.stack([there[:, k].all(1) for k in self._task_columns], dim=1)
        return Batch(**vars(picked), labelled=labelled, rows_global=len(rows))


class ShuffledLoader(ColumnLoader):
    """All rows, shuffled anew in each epoch; stops and goes on anywhere.

    The order of an epoch is one permutation, a pure function of seed and epoch. An iterator goes on from
    ``state_dict()``, which counts the places of the epoch's permutation that were given out, over all ranks:
    a run goes on with the very batches that were left, on another number of ranks too. ``len`` stays the
    whole epoch's, as Lightning expects, which counts the batches before a stop as fetched.

    The state moves as a batch is handed over. Lightning fetches nothing ahead from a loader with a length, so
    that at ``on_train_batch_end`` the state stands exactly behind the batches trained on.

    Args:
        columns, task_columns, batch_size, rank, world_size: as for ``ColumnLoader``.
        seed: of the shuffling.

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
    ) -> None:
        super().__init__(columns, task_columns, batch_size, rank, world_size)
        self.seed = seed
        self.epoch = 0
        self.position = 0

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        order = permutation(len(self.columns), self.seed, epoch)
        for start in range(self.position, len(order), self.batch_size):
            end = min(start + self.batch_size, len(order))
            self.epoch, self.position = (epoch, end) if end < len(order) else (epoch + 1, 0)
            yield self._batch(order[start:end])

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
        """Where the next batch begins: the epoch, and places of its permutation given out."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on from a state, of a loader with any number of ranks."""
        self.epoch, self.position = state["epoch"], state["position"]


def permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order of n rows in one epoch, int64 (n,): a pure function of its arguments.

    Example:
        >>> sorted(permutation(4, seed=1, epoch=2).tolist())
        [0, 1, 2, 3]
    """
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    return torch.randperm(n, generator=torch.Generator().manual_seed(mixed))
