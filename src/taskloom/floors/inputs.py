"""Inputs: the columns that table floors see. OneHot and TreeColumns: the matrices that they are fitted to."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from taskloom.schema import Schema

#: ids of one feature that the linear floor knows, the most frequent ones; the rest are one id, "other"
LINEAR_IDS = 100_000
#: the same for boosting: scikit-learn takes 255 categories, "other" among them
TREE_IDS = 254
#: ids of one bag that boosting has a column for
TREE_BAG_IDS = 32


@dataclass(frozen=True)
class Inputs:
    """The encoded input columns of N rows. Histories are not among them: these floors do without.

    Args:
        categorical: whole numbers (N, F); 0 is unknown.
        bags: whole numbers (N, W), the padded bags side by side; 0 is padding.
        dense: float (N, C), scaled.
    """

    categorical: Tensor
    bags: Tensor
    dense: Tensor

    def __len__(self) -> int:
        return len(self.categorical)

    def select(self, rows: Tensor | slice) -> "Inputs":
        """Some of the rows: positions, or a slice of them."""
        return Inputs(self.categorical[rows], self.bags[rows], self.dense[rows])

    @cached_property
    def digest(self) -> str:
        """Of all values: equal for equal columns, whatever the width of the whole numbers."""
        found = hashlib.sha256()
        for values, kind in ((self.categorical, np.int32), (self.bags, np.int32), (self.dense, np.float32)):
            found.update(str(tuple(values.shape)).encode())
            found.update(np.ascontiguousarray(values.numpy(), dtype=kind).data)
        return found.hexdigest()


class Encoder(Protocol):
    """Turns rows into a matrix, as training rows have taught it."""

    def __call__(self, rows: Inputs) -> "NDArray | sparse.csr_matrix":
        """The matrix of N rows, (N, D)."""
        ...


class OneHot:
    r"""Every id a column of its own, for a linear model: (N, D), sparse.

    A categorical feature gives a 1 in the column of its id, a bag a 1 in the column of each id that it holds, and dense
    columns stand as they are. Column 0 of a feature is for "other": ids that no training row has, and of a feature with
    more than ``limit`` ids those beyond the most frequent. Of a bag such ids are left out.

    Args:
        schema: the features, in the order of their columns.
        train: what decides which ids there are.
        limit: ids of a feature that get a column.

    Example:
        >>> import torch
        >>> from taskloom.schema import Feature
        >>> rows = Inputs(torch.tensor([[2], [1], [2]]), torch.zeros(3, 0).int(), torch.zeros(3, 0))
        >>> OneHot(Schema((Feature("job", "categorical", "user", size=4),), ("y",)), rows)(rows).toarray()
        array([[0., 1., 0.],
               [0., 0., 1.],
               [0., 1., 0.]])
    """

    def __init__(self, schema: Schema, train: Inputs, limit: int = LINEAR_IDS) -> None:
        self.codes = [
            frequent(train.categorical[:, place], feature.size, limit)
            for place, feature in enumerate(schema.of_kind("categorical"))
        ]
        self.bags = bag_places(schema)
        self.bag_codes = [frequent(train.bags[:, span], size, limit, bag=True) for span, size in self.bags]

    def __call__(self, rows: Inputs) -> sparse.csr_matrix:
        """The matrix of N rows, float64 (N, D)."""
        n = len(rows)
        blocks = [sparse.csr_matrix(rows.dense.numpy().astype(np.float64))]
        for place, code in enumerate(self.codes):
            ids = code[rows.categorical[:, place].numpy()]
            ones, starts = np.ones(n), np.arange(n + 1)
            blocks.append(sparse.csr_matrix((ones, ids, starts), shape=(n, int(code.max(initial=0)) + 1)))
        for (span, _), code in zip(self.bags, self.bag_codes, strict=True):
            ids = code[rows.bags[:, span].numpy()]
            there = ids > 0
            starts = np.concatenate([[0], there.sum(1).cumsum()])
            block = sparse.csr_matrix(
                (np.ones(starts[-1]), ids[there] - 1, starts), shape=(n, max(1, int(code.max(initial=0))))
            )
            block.sum_duplicates()
            block.data[:] = 1
            blocks.append(block)
        return sparse.hstack(blocks, format="csr")


class TreeColumns:
    """One column a feature, for boosting: float32 (N, D), categories first.

    A categorical feature gives its id's rank among training rows, 1 for the most frequent; 0 is "other": ids that no
    training row has and those beyond the 254 most frequent, as scikit-learn takes 255 categories. A bag gives the
    number of its ids, and how often it holds each of the 32 that most training rows have.

    Args:
        schema: the features, in the order of their columns.
        train: what decides which ids there are.

    Attributes:
        categorical: the columns that hold categories and not numbers: the first so many.
    """

    def __init__(self, schema: Schema, train: Inputs) -> None:
        self.codes = [
            frequent(train.categorical[:, place], feature.size, TREE_IDS)
            for place, feature in enumerate(schema.of_kind("categorical"))
        ]
        self.categorical = len(self.codes)
        self.bags = bag_places(schema)
        self.bag_codes = [frequent(train.bags[:, span], size, TREE_BAG_IDS, bag=True) for span, size in self.bags]

    def __call__(self, rows: Inputs) -> NDArray[np.float32]:
        """The matrix of N rows, float32 (N, D)."""
        columns = [code[rows.categorical[:, place].numpy()] for place, code in enumerate(self.codes)]
        for (span, _), code in zip(self.bags, self.bag_codes, strict=True):
            held = rows.bags[:, span].numpy()
            columns.append((held > 0).sum(1))
            ids = code[held]
            columns += [(ids == rank).sum(1) for rank in range(1, int(code.max(initial=0)) + 1)]
        columns += [rows.dense[:, place].numpy() for place in range(rows.dense.shape[1])]
        return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(rows), 0), np.float32)


def frequent(ids: Tensor, size: int, limit: int, bag: bool = False) -> NDArray[np.int32]:
    """A code for each id: 1 for the one that most training rows have, 2 for the next; 0 for "other".

    Args:
        ids: of the training rows.
        size: number of ids that there are.
        limit: codes, 0 not counted.
        bag: whether id 0 is padding and not a value (missing or rare).

    Example:
        >>> import torch
        >>> frequent(torch.tensor([3, 3, 1, 0, 3, 1]), size=5, limit=2)
        array([0, 2, 0, 1, 0], dtype=int32)
    """
    times = np.bincount(ids.numpy().ravel(), minlength=size)
    if bag:
        times[0] = 0
    ranked = np.argsort(-times, kind="stable")[: min(limit, int((times > 0).sum()))]
    codes = np.zeros(len(times), dtype=np.int32)
    codes[ranked] = np.arange(1, len(ranked) + 1)
    return codes


def bag_places(schema: Schema) -> list[tuple[slice, int]]:
    """Of each bag: where its ids stand among the W columns, and how many ids there are."""
    places, start = [], 0
    for feature in schema.of_kind("bag"):
        places.append((slice(start, start + feature.width), feature.size))
        start += feature.width
    return places
