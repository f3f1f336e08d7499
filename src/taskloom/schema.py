"""Schema: what columns a data set has. Batch: the tensors of one step."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from taskloom.tasks import Task

Kind = Literal["categorical", "bag", "dense"]
Side = Literal["user", "item", "context"]


@dataclass(frozen=True)
class Feature:
    """One input column.

    Args:
        name: its name in the data config.
        kind: ``categorical`` (one id), ``bag`` (several ids, padded with 0) or ``dense`` (numbers).
        side: whom it describes: the user, the item, or the context of the event.
        size: number of ids, 0 (unknown) included; 0 for a dense feature.
        width: ids in a padded bag, or numbers in a dense feature.
    """

    name: str
    kind: Kind
    side: Side
    size: int = 0
    width: int = 1


@dataclass(frozen=True)
class Schema:
    """The columns behind a Batch, in order.

    Args:
        features: the inputs. Categorical ones are the columns of ``Batch.categorical``; bags lie side by
            side in ``Batch.bags``; dense ones side by side in ``Batch.dense``.
        targets: the names of the T columns of ``Batch.targets``.
        history: categorical features of the earlier events that ``Batch.history`` holds (H of them).
        group: what ``Batch.group`` counts, for grouped metrics.
        prior: categorical features that tell the scenario, the columns of ``Batch.prior``.

    Example:
        >>> schema = Schema((Feature("user", "categorical", "user", size=5),
        ...                  Feature("genres", "bag", "item", size=4, width=3)), targets=("like", "rating"))
        >>> [feature.name for feature in schema.of_kind("bag")]
        ['genres']
        >>> schema.columns_of(Task("rating", kind="regression"))
        [1]
    """

    features: tuple[Feature, ...]
    targets: tuple[str, ...]
    history: tuple[str, ...] = ()
    group: str = "user"
    prior: tuple[str, ...] = ()

    def of_kind(self, kind: Kind) -> list[Feature]:
        """The features of one kind, in the order of their columns."""
        return [feature for feature in self.features if feature.kind == kind]

    @property
    def fields(self) -> list[Feature]:
        """The F embedded features in the order of ``Embedded.fields``: categorical ones, then bags."""
        return self.of_kind("categorical") + self.of_kind("bag")

    @property
    def n_dense(self) -> int:
        """C, the number of dense columns."""
        return sum(feature.width for feature in self.of_kind("dense"))

    def columns_of(self, task: Task) -> list[int]:
        """Where a task's targets stand among the T target columns."""
        return [self.targets.index(name) for name in task.targets]


@dataclass
class Batch:
    """The tensors of one step: B rows, T target columns, K tasks. A few dense tensors, never one a feature.

    Args:
        categorical: int64 (B, F), one id a feature; 0 is unknown.
        bags: int64 (B, W), the padded bags side by side; 0 is padding.
        dense: float32 (B, C), scaled.
        targets: float32 (B, T); NaN or anything at all where there is no label.
        labelled: bool (B, K): whether row b has a label of task k.
        group: int64 (B,), for grouped metrics.
        row: int64 (B,), the row's number in the source, for predictions.
        rows_global: rows of this batch over all ranks; None where there is one process.
        history: int64 (B, L, H), ids of earlier events, latest last.
        history_mask: bool (B, L), where there is an event.
        label_source: int64 (B, K): 0 absent, 1 clean, 2 noisy.
        target_noise: float32 (B, T), standard deviation of a label's error.
        prior: int64 (B, P), scenario.
    """

    categorical: Tensor
    bags: Tensor
    dense: Tensor
    targets: Tensor
    labelled: Tensor
    group: Tensor
    row: Tensor
    rows_global: int | None = None
    history: Tensor | None = None
    history_mask: Tensor | None = None
    label_source: Tensor | None = None
    target_noise: Tensor | None = None
    prior: Tensor | None = None

    def __len__(self) -> int:
        return self.labelled.shape[0]

    def to(self, device: torch.device | str, **kwargs: Any) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {
            f.name: value.to(device, **kwargs) if isinstance(value, Tensor) else value
            for f in fields(self)
            for value in [getattr(self, f.name)]
        }
        return Batch(**moved)

    def select(self, rows: Tensor) -> "Batch":
        """Some of the rows, as a batch of their own.

        Args:
            rows: int64 (N,) positions, or bool (B,).
        """
        if rows.dtype == torch.bool:
            rows = rows.nonzero().squeeze(1)
        picked: dict[str, Any] = {
            f.name: value.index_select(0, rows) if isinstance(value, Tensor) else value
            for f in fields(self)
            for value in [getattr(self, f.name)]
        }
        picked["rows_global"] = None
        return Batch(**picked)


def concatenate(batches: Sequence[Batch]) -> Batch:
    """One batch of the rows of several, in order."""
    joined: dict[str, Any] = {}
    for f in fields(Batch):
        values = [getattr(batch, f.name) for batch in batches]
        joined[f.name] = torch.cat(values) if isinstance(values[0], Tensor) else None
    return Batch(**joined)
