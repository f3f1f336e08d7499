"""Features: Batch to Embedded, through embedding tables in one or several views."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor, nn

from taskloom.distributed import world_size
from taskloom.dropout import Dropout
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded, InputSpec
from taskloom.features.hashing import Hashing
from taskloom.features.penalty import penalty_by_count, squared_norm
from taskloom.features.tables import Table, Tables, initial_rows
from taskloom.features.widths import NarrowTable, widths_by_count
from taskloom.schema import Batch, Feature, Schema

Views = Literal["shared", "per_task", "both"]
Fold = Callable[[Tensor], Tensor]


class Features(nn.Module):
    r"""Embedding tables for ids and bags, with the penalty of the rows that a batch looks up.

    The features of one view lie in one table, each at its own offset: one look-up serves them all. A bag is the
    mean of its ids' rows. The penalty leaves the rows that a batch does not touch alone, unlike weight decay on
    the table:

    .. math:: \Omega = \frac{\lambda}{B} \sum_b \sum_f (n_{bf} / \bar n_f)^{\nu - 1} \lVert e_{bf} \rVert_2^2

    with n the training rows of the id looked up, and their mean over the feature's ids. So over an epoch an id's row is
    held in proportion to :math:`n^\nu`: ν = 1 is a penalty a look-up (Zhou et al. 2008, "Large-scale Parallel
    Collaborative Filtering for the Netflix Prize"), ν = 0 one an id, as a Gaussian prior; between them as in Rendle et
    al. 2022, "Revisiting the Performance of iALS on Item Recommendation Benchmarks".

    Three ways to a smaller or faster table, each off unless asked for: see ``hashing``, ``widths`` and ``sparse``.

    Args:
        schema: the columns of a batch.
        n_tasks: K.
        dim: D, the width of an embedding.
        views: ``shared`` (one table, V = 1), ``per_task`` (a table a task, V = K) or ``both`` (V = K + 1, the
            shared one last).
        l2: λ >= 0.
        l2_power: ν >= 0; a bag's field takes the mean over its ids.
        dropout: share of embedding components that training drops.
        init_std: standard deviation of the initial rows; the row of id 0 (unknown) begins at zero.
        frequency_power: α >= 0: an id that n training rows have is :math:`D (n / n_{max})^\alpha` wide, as
            ``widths_by_count`` rounds it; 0 gives D to all.
        hash_above: features with more ids share so many rows; None gives each id its row.
        sparse: whether the tables' gradients hold the rows looked up alone, for optimisers that take such.
        counts: of each field, how many training rows have each id; needed where α > 0 or ν != 1.
        meta_from: tables of so many rows and more are left without memory, on the meta device, for
            ``taskloom.training.sharded`` to fill; None fills all.

    Raises:
        ConfigError: options that do not go together.

    Example:
        >>> from taskloom.schema import Feature
        >>> schema = Schema((Feature("user", "categorical", "user", size=5),), targets=("like",))
        >>> features = Features(schema, n_tasks=2, dim=3, views="per_task")
        >>> [tuple(table.weight.shape) for table in features.tables]
        [(5, 3), (5, 3)]
    """

    offsets: Tensor
    history_offsets: Tensor
    places: Tensor | None
    holds: Tensor | None
    firsts: Tensor

    def __init__(
        self,
        schema: Schema,
        n_tasks: int,
        dim: int,
        views: Views = "shared",
        l2: float = 0.0,
        l2_power: float = 1.0,
        dropout: float = 0.0,
        init_std: float = 0.01,
        frequency_power: float = 0.0,
        hash_above: int | None = None,
        sparse: bool = False,
        counts: Sequence[Tensor] | None = None,
        meta_from: int | None = None,
    ) -> None:
        super().__init__()
        self.schema, self.n_tasks, self.views, self.l2 = schema, n_tasks, views, l2
        self.inputs = InputSpec.of(schema, dim)
        self.bags = schema.of_kind("bag")
        hashed = [feature.name for feature in schema.fields if hash_above and feature.size > hash_above]
        sizes = [hash_above or 0 if feature.name in hashed else feature.size for feature in schema.fields]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        by_name = {feature.name: start for feature, start in zip(schema.fields, starts, strict=True)}
        columns = [feature.name for feature in schema.fields for _ in range(_width(feature))]
        self.hashing = _hashing(columns, hashed, hash_above)
        self.history_hashing = _hashing(schema.history, hashed, hash_above)
        behind, history_behind = ([n for n in names if n in hashed] for names in (columns, schema.history))
        offsets = [by_name[name] for name in [*columns, *behind]]
        self.register_buffer("offsets", torch.tensor(offsets, dtype=torch.int64), persistent=False)
        offsets = [by_name[name] for name in [*schema.history, *history_behind]]
        self.register_buffer("history_offsets", torch.tensor(offsets), persistent=False)
        n_tables = {"shared": 1, "per_task": n_tasks}.get(views, n_tasks + 1)
        self.starts, self.init_std = starts, init_std
        self.dropout = Dropout(dropout)
        self._make_holds(counts, l2_power if l2 else 1.0, columns)
        widths = _widths(counts, dim, frequency_power, hashed, meta_from)
        self.register_buffer("places", None, persistent=False)
        if widths is not None:
            self._make_narrow(widths, n_tables, sparse)
            return
        if meta_from is not None and sum(sizes) >= meta_from:
            self.tables = Tables([Table(sum(sizes), dim, device="meta") for _ in range(n_tables)])
            return
        tables = [Table(sum(sizes), dim, sparse=sparse) for _ in range(n_tables)]
        self.tables = Tables(tables)
        for table in tables:
            nn.init.normal_(table.weight, std=init_std)
            with torch.no_grad():
                table.weight[starts] = 0

    def _make_holds(self, counts: Sequence[Tensor] | None, power: float, columns: Sequence[str]) -> None:
        """What multiplies the penalty of each id, hashed or not, and where the ids of each column begin in it."""
        if power != 1 and counts is None:
            raise _unknown_counts("l2_power", 1)
        found = penalty_by_count(counts, power) if counts is not None and power != 1 else None
        self.register_buffer("holds", found, persistent=False)
        sizes = {feature.name: feature.size for feature in self.schema.fields}
        starts = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))
        self.register_buffer("firsts", torch.tensor([starts[name] for name in columns]), persistent=False)

    def _make_narrow(self, widths: Tensor, n_tables: int, sparse: bool) -> None:
        """Tables of rows of several widths, widest first, and where each id's row lies in them.

        Args:
            widths: of the rows of all features (N,).
            n_tables: V.
            sparse: see the class.
        """
        falling, order = widths.sort(descending=True, stable=True)
        self.places = torch.empty_like(order, dtype=torch.int32)
        self.places[order] = torch.arange(len(order), dtype=torch.int32)
        tables = [NarrowTable(falling, sparse) for _ in range(n_tables)]
        self.tables = Tables(tables)
        for table in tables:
            table.begin(self.init_std, self.places[self.starts])

    def initial_rows(self, seed: int, view: int, first: int, last: int) -> Tensor:
        """Rows [first, last) of a view's table that was left without memory: see ``tables.initial_rows``."""
        return initial_rows(seed, view, first, last, self.inputs.dim, self.init_std, self.starts)

    def owner(self, name: str) -> int | None:
        """The task that alone uses a parameter, by the parameter's name here; None where it is shared."""
        view = int(name.split(".")[1])
        return view if len(self.tables) > 1 and view < self.n_tasks else None

    def forward(self, batch: Batch) -> Embedded:
        """Looks a batch up: fields (B, V, F, D)."""
        ids, weights = self._ids(batch)
        held = None if self.holds is None else self.holds[ids + self.firsts].unsqueeze(2)
        ids, fold = self._rows_of(ids, self.offsets, self.hashing)
        events, fold_events = [], None
        if batch.history is not None:
            wanted, fold_events = self._rows_of(batch.history, self.history_offsets, self.history_hashing)
            events = [wanted]
        rows = self.tables([ids, *events])
        # One copy for all views, and none where there is one table and no bag.
        parts = [part for found in rows for part in self._fields(fold(found[0]) if fold else found[0], weights)]
        fields = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        fields = fields.unflatten(1, (len(self.tables), len(self.inputs.fields)))
        each = [fold_events(found[1]) if fold_events else found[1] for found in rows] if events else []
        history = torch.stack(each, dim=1) if events else None
        n_rows = batch.rows_global / world_size() if batch.rows_global else float(max(1, len(batch)))
        penalty = fields.new_zeros(())
        if self.l2:
            holds = None if held is None else torch.cat(self._fields(held, weights), dim=1).squeeze(2).unsqueeze(1)
            penalty = self.l2 * squared_norm(fields, holds) / n_rows
        return Embedded(self.dropout(fields), batch.dense, penalty, n_rows, history, batch.history_mask, batch.prior)

    def _ids(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Ids of all fields and then all bags (B, F' + W), and of each bag the weights of its ids.

        A bag of n known ids gives each of them 1 / n, and padding 0. One look-up for ids and bags alike costs half
        of what ``embedding_bag`` beside it does: its backward sorts the ids and fills a gradient of the table's
        size anew.
        """
        if not self.bags:
            return batch.categorical, []
        known = (batch.bags > 0).to(next(self.tables.parameters()).dtype)
        weights = known.split([feature.width for feature in self.bags], dim=1)
        ids = torch.cat([batch.categorical, batch.bags], dim=1)
        return ids, [weight / weight.sum(1, keepdim=True).clamp_min(1) for weight in weights]

    def _rows_of(self, ids: Tensor, offsets: Tensor, hashing: Hashing | None) -> tuple[Tensor, Fold | None]:
        """Where the rows of ids lie in a table, and how the rows found there become embeddings, if not as they are.

        Args:
            ids: (*, C), each of its own feature.
            offsets: of the features in a table, (C,), or (C + C',) where C' are hashed.
            hashing: of these columns.
        """
        if hashing is not None:
            places = hashing(ids)
            return places + offsets, partial(hashing.fold, places=places)
        rows = ids + offsets
        return (rows if self.places is None else self.places[rows]), None

    def _fields(self, rows: Tensor, weights: list[Tensor]) -> list[Tensor]:
        """The fields of one view, in parts (B, *, D), from the rows looked up (B, F' + W, D)."""
        if not weights:
            return [rows]
        n_categorical = rows.shape[1] - sum(weight.shape[1] for weight in weights)
        columns, *bags = rows.split([n_categorical, *(weight.shape[1] for weight in weights)], dim=1)
        means = [(bag * weight.unsqueeze(2)).sum(1, keepdim=True) for bag, weight in zip(bags, weights, strict=True)]
        return [columns, *means]


def _width(feature: Feature) -> int:
    return feature.width if feature.kind == "bag" else 1


def _hashing(columns: Sequence[str], hashed: Sequence[str], rows: int | None) -> Hashing | None:
    """The hashing of columns of these features; None where none of them is hashed."""
    each = [rows if name in hashed else None for name in columns]
    return Hashing(each) if any(each) else None


def _unknown_counts(option: str, default: int) -> ConfigError:
    return ConfigError(
        f"features.{option}: how often ids are seen is not known of this data; set features.{option}={default}"
    )


def _widths(
    counts: Sequence[Tensor] | None, dim: int, power: float, hashed: Sequence[str], meta_from: int | None
) -> Tensor | None:
    """The width of each row; None where all have D.

    Raises:
        ConfigError: as ``Features`` does.
    """
    if not power:
        return None
    if hashed or meta_from is not None:
        other = f"features.hash_above, which hashes {hashed[0]}" if hashed else "trainer=sharded"
        raise ConfigError(f"features.frequency_power does not go with {other}: set one of them to its default")
    if counts is None:
        raise _unknown_counts("frequency_power", 0)
    widths = widths_by_count(counts, dim, power)
    return None if bool((widths == dim).all()) else widths
