"""Hashing: features of many ids share fewer rows, each id the sum of two."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: a prime above all ids, and the factors and addends of the two functions, fixed so that all processes agree
_PRIME = 2**31 - 1
_FIRST, _SECOND = (1_103_515_245, 12_345), (1_664_525_791, 1_013_904_223)


class Hashing(nn.Module):
    r"""Ids to places of rows, of which hashed columns have two.

    .. math:: e(i) = T_{h_1(i)} + T_{h_2(i)}, \qquad h_1(i) \neq h_2(i), \qquad e(0) = T_0

    h is :math:`((a i + b) \bmod p) \bmod (N - 1)`, a universal hash with fixed numbers, so that every process and
    every run agrees. Row 0 is the unknown id's alone. Two ids have the same embedding only where both rows are the
    same: about one id in :math:`(N - 1)^2 / 2n` shares its pair, where a single function would give each row to n / N.

    Source: Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning"; Svenstrup et al. 2017, "Hash
    Embeddings for Efficient Word Representations". Deviation: the two rows are summed without weights of the id,
    which would be a table of all ids again.

    Args:
        rows: of each of the C columns, N where it is hashed and None where each id has its row.

    Example:
        >>> hashing = Hashing([None, 8])
        >>> hashing(torch.tensor([[5, 0], [5, 123_456]])).tolist()  # two columns, then the second row of the second
        [[5, 0, 0], [5, 7, 5]]
    """

    columns: Tensor
    shared: Tensor

    def __init__(self, rows: Sequence[int | None]) -> None:
        super().__init__()
        hashed = [column for column, n in enumerate(rows) if n is not None]
        self.n_columns, self.sizes = len(rows), [len(rows), len(hashed)]
        self.register_buffer("columns", torch.tensor(hashed, dtype=torch.int64), persistent=False)
        shared = [n - 1 for n in rows if n is not None]
        self.register_buffer("shared", torch.tensor(shared, dtype=torch.int64), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (*, C) to places (*, C + C'), the second places of the C' hashed columns behind."""
        hashed = ids.index_select(-1, self.columns)
        first = _hash(hashed, *_FIRST) % self.shared
        # Another row than the first, at a step of 1 to N - 2.
        second = (first + 1 + _hash(hashed, *_SECOND) % (self.shared - 1)) % self.shared
        known = hashed > 0
        first, second = (first + 1) * known, (second + 1) * known
        return torch.cat([ids.index_copy(-1, self.columns, first), second], dim=-1)

    def fold(self, rows: Tensor, places: Tensor) -> Tensor:
        """Rows looked up (*, C + C', D) to embeddings (*, C, D).

        Args:
            rows: of the places.
            places: as ``forward`` gave them (*, C + C').
        """
        first, second = rows.split(self.sizes, dim=-2)
        known = places[..., self.n_columns :] > 0  # the unknown id has one row
        return first.index_add(-2, self.columns, second * known.unsqueeze(-1))


def _hash(ids: Tensor, factor: int, addend: int) -> Tensor:
    return (ids * factor + addend) % _PRIME
