"""The catalogue: the item side of every training item, to stand in for that of a row."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from taskloom.schema import Batch, Kind, Schema


class Catalogue:
    """The I items of the training part, in the order in which they first appear there.

    So the items that exist by some time are the first few. The columns of user and context are of no use here and
    may hold anything.

    Args:
        schema: the columns.
        categorical: integers (I, F).
        bags: integers (I, W).
        dense: float32 (I, C).

    Example:
        >>> from taskloom.schema import Feature
        >>> schema = Schema((Feature("user", "categorical", "user", size=9),
        ...                  Feature("item", "categorical", "item", size=9)), targets=("interact",))
        >>> nothing = torch.empty(3, 0)
        >>> catalogue = Catalogue(schema, torch.tensor([[0, 5], [0, 7], [0, 8]]), nothing.long(), nothing)
        >>> one = Batch(torch.tensor([[4, 5]]), nothing[:1].long(), nothing[:1], torch.ones(1, 1),
        ...             torch.ones(1, 1).bool(), torch.tensor([3]), torch.tensor([0]))
        >>> catalogue.place(one, torch.tensor([2]))[0].tolist()
        [[4, 8]]
        >>> [(users, items, pairs.categorical.tolist()) for users, items, pairs in catalogue.score_batches(one, 2)]
        [(slice(0, 1, None), slice(0, 2, None), [[4, 5], [4, 7]]), (slice(0, 1, None), slice(2, 3, None), [[4, 8]])]
    """

    def __init__(self, schema: Schema, categorical: Tensor, bags: Tensor, dense: Tensor) -> None:
        self.schema = schema
        self.categorical, self.bags, self.dense = categorical, bags, dense
        device = categorical.device
        self._categorical = _item_columns(schema, "categorical", device)
        self._bags = _item_columns(schema, "bag", device)
        self._dense = _item_columns(schema, "dense", device)

    def __len__(self) -> int:
        return len(self.categorical)

    def to(self, device: torch.device | str) -> "Catalogue":
        """The same items on another device."""
        return Catalogue(self.schema, self.categorical.to(device), self.bags.to(device), self.dense.to(device))

    def place(self, batch: Batch, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The categorical columns, bags and dense columns of B rows, their item side replaced.

        Args:
            batch: B rows; they stay as they are.
            places: int64 (B,), of each row the new item's place in the catalogue.
        """
        return (
            _placed(batch.categorical, self.categorical, self._categorical, places),
            _placed(batch.bags, self.bags, self._bags, places),
            _placed(batch.dense, self.dense, self._dense, places),
        )

    def score_batches(
        self, batch: Batch, chunk: int = 65536, prior: Sequence[int] = ()
    ) -> Iterator[tuple[slice, slice, Batch]]:
        """Every user row of a batch with every item, in batches: what ranks the whole catalogue.

        Args:
            batch: U rows, as a loader without negatives gives them: user, context and history are theirs.
            chunk: pairs in a batch, at most.
            prior: positions of the categorical columns that are the prior.

        Yields:
            Which users, which items, and the batch of their pairs, user by user: predictions of it have the shape
            (users, items). Nothing in it is labelled, and its row numbers are the user row's.
        """
        together = max(1, chunk // max(1, len(self)))
        for user in range(0, len(batch), together):
            users = slice(user, min(user + together, len(batch)))
            for item in range(0, len(self), chunk):
                items = slice(item, min(item + chunk, len(self)))
                yield users, items, self._pairs(batch, users, items, prior)

    def _pairs(self, batch: Batch, users: slice, items: slice, prior: Sequence[int]) -> Batch:
        device = batch.row.device
        rows = torch.arange(users.start, users.stop, device=device).repeat_interleave(items.stop - items.start)
        places = torch.arange(items.start, items.stop, device=device).repeat(users.stop - users.start)
        pairs = batch.select(rows)
        pairs.categorical, pairs.bags, pairs.dense = self.place(pairs, places)
        pairs.labelled = torch.zeros_like(pairs.labelled)
        if pairs.label_source is not None:
            pairs.label_source = torch.zeros_like(pairs.label_source)
        if prior:
            pairs.prior = pairs.categorical[:, list(prior)]
        return pairs


def _item_columns(schema: Schema, kind: Kind, device: torch.device) -> Tensor:
    """Where the item side stands among the columns of a kind."""
    sides = [feature.side for feature in schema.of_kind(kind) for _ in range(feature.width)]
    return torch.tensor([place for place, side in enumerate(sides) if side == "item"], dtype=torch.int64, device=device)


def _placed(own: Tensor, items: Tensor, columns: Tensor, places: Tensor) -> Tensor:
    if not len(columns):
        return own
    return own.index_copy(1, columns, items.index_select(0, places).index_select(1, columns).to(own.dtype))
