"""Features: Batch to Embedded, through embedding tables in one or several views."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from taskloom.distributed import world_size
from taskloom.features.embedded import Embedded, InputSpec
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
    ) -> None:
        super().__init__()
        self.schema, self.n_tasks, self.views, self.l2 = schema, n_tasks, views, l2
        self.inputs = InputSpec(tuple(schema.fields), dim, schema.n_dense, schema.history)
        self.bags = schema.of_kind("bag")
        n_categorical = len(schema.of_kind("categorical"))
        sizes = [feature.size for feature in schema.fields]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        by_name = {feature.name: start for feature, start in zip(schema.fields, starts, strict=True)}
        self.bag_starts = starts[n_categorical:]
        self.register_buffer("offsets", torch.tensor(starts[:n_categorical]), persistent=False)
        self.register_buffer(
            "history_offsets", torch.tensor([by_name[name] for name in schema.history]), persistent=False
        )
        self.tables = nn.ModuleList(
            nn.Embedding(sum(sizes), dim)
            for _ in range({"shared": 1, "per_task": n_tasks}.get(views, n_tasks + 1))
        )
        for table in self.tables:
            nn.init.normal_(table.weight, std=init_std)
            with torch.no_grad():
                table.weight[starts] = 0
        self.dropout = nn.Dropout(dropout)

    def owner(self, name: str) -> int | None:
        """The task that alone uses a parameter, by the parameter's name here; None where it is shared."""
        view = int(name.split(".")[1])
        return view if len(self.tables) > 1 and view < self.n_tasks else None

    def forward(self, batch: Batch) -> Embedded:
        """Looks a batch up: fields (B, V, F, D)."""
        ids = batch.categorical + self.offsets
        bags = self._bags(batch.bags)
        fields = torch.stack([self._fields(table, ids, bags) for table in self.tables], dim=1)
        history = None
        if batch.history is not None:
            events = batch.history + self.history_offsets
            history = torch.stack([table(events) for table in self.tables], dim=1)
        n_rows = batch.rows_global / world_size() if batch.rows_global else float(max(1, len(batch)))
        penalty = self.l2 * fields.float().pow(2).sum() / n_rows if self.l2 else fields.new_zeros(())
        return Embedded(
            self.dropout(fields), batch.dense, penalty, n_rows, history, batch.history_mask, batch.prior
        )

    def _bags(self, ids: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each bag its ids in the table (B, W) and the weight of each: 1 / n for n known ids, 0 for padding."""
        found: list[tuple[Tensor, Tensor]] = []
        if not self.bags:
            return found
        parts = ids.split([feature.width for feature in self.bags], dim=1)
        for start, part in zip(self.bag_starts, parts, strict=True):
            weight = (part > 0).to(self.tables[0].weight.dtype)
            found.append((part + start, weight / weight.sum(1, keepdim=True).clamp_min(1)))
        return found

    def _fields(self, table: nn.Module, ids: Tensor, bags: list[tuple[Tensor, Tensor]]) -> Tensor:
        """One view: (B, F, D)."""
        columns = table(ids)
        means = [
            functional.embedding_bag(bag, table.weight, per_sample_weights=weight, mode="sum")  # type: ignore[arg-type]
            for bag, weight in bags
        ]
        return torch.cat([columns, *(mean.unsqueeze(1) for mean in means)], dim=1) if means else columns
