"""The order of the rows in an epoch: a pure function of seed and epoch, of which any part can be had."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from taskloom.errors import ConfigError

Rule = Literal["proportional", "equal", "temperature"]

#: blocks whose rows are shuffled together: as many as lie in memory at a time
BUFFER = 16
_BLOCKS, _ROWS, _MIXED = 1, 2, 3  # what is shuffled, so that no two shufflings are alike


def permutation(n: int, seed: int, epoch: int, *more: int) -> Tensor:
    """The order of n rows in one epoch, int64 (n,): a pure function of its arguments.

    Args:
        n: rows.
        seed, epoch: of the shuffling.
        more: whatever else tells this shuffling from others; zeros at the end say nothing.

    Example:
        >>> sorted(permutation(4, seed=1, epoch=2).tolist())
        [0, 1, 2, 3]
    """
    mixed = int(np.random.SeedSequence([seed, epoch, *more]).generate_state(1)[0])
    return torch.randperm(n, generator=torch.Generator().manual_seed(mixed))


@dataclass(frozen=True)
class Sampling:
    r"""How many rows of each of several stacked tables an epoch holds.

    An epoch has as many rows as the tables together, N = Σ n_s. Table s gives a share

    .. math:: p_s = \frac{n_s^{1/T}}{\sum_r n_r^{1/T}}

    of them; T = 1 is ``proportional``, T → ∞ is ``equal``. A table with fewer rows than its share is gone through
    several times, in another order each time; one with more goes on in the next epoch where it stopped.

    Source: the temperature form is that of multilingual training, Arivazhagan et al. 2019, "Massively multilingual
    neural machine translation in the wild". Deviations: the counts are exact and not drawn.

    Args:
        rule: ``proportional`` (each row once an epoch), ``equal`` or ``temperature``.
        temperature: T >= 1, of the rule ``temperature`` alone.

    Raises:
        ConfigError: an unknown rule, or a temperature below 1.

    Example:
        >>> Sampling("temperature", temperature=2).counts([900, 100])
        [750, 250]
        >>> Sampling("equal").counts([900, 100])
        [500, 500]
    """

    rule: Rule = "proportional"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise ConfigError(f"data.sampling.rule must be one of {', '.join(get_args(Rule))}, got {self.rule!r}")
        number = isinstance(self.temperature, int | float) and not isinstance(self.temperature, bool)
        if not number or not 1 <= self.temperature < math.inf:
            raise ConfigError(
                f"data.sampling.temperature must be a number >= 1, got {self.temperature!r}; "
                "1 is proportional, larger ones come near to equal shares"
            )

    def counts(self, sizes: Sequence[int]) -> list[int]:
        """Rows of each table in an epoch; they sum to the sum of the sizes, and an empty table gives none.

        Args:
            sizes: rows of each table.
        """
        if self.rule == "proportional":
            return list(sizes)
        power = 0.0 if self.rule == "equal" else 1 / self.temperature
        weights = np.array([size**power if size else 0.0 for size in sizes])
        exact = sum(sizes) * weights / max(weights.sum(), 1e-300)
        counts = np.floor(exact).astype(int)
        rest = sum(sizes) - int(counts.sum())
        counts[np.argsort(counts - exact, kind="stable")[:rest]] += 1  # to those that rounding took most from
        return [int(count) for count in counts]


class Order:
    """The order of every epoch over one table of rows, or over several that are stacked.

    Without blocks, an epoch of one table is one permutation. With them, blocks of consecutive rows come in random
    order, and the rows of each 16 blocks that follow each other are shuffled: a batch then touches a small part of a
    store that is larger than memory, and each block is read once.

    Args:
        n: rows of the store.
        seed: of the shuffling.
        source: integers (n,), which of the stacked tables each row is of; needed by ``sampling`` alone.
        sampling: the share of each table; None gives each row once an epoch.
        block: rows of a block; None shuffles all rows at once.

    Raises:
        ConfigError: a block without rows, or a sampling where no tables are stacked.

    Example:
        >>> order = Order(6, seed=1, block=2)
        >>> sorted(order.take(epoch=0, start=0, end=6).tolist())
        [0, 1, 2, 3, 4, 5]
        >>> tables = Order(5, seed=1, source=torch.tensor([0, 0, 0, 0, 1]), sampling=Sampling("equal"))
        >>> tables.take(epoch=0, start=0, end=5).eq(4).sum().item()  # the one row of table 1
        2
    """

    def __init__(
        self,
        n: int,
        seed: int,
        source: Tensor | None = None,
        sampling: Sampling | None = None,
        block: int | None = None,
    ) -> None:
        if block is not None and (not isinstance(block, int) or block < 1):
            raise ConfigError(f"data.block must be a whole number of rows >= 1, got {block!r}; null shuffles all rows")
        self.n, self.seed = n, seed
        self._tables: list[_Passes] | None = None
        if sampling is None or sampling.rule == "proportional":
            self._rows = _Passes(n, seed, block)
            return
        if source is None:
            raise ConfigError("data.sampling: the data is one table; leave data.sampling out, or stack tables")
        places = [(source == table).nonzero().squeeze(1).cpu() for table in range(int(source.max()) + 1 if n else 0)]
        self._places = places
        self._tables = [_Passes(len(rows), seed, block, table + 1) for table, rows in enumerate(places)]
        self._counts = sampling.counts([len(rows) for rows in places])
        # Tables are mixed within windows of about this many rows, so that each reads few blocks at a time too.
        self._width = max(n, 1) if block is None else block * BUFFER
        self._kept = (-1, -1)
        self._first, self._mixed = 0, torch.empty(0, dtype=torch.int64)

    def take(self, epoch: int, start: int, end: int) -> Tensor:
        """The rows at places [start, end) of an epoch, int64 (end - start,); at least one."""
        if self._tables is None:
            return self._rows.take(epoch * self.n + start, epoch * self.n + end)
        parts = []
        while start < end:
            first, rows = self._window(epoch, start)
            parts.append(rows[start - first : end - first])
            start += len(parts[-1])
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _window(self, epoch: int, place: int) -> tuple[int, Tensor]:
        """Where the window that holds this place of an epoch begins, and its rows."""
        assert self._tables is not None
        window = place // self._width
        while sum(after := self._before(window + 1)) <= place:
            window += 1
        if self._kept != (epoch, window):
            before, rows = self._before(window), []
            for table, count, places, start, end in zip(
                self._tables, self._counts, self._places, before, after, strict=True
            ):
                if start < end:
                    rows.append(places[table.take(epoch * count + start, epoch * count + end)])
            mixed = permutation(sum(after) - sum(before), self.seed, epoch, 0, _MIXED, window + 1)
            self._kept, self._first, self._mixed = (epoch, window), sum(before), torch.cat(rows)[mixed]
        return self._first, self._mixed

    def _before(self, window: int) -> list[int]:
        """How many rows of each table an epoch gives before a window: its part of them, rounded down.

        Rounded down each table's count grows from window to window, and is whole at the epoch's end; a window
        has a row or two more or less for it.
        """
        return [count * min(window * self._width, self.n) // self.n for count in self._counts]


class _Passes:
    """One table, gone through again and again, each time in another order."""

    def __init__(self, n: int, seed: int, block: int | None, table: int = 0) -> None:
        self.n, self.seed, self.table = n, seed, table
        self.block = min(block or n, max(n, 1))
        self.whole = block is None
        self.n_blocks = -(-n // self.block) if n else 0
        self._kept: tuple[int, int] = (-1, -1)
        self._rows = torch.empty(0, dtype=torch.int64)

    def take(self, start: int, end: int) -> Tensor:
        """The rows at these places, counted over all passes."""
        parts = []
        while start < end:
            run, place = divmod(start, self.n)
            first, rows = self._window(run, place)
            parts.append(rows[place - first : place - first + end - start])
            start += len(parts[-1])
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _window(self, run: int, place: int) -> tuple[int, Tensor]:
        """Where the window that holds this place of this pass begins, and its rows."""
        if self.whole:
            if self._kept[0] != run:
                self._rows = self._rows[:0].clone()  # two permutations of a large table at a time would be one too many
                self._kept, self._rows = (run, 0), permutation(self.n, self.seed, run, self.table)
            return 0, self._rows
        if self._kept[0] == run and self._kept[1] <= place < self._kept[1] + len(self._rows):
            return self._kept[1], self._rows
        blocks = permutation(self.n_blocks, self.seed, run, self.table, _BLOCKS)
        # All blocks are of one size but the last of the table, which may be short, wherever it comes.
        missing = self.n_blocks * self.block - self.n
        short = int((blocks == self.n_blocks - 1).nonzero())
        width = BUFFER * self.block
        window = place // width if place < (short // BUFFER + 1) * width - missing else (place + missing) // width
        first = window * width - (missing if short < window * BUFFER else 0)
        rows = (blocks[window * BUFFER : (window + 1) * BUFFER, None] * self.block + torch.arange(self.block)).flatten()
        rows = rows[rows < self.n]
        self._rows = rows[permutation(len(rows), self.seed, run, self.table, _ROWS, window + 1)]
        self._kept = (run, first)
        return first, self._rows
