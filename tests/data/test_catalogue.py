import pytest
import torch

from taskloom.data.catalogue import Catalogue
from taskloom.data.events import EventIndex
from taskloom.data.loader import ColumnLoader, Columns, Extras
from taskloom.schema import Feature, Schema

SCHEMA = Schema(
    (
        Feature("item", "categorical", "item", size=99),
        Feature("user", "categorical", "user", size=99),
        Feature("maker", "categorical", "item", size=99),
        Feature("seen", "bag", "user", size=99, width=2),
        Feature("genres", "bag", "item", size=99, width=3),
        Feature("age", "dense", "user"),
        Feature("price", "dense", "item", width=2),
        Feature("hour", "dense", "context"),
    ),
    targets=("interact",),
    history=("item",),
)
ROWS, ITEMS = 6, 5


@pytest.fixture
def catalogue():
    """Its numbers are from 50 on; those of the other sides are -1 and must not be seen."""
    i = torch.arange(ITEMS)
    own = torch.full((ITEMS,), -1)
    categorical = torch.stack([50 + i, own, 60 + i], 1)
    bags = torch.stack([own, own, 70 + i, 75 + i, 80 + i], 1)
    dense = torch.stack([own, 0.5 + i, 0.25 + i, own], 1)
    return Catalogue(SCHEMA, categorical.int(), bags.int(), dense.float())


@pytest.fixture
def batch():
    """Rows whose numbers are below 50."""
    n = torch.arange(ROWS)
    columns = Columns(
        torch.stack([n, n + 10, n + 20], 1).int(),
        torch.stack([n + 30, n + 31, n + 32, n + 33, n + 34], 1).int(),
        torch.stack([n, n, n, n], 1).float(),
        torch.ones(ROWS, 1),
        n + 7,
        n + 100,
        history=torch.stack([n * 0, n], 1).int(),
        noise=torch.full((ROWS, 1), 0.5),
    )
    extras = Extras(EventIndex(torch.arange(1, 9)[:, None].int(), 2), prior=(2, 1))
    return next(iter(ColumnLoader(columns, [[0]], ROWS, extras=extras)))


def test_only_the_item_side_is_replaced(catalogue, batch):
    places = torch.tensor([4, 0, 2, 2, 1, 3])
    before = batch.select(torch.arange(ROWS))
    categorical, bags, dense = catalogue.place(batch, places)
    assert categorical.tolist() == [[50 + p, n + 10, 60 + p] for n, p in enumerate(places.tolist())]
    assert bags.tolist() == [[n + 30, n + 31, 70 + p, 75 + p, 80 + p] for n, p in enumerate(places.tolist())]
    assert dense.tolist() == [[n, 0.5 + p, 0.25 + p, n] for n, p in enumerate(places.tolist())]
    assert (categorical.dtype, bags.dtype, dense.dtype) == (torch.int64, torch.int64, torch.float32)
    for name in ("categorical", "bags", "dense"):
        assert torch.equal(getattr(batch, name), getattr(before, name))  # the rows stay as they are


@pytest.mark.parametrize("chunk", [1, 3, 5, 12, 1000])
def test_every_user_meets_every_item_once(catalogue, batch, chunk):
    met = torch.zeros(ROWS, ITEMS, dtype=torch.int64)
    for users, items, pairs in catalogue.score_batches(batch, chunk, prior=(2, 1)):
        assert 0 < len(pairs) <= chunk
        shape = users.stop - users.start, items.stop - items.start
        met[users, items] += 1
        item, user, maker = pairs.categorical.view(*shape, 3).unbind(2)
        assert torch.equal(item, 50 + torch.arange(ITEMS)[items].expand(shape))
        assert torch.equal(user, 10 + torch.arange(ROWS)[users, None].expand(shape))
        assert torch.equal(pairs.prior, torch.stack([maker, user], 2).flatten(0, 1))
        of = torch.arange(ROWS)[users].repeat_interleave(shape[1])
        assert torch.equal(pairs.history, batch.history[of])
        assert torch.equal(pairs.history_mask, batch.history_mask[of])
        assert torch.equal(pairs.group, batch.group[of])
        assert torch.equal(pairs.row, batch.row[of])
        assert pairs.labelled.shape == (len(pairs), 1)
        assert not pairs.labelled.any()
        assert not pairs.label_source.any()
    assert (met == 1).all()
    assert batch.labelled.all()


def test_a_catalogue_may_be_moved(catalogue, batch):
    places = torch.arange(ROWS) % ITEMS
    moved = catalogue.to("cpu")
    assert len(moved) == ITEMS
    for one, other in zip(moved.place(batch, places), catalogue.place(batch, places), strict=True):
        assert torch.equal(one, other)
