"""Widths: embeddings of rare ids with fewer components than those of frequent ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from taskloom.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1_000_000  # rows that are counted at once
_HALVINGS = 3  # the narrowest embeddings have D / 8 components: each level is a look-up more


def count_ids(schema: Schema, columns: Mapping[str, Tensor]) -> list[Tensor]:
    """How many rows have each id, of each embedded feature.

    Args:
        schema: the columns.
        columns: ``categorical`` (N, F) and ``bags`` (N, W), integers, which may be mapped from a file.

    Returns:
        Of each of ``schema.fields`` int64 (size,); the padding of bags counts as nothing.

    Example:
        >>> from taskloom.schema import Feature
        >>> schema = Schema((Feature("user", "categorical", "user", size=4),), targets=())
        >>> count_ids(schema, {"categorical": torch.tensor([[1], [3], [1]]), "bags": torch.empty(3, 0)})
        [tensor([0, 2, 0, 1])]
    """
    counts = [torch.zeros(feature.size, dtype=torch.int64) for feature in schema.fields]
    for kind, name in (("categorical", "categorical"), ("bag", "bags")):
        mine = [i for i, feature in enumerate(schema.fields) if feature.kind == kind]
        widths = [schema.fields[i].width for i in mine]
        for chunk in columns[name].split(_CHUNK) if mine else ():
            for i, ids in zip(mine, chunk.split(widths, dim=1), strict=True):
                counts[i] += torch.bincount(ids.flatten(), minlength=len(counts[i]))
    for feature, count in zip(schema.fields, counts, strict=True):
        if feature.kind == "bag":
            count[0] = 0
    return counts


def widths_by_count(counts: Sequence[Tensor], dim: int, power: float) -> Tensor:
    r"""The width of each id of several features: D, D/2, D/4 or D/8.

    .. math:: d_i = D \, (n_i / n_{\max})^{\alpha}, \quad \text{rounded up to one of the four}

    Args:
        counts: of each feature, how many training rows have each id.
        dim: D.
        power: α >= 0; 0 gives D to all.

    Returns:
        int64 (N,), features side by side.

    Example:
        >>> widths_by_count([torch.tensor([0, 100, 25, 1])], dim=16, power=0.5).tolist()
        [2, 16, 8, 2]
    """
    levels = torch.tensor(sorted({-(-dim // 2**j) for j in range(_HALVINGS + 1)}))
    shares = torch.cat([count / count.max().clamp_min(1) for count in counts])
    wanted = dim * shares.double().pow(power)
    # A hair less, because of the powers' last digit.
    return levels[torch.searchsorted(levels.double(), wanted * (1 - 1e-9)).clamp_max(len(levels) - 1)]


class NarrowTable(nn.Module):
    r"""A table (N, D) whose row r has the first components alone, the others being zero.

    Rows lie in order of their widths, widest first, and components in levels: level j has those that the j-th width
    adds, of the rows that are so wide, and a row of zeros for all others. A look-up is one of each level, side by side.

    Source: Ginart et al. 2019, "Mixed Dimension Embeddings with Application to Memory-Efficient Recommendation
    Systems": widths by powers of frequency. Deviations: an embedding is filled up with zeros where theirs is
    projected, so that component 0 is of the same kind for every id (the fm's first-order weight), and products between
    a wide and a narrow one are those of the components that both have; frequencies are relative within a feature.

    Args:
        widths: of the rows, (N,), falling.
        sparse: whether gradients are of the rows looked up alone.

    Example:
        >>> table = NarrowTable(torch.tensor([4, 4, 2]))
        >>> [tuple(level.weight.shape) for level in table.levels]
        [(4, 2), (3, 2)]
        >>> (table(torch.tensor([1, 2])) == 0).tolist()
        [[False, False, False, False], [False, False, True, True]]
    """

    def __init__(self, widths: Tensor, sparse: bool = False) -> None:
        super().__init__()
        ends = widths.unique().tolist()
        self.starts = [0, *ends[:-1]]
        #: of each level, the rows that have it, and the components of it
        self.rows = [int((widths > start).sum()) for start in self.starts]
        self.components = [end - start for start, end in zip(self.starts, ends, strict=True)]
        self.levels: nn.ModuleList = nn.ModuleList(
            nn.Embedding(rows + 1, components, padding_idx=rows, sparse=sparse)
            for rows, components in zip(self.rows, self.components, strict=True)
        )

    def begin(self, std: float, unknown: Tensor) -> None:
        """Draws the rows anew.

        Args:
            std: standard deviation.
            unknown: places of rows that begin at zero.
        """
        with torch.no_grad():
            for rows, weight in zip(self.rows, self._weights(), strict=True):
                weight.normal_(0, std)
                weight[unknown.clamp_max(rows)] = 0
                weight[rows] = 0

    def _weights(self) -> "Iterator[Tensor]":
        return (level.weight for level in self.levels)  # type: ignore[misc]

    def forward(self, places: Tensor) -> Tensor:
        """Places (*) to rows (*, D)."""
        found = [level(places.clamp_max(rows)) for level, rows in zip(self.levels, self.rows, strict=True)]
        return torch.cat(found, dim=-1)

    def own(self, places: Tensor) -> Tensor:
        """Which components of the rows at these places (*) are there, bool (*, D)."""
        has = torch.stack([places < rows for rows in self.rows], dim=-1)
        return has.repeat_interleave(torch.tensor(self.components, device=places.device), dim=-1)
