"""Features of many ids share rows, two to an id."""

import pytest
import torch

from taskloom.features import Features
from taskloom.features.hashing import Hashing
from taskloom.schema import Feature, Schema
from taskloom.training.sharded import close_own_group, shard_tables

PRIME = 2**31 - 1


def pair(i, n):
    """The two rows of an id among n, from the formula, in whole numbers without a limit."""
    if i == 0:
        return [0]
    first = (1_103_515_245 * i + 12_345) % PRIME % (n - 1)
    step = 1 + (1_664_525_791 * i + 1_013_904_223) % PRIME % (n - 2)
    return [1 + first, 1 + (first + step) % (n - 1)]


@pytest.mark.parametrize(("views", "n_views"), [("shared", 1), ("per_task", 2), ("both", 3)])
def test_fields_are_sums_of_two_rows(schema, make_batch, views, n_views):
    """User (12) and item (9) share 8 rows each; hour and genres keep theirs."""
    features, batch = Features(schema, 2, dim=3, hash_above=8, views=views, init_std=1.0), make_batch(schema)
    fields = features(batch).fields
    assert fields.shape == (16, n_views, 4, 3)
    for view in range(n_views):
        table = features.tables[view].weight
        assert table.shape == (8 + 8 + 4 + 5, 3)
        for column, start in enumerate((0, 8)):
            for row, i in enumerate(batch.categorical[:, column].tolist()):
                expected = sum(table[start + place] for place in pair(i, 8))
                torch.testing.assert_close(fields[row, view, column], expected)
        assert torch.equal(fields[:, view, 2], table[16 + batch.categorical[:, 2]])
        for row, ids in enumerate(batch.bags.tolist()):
            known = [20 + i for i in ids if i]
            torch.testing.assert_close(fields[row, view, 3], table[known].mean(0) if known else torch.zeros(3))


def test_bags_and_histories_are_hashed_alike(make_batch):
    schema = Schema(
        (
            Feature("user", "categorical", "user", size=4),
            Feature("item", "categorical", "item", size=50),
            Feature("tags", "bag", "item", size=40, width=3),
        ),
        targets=("like",),
        history=("user", "item"),
    )
    features, batch = Features(schema, 2, dim=3, hash_above=10, init_std=1.0), make_batch(schema)
    batch.history[:, 1] = batch.categorical
    table, embedded = features.tables[0].weight, features(batch)
    assert torch.equal(embedded.history[:, 0, 1], embedded.fields[:, 0, :2])
    for row, ids in enumerate(batch.bags.tolist()):
        known = [sum(table[14 + place] for place in pair(i, 10)) for i in ids if i]
        expected = torch.stack(known).mean(0) if known else torch.zeros(3)
        torch.testing.assert_close(embedded.fields[row, 0, 2], expected)


def test_above_all_sizes_it_is_the_plain_table(schema, make_batch):
    states, fields = [], []
    for hash_above in (None, 12):
        torch.manual_seed(5)
        features = Features(schema, 2, dim=3, hash_above=hash_above)
        states.append(features.state_dict())
        fields.append(features(make_batch(schema)).fields)
    assert list(states[0]) == list(states[1]) == ["tables.0.weight"]
    assert torch.equal(states[0]["tables.0.weight"], states[1]["tables.0.weight"])
    assert torch.equal(*fields)


def test_the_unknown_id_begins_at_zero_and_trains_its_own_row(schema, make_batch):
    features, batch = Features(schema, 2, dim=3, hash_above=8, init_std=1.0), make_batch(schema)
    batch.categorical.zero_()
    fields = features(batch).fields[:, 0, :2]
    assert fields.abs().sum() == 0
    fields.sum().backward()
    gradient = features.tables[0].weight.grad
    assert (gradient[[0, 8]] == 16).all()
    assert gradient[1:8].abs().sum() + gradient[9:16].abs().sum() == 0


@pytest.mark.parametrize("n", [3, 4, 17, 1000])
def test_places_are_two_different_ones_within_the_rows(n):
    ids = torch.cat([torch.arange(1, 5000), torch.tensor([2**31 - 2])])
    places = Hashing([n])(ids[:, None])
    assert 1 <= int(places.min()) <= int(places.max()) <= n - 1
    assert (places[:, 0] != places[:, 1]).all()


def test_ids_seldom_share_both_rows_and_load_rows_evenly():
    n, ids = 2001, torch.arange(1, 20_001)
    places = Hashing([n])(ids[:, None])
    loads = torch.bincount(places.flatten(), minlength=n)[1:].double()
    assert loads.max() < 2.2 * loads.mean()  # of numbers drawn at random 2
    pairs = places.sort(dim=1).values
    shared = len(ids) - len(pairs.unique(dim=0))
    assert shared < 2 * 20_000**2 / 2000**2  # n² / m² of pairs drawn at random; of one row each, 18,000


@pytest.mark.parametrize(("i", "n"), [(7, 50), (99, 50), (2**31 - 2, 100_000)])
def test_numbers_are_fixed(i, n):
    """Neither a seed nor Python's own hash comes in: all processes agree."""
    assert Hashing([n])(torch.tensor([[i]])).tolist() == [pair(i, n)]


def test_sharded_tables_are_hashed_alike(schema, make_batch):
    features = Features(schema, 2, dim=3, hash_above=8, views="per_task", init_std=1.0, meta_from=1)
    shard_tables(features, "cpu")
    try:
        plain = Features(schema, 2, dim=3, hash_above=8, views="per_task")
        with torch.no_grad():
            for table, other in zip(plain.tables, features.tables, strict=True):
                table.weight.copy_(other.weight.to_local())
        batch = make_batch(schema)
        assert torch.equal(features(batch).fields, plain(batch).fields)
    finally:
        close_own_group()
