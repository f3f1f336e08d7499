"""Tables: the embedding tables of all views, looked up together."""

import hashlib
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

#: rows that are drawn from one seed
BLOCK = 16_384


class Table(nn.Embedding):
    """An ``nn.Embedding`` whose look-ups and gradients take a CPU .5 to .9 of the time.

    The gradient of ``index_select`` is the same to the last digit in float32, and half as far from the truth in
    bfloat16. A GPU would add it up in an order that changes from run to run.

    Example:
        >>> tuple(Table(5, 2)(torch.zeros(3, 4, dtype=torch.int64)).shape)
        (3, 4, 2)
    """

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of ids (*), (*, D)."""
        if self.sparse or self.weight.device.type != "cpu":
            return super().forward(ids)
        return self.weight.index_select(0, ids.flatten()).view(*ids.shape, self.embedding_dim)


class Tables(nn.ModuleList):
    """One ``Table`` a view, all of them (N, D).

    Example:
        >>> tables = Tables([Table(5, 2), Table(5, 2)])
        >>> [[tuple(rows.shape) for rows in found] for found in tables([torch.zeros(3, 4, dtype=torch.int64)])]
        [[(3, 4, 2)], [(3, 4, 2)]]
    """

    def forward(self, ids: Sequence[Tensor]) -> list[list[Tensor]]:
        """Looks several tensors of ids up in every table.

        Args:
            ids: int64, each of any shape (*).

        Returns:
            For each table, the rows of each tensor of ids: (*, D).
        """
        return [[table(wanted) for wanted in ids] for table in self]


def initial_rows(
    seed: int, view: int, first: int, last: int, dim: int, std: float, unknown: Collection[int] = ()
) -> Tensor:
    """Some rows of a table that begins at random, the same whoever asks for them and for however many at once.

    Rows are drawn in blocks, each from a seed of its own, so that nobody needs more than a block beside the rows.

    Args:
        seed: of the model.
        view: which table.
        first, last: the rows [first, last).
        dim: D.
        std: standard deviation.
        unknown: rows that begin at zero.

    Returns:
        float32 (last - first, D).

    Example:
        >>> whole = initial_rows(1, view=0, first=0, last=20_000, dim=2, std=0.1, unknown=[0])
        >>> torch.equal(initial_rows(1, 0, 16_000, 17_000, 2, 0.1, [0]), whole[16_000:17_000])
        True
    """
    rows = torch.empty(last - first, dim)
    # Seeds that follow each other: drawn at random, two of many thousand blocks would soon be the same.
    base = int.from_bytes(hashlib.sha256(f"{seed}/{view}".encode()).digest()[:4], "big")
    generator = torch.Generator()
    for block in range(first // BLOCK, -(-last // BLOCK)):
        start = block * BLOCK
        drawn = torch.empty(BLOCK, dim).normal_(0, std, generator=generator.manual_seed((base + block) % 2**32))
        low, high = max(first, start), min(last, start + BLOCK)
        rows[low - first : high - first] = drawn[low - start : high - start]
    zero = [row - first for row in unknown if first <= row < last]
    rows[zero] = 0
    return rows
