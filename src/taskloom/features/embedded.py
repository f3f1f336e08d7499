"""Embedded: a batch after the embedding tables, in V views. View: what one backbone reads of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from taskloom.schema import Feature, Schema


@dataclass(frozen=True)
class InputSpec:
    """What a backbone must know of its input to build its layers.

    Args:
        fields: the F embedded features, in order.
        dim: D, the width of an embedding.
        n_dense: C, the number of dense columns.
        history: names of the H features of a history event.
        prior: names of the P fields that tell the scenario.
        dense_sides: of each dense column, whom it describes.
    """

    fields: tuple[Feature, ...]
    dim: int
    n_dense: int = 0
    history: tuple[str, ...] = ()
    prior: tuple[str, ...] = ()
    dense_sides: tuple[str, ...] = ()

    @classmethod
    def of(cls, schema: Schema, dim: int) -> "InputSpec":
        """What a schema's batches look like behind tables of width D."""
        sides = tuple(feature.side for feature in schema.of_kind("dense") for _ in range(feature.width))
        return cls(tuple(schema.fields), dim, schema.n_dense, schema.history, schema.prior, sides)

    def positions(self, side: str) -> list[int]:
        """Where the fields of a side (user, item, context) stand among the F."""
        return [i for i, feature in enumerate(self.fields) if feature.side == side]

    def dense_of(self, side: str) -> list[int]:
        """Where the dense columns of a side stand among the C."""
        return [i for i, described in enumerate(self.dense_sides) if described == side]

    def places(self, names: Sequence[str]) -> list[int]:
        """Where the fields of these names stand among the F; a name that is no field is an error."""
        order = [feature.name for feature in self.fields]
        return [order.index(name) for name in names]


@dataclass(frozen=True)
class View:
    """One view of a batch.

    Args:
        fields: (B, F, D).
        dense: (B, C).
        history: (B, L, H, D), or None.
        mask: bool (B, L), where the history has an event.
        prior: int64 (B, P), scenario.
    """

    fields: Tensor
    dense: Tensor
    history: Tensor | None = None
    mask: Tensor | None = None
    prior: Tensor | None = None


@dataclass(frozen=True)
class Embedded:
    """A batch after the embedding tables.

    Args:
        fields: (B, V, F, D): V = 1 (shared), K (one a task) or K + 1 (one a task, then the shared one).
        dense: (B, C).
        penalty: scalar, the L2 of the rows that this batch looked up.
        n_rows: rows that a mean over the batch divides by: the global batch over the number of ranks.
        history: (B, V, L, H, D), or None.
        mask: bool (B, L).
        prior: int64 (B, P).
    """

    fields: Tensor
    dense: Tensor
    penalty: Tensor
    n_rows: float
    history: Tensor | None = None
    mask: Tensor | None = None
    prior: Tensor | None = None

    @property
    def n_views(self) -> int:
        """V."""
        return self.fields.shape[1]

    def view(self, v: int) -> View:
        """View v alone."""
        return self._views[v]

    @cached_property
    def _views(self) -> list[View]:
        # All at once: the gradient of an index would be filled up to the size of all views, once for each of them.
        # The only view is taken by its shape, which copies nothing on the way back.
        fields, *others = (
            tensor.unbind(1) if tensor.shape[1] > 1 else (tensor.squeeze(1),) for tensor in self.tensors()
        )
        histories = others[0] if others else [None] * len(fields)
        return [
            View(own, self.dense, history, self.mask, self.prior)
            for own, history in zip(fields, histories, strict=True)
        ]

    def for_task(self, k: int) -> View:
        """What task k reads: its own view where there is one, else the shared one."""
        return self.view(0 if self.n_views == 1 else k)

    def shared(self) -> View:
        """The view that belongs to no task: the only one, or the last where each task has one beside it."""
        return self.view(self.n_views - 1)

    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that every path from the embedding tables to a loss crosses."""
        return (self.fields,) if self.history is None else (self.fields, self.history)
