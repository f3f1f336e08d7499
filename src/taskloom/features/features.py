"""Features: Batch to Embedded, through embedding tables in one or several views."""

from typing import Literal

import torch
from torch import Tensor, nn

from taskloom.distributed import world_size
from taskloom.features.embedded import Embedded, InputSpec
from taskloom.features.tables import Tables, initial_rows
from taskloom.schema import Batch, Schema

Views = Literal["shared", "per_task", "both"]


class Features(nn.Module):
    r"""Embedding tables for ids and bags, with the penalty of the rows that a batch looks up.

    The features of one view lie in one table, each at its own offset: one look-up serves them all. A bag is the
    mean of its ids' rows. The penalty leaves the rows that a batch does not touch alone, unlike weight decay on
    the table:

    .. math:: \Omega = \frac{\lambda}{B} \sum_b \sum_f \lVert e_{bf} \rVert_2^2

    Args:
        schema: the columns of a batch.
        n_tasks: K.
        dim: D, the width of an embedding.
        views: ``shared`` (one table, V = 1), ``per_task`` (a table a task, V = K) or ``both`` (V = K + 1, the
            shared one last).
        l2: λ >= 0.
        dropout: share of embedding components that training drops.
        init_std: standard deviation of the initial rows; the row of id 0 (unknown) begins at zero.
        meta_from: tables of so many rows and more are left without memory, on the meta device, for
            ``taskloom.training.sharded`` to fill; None fills all.

    Example:
        >>> from taskloom.schema import Feature
        >>> schema = Schema((Feature("user", "categorical", "user", size=5),), targets=("like",))
        >>> features = Features(schema, n_tasks=2, dim=3, views="per_task")
        >>> [tuple(table.weight.shape) for table in features.tables]
        [(5, 3), (5, 3)]
    """

    offsets: Tensor
    history_offsets: Tensor

    def __init__(
        self,
        schema: Schema,
        n_tasks: int,
        dim: int,
        views: Views = "shared",
        l2: float = 0.0,
        dropout: float = 0.0,
        init_std: float = 0.01,
        meta_from: int | None = None,
    ) -> None:
        super().__init__()
        self.schema, self.n_tasks, self.views, self.l2 = schema, n_tasks, views, l2
        self.inputs = InputSpec(tuple(schema.fields), dim, schema.n_dense, schema.history, schema.prior)
        self.bags = schema.of_kind("bag")
        n_categorical = len(schema.of_kind("categorical"))
        sizes = [feature.size for feature in schema.fields]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        by_name = {feature.name: start for feature, start in zip(schema.fields, starts, strict=True)}
        widths = [1] * n_categorical + [feature.width for feature in self.bags]
        offsets = torch.tensor(starts, dtype=torch.int64).repeat_interleave(torch.tensor(widths, dtype=torch.int64))
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer(
            "history_offsets", torch.tensor([by_name[name] for name in schema.history]), persistent=False
        )
        n_tables = {"shared": 1, "per_task": n_tasks}.get(views, n_tasks + 1)
        self.starts, self.init_std = starts, init_std
        self.dropout = nn.Dropout(dropout)
        if meta_from is not None and sum(sizes) >= meta_from:
            self.tables = Tables([nn.Embedding(sum(sizes), dim, device="meta") for _ in range(n_tables)])
            return
        tables = [nn.Embedding(sum(sizes), dim) for _ in range(n_tables)]
        self.tables = Tables(tables)
        for table in tables:
            nn.init.normal_(table.weight, std=init_std)
            with torch.no_grad():
                table.weight[starts] = 0

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
        events = [] if batch.history is None else [batch.history + self.history_offsets]
        rows = self.tables([ids, *events])
        # One copy for all views, and none where there is one table and no bag.
        parts = [part for found in rows for part in self._fields(found[0], weights)]
        fields = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        fields = fields.unflatten(1, (len(self.tables), len(self.inputs.fields)))
        history = torch.stack([found[1] for found in rows], dim=1) if events else None
        n_rows = batch.rows_global / world_size() if batch.rows_global else float(max(1, len(batch)))
        penalty = self.l2 * _squared_norm(fields) / n_rows if self.l2 else fields.new_zeros(())
        return Embedded(self.dropout(fields), batch.dense, penalty, n_rows, history, batch.history_mask, batch.prior)

    def _ids(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Ids in a table of all fields and then all bags (B, F' + W), and of each bag the weights of its ids.

        A bag of n known ids gives each of them 1 / n, and padding 0. One look-up for ids and bags alike costs half
        of what ``embedding_bag`` beside it does: its backward sorts the ids and fills a gradient of the table's
        size anew.
        """
        if not self.bags:
            return batch.categorical + self.offsets, []
        ids = torch.cat([batch.categorical, batch.bags], dim=1) + self.offsets
        dtype: torch.dtype = self.tables[0].weight.dtype  # type: ignore[assignment]
        known = (batch.bags > 0).to(dtype)
        weights = known.split([feature.width for feature in self.bags], dim=1)
        return ids, [weight / weight.sum(1, keepdim=True).clamp_min(1) for weight in weights]

    def _fields(self, rows: Tensor, weights: list[Tensor]) -> list[Tensor]:
        """The fields of one view, in parts (B, *, D), from the rows looked up (B, F' + W, D)."""
        if not weights:
            return [rows]
        n_categorical = rows.shape[1] - sum(weight.shape[1] for weight in weights)
        columns, *bags = rows.split([n_categorical, *(weight.shape[1] for weight in weights)], dim=1)
        means = [(bag * weight.unsqueeze(2)).sum(1, keepdim=True) for bag, weight in zip(bags, weights, strict=True)]
        return [columns, *means]


def _squared_norm(tensor: Tensor) -> Tensor:
    # Half the time of pow(2).sum(), whose powers are written out and whose gradient computes powers again.
    flat = tensor.float().flatten()
    return torch.dot(flat, flat)
