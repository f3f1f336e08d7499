"""Look-ups, views, bags, the penalty of looked-up rows."""

import pytest
import torch

from taskloom.errors import ConfigError
from taskloom.features import Features, count_ids
from taskloom.schema import Feature, Schema


@pytest.mark.parametrize(("views", "n_views"), [("shared", 1), ("per_task", 2), ("both", 3)])
def test_views_have_tables_of_their_own(schema, make_batch, views, n_views):
    features = Features(schema, 2, dim=3, views=views, init_std=1.0)
    embedded = features(make_batch(schema))
    assert embedded.fields.shape == (16, n_views, 4, 3)
    assert torch.equal(embedded.for_task(1).fields, embedded.fields[:, min(1, n_views - 1)])
    assert torch.equal(embedded.shared().fields, embedded.fields[:, -1])
    owners = [features.owner(name) for name, _ in features.named_parameters()]
    assert owners == {"shared": [None], "per_task": [0, 1], "both": [0, 1, None]}[views]


def test_fields_are_the_rows_of_their_ids(schema, make_batch):
    features = Features(schema, 2, dim=3, init_std=1.0)
    batch = make_batch(schema)
    table = features.tables[0].weight
    fields = features(batch).fields[:, 0]
    assert torch.equal(fields[:, 0], table[batch.categorical[:, 0]])
    assert torch.equal(fields[:, 1], table[12 + batch.categorical[:, 1]])
    for row, ids in enumerate(batch.bags.tolist()):
        known = [12 + 9 + 4 + i for i in ids if i]
        mean = table[known].mean(0) if known else torch.zeros(3)
        torch.testing.assert_close(fields[row, 3], mean)


def test_unknown_id_begins_at_zero(schema):
    weight = Features(schema, 2, dim=3, init_std=1.0).tables[0].weight
    assert weight[[0, 12, 21, 25]].abs().sum() == 0
    assert (weight.abs().sum(1) == 0).sum() == 4


def test_penalty_is_the_mean_squared_norm_of_the_rows_looked_up(schema, make_batch):
    features = Features(schema, 2, dim=3, l2=0.7, views="per_task", init_std=1.0, dropout=0.5)
    batch = make_batch(schema, n=5)
    embedded = features(batch)
    features.eval()
    expected = 0.7 * features(batch).fields.pow(2).sum() / 5  # of the rows, whatever dropout did
    torch.testing.assert_close(embedded.penalty, expected)
    embedded.penalty.backward()
    looked_up = set(batch.categorical[:, 0].tolist())
    touched = features.tables[0].weight.grad[:12].abs().sum(1) > 0
    assert {i for i in range(12) if touched[i]} == looked_up - {0}  # id 0 is zero and stays


def test_penalty_of_a_part_of_a_batch_is_a_mean_over_the_whole(schema, make_batch):
    """What each rank has of a batch adds up to the penalty of all of it."""
    features, batch = Features(schema, 2, dim=3, l2=0.7, init_std=1.0), make_batch(schema)
    whole, parts = features(batch).penalty, [batch.select(rows) for rows in torch.arange(16).split([5, 11])]
    for part in parts:
        part.rows_global = 16
    torch.testing.assert_close(sum(features(part).penalty for part in parts), whole)


def test_history_looks_up_the_same_tables(make_batch):
    schema = Schema(
        (Feature("user", "categorical", "user", size=4), Feature("item", "categorical", "item", size=6)),
        targets=("like",),
        history=("item",),
    )
    features = Features(schema, 2, dim=3, views="per_task", init_std=1.0)
    batch = make_batch(schema)
    batch.history = torch.randint(0, 6, (16, 5, 1))
    batch.history_mask = torch.rand(16, 5) > 0.5
    embedded = features(batch)
    assert embedded.history.shape == (16, 2, 5, 1, 3)
    assert torch.equal(embedded.view(1).history[:, 2, 0], features.tables[1].weight[4 + batch.history[:, 2, 0]])


def test_schema_without_bags_or_dense_columns(make_batch):
    schema = Schema((Feature("user", "categorical", "user", size=4),), targets=("like",))
    assert Features(schema, 1, dim=2)(make_batch(schema, n_tasks=1)).fields.shape == (16, 1, 1, 2)


def test_penalty_by_frequency_holds_an_id_in_proportion_to_a_power_of_its_rows(schema, make_batch):
    """Over all rows, each once: λ times n^ν times the squared norm of the id's row, up to the feature's own scale."""
    batch = make_batch(schema, n=400)
    columns = {"categorical": batch.categorical, "bags": batch.bags}
    options = {"l2": 0.7, "init_std": 1.0, "counts": count_ids(schema, columns)}
    for power in (0.0, 0.5):
        features = Features(schema, 2, dim=3, l2_power=power, **options)
        features(batch).penalty.backward()
        table, counts = features.tables[0].weight, options["counts"][0]
        seen = counts > 0
        held = 2 * 0.7 / 400 * (counts.double() ** power * (400 / seen.sum()) ** (1 - power))[:, None] * table[:12]
        torch.testing.assert_close(table.grad[:12][seen], held[seen].float())


def test_penalty_by_frequency_of_a_bag_is_that_of_its_ids(schema, make_batch):
    batch = make_batch(schema, n=50)
    counts = count_ids(schema, {"categorical": batch.categorical, "bags": batch.bags})
    features = Features(schema, 2, dim=3, l2=1.0, l2_power=0.5, counts=counts, views="per_task", init_std=1.0)
    torch.testing.assert_close(features(batch).penalty, penalty_by_hand(features, batch))


def penalty_by_hand(features, batch):
    """Row by row, with λ = 1: what holds each id of a field, the mean of these for a bag."""
    weights = []
    for row, bag in enumerate(batch.bags.tolist()):
        ids = [12 + 9 + 4 + i for i in bag if i]
        own = [features.holds[start + batch.categorical[row, f]] for f, start in enumerate((0, 12, 21))]
        weights.append(torch.stack([*own, features.holds[ids].mean() if ids else torch.tensor(0.0)]))
    squares = features(batch).fields.square().sum(3)
    return (squares * torch.stack(weights).unsqueeze(1)).sum() / len(weights)


def test_penalty_by_frequency_is_of_ids_where_rows_are_hashed(schema, make_batch):
    batch = make_batch(schema, n=50)
    options = {"counts": count_ids(schema, {"categorical": batch.categorical, "bags": batch.bags}), "init_std": 1.0}
    whole = Features(schema, 2, dim=3, l2=1.0, l2_power=0.5, **options)
    hashed = Features(schema, 2, dim=3, l2=1.0, l2_power=0.5, hash_above=8, **options)
    assert torch.equal(whole.holds, hashed.holds)
    torch.testing.assert_close(hashed(batch).penalty, penalty_by_hand(hashed, batch))
    assert Features(schema, 2, dim=3, l2=1.0, **options).holds is None


def test_penalty_by_frequency_needs_to_know_how_often_ids_are_seen(schema):
    with pytest.raises(ConfigError, match=r"features\.l2_power: how often ids are seen is not known"):
        Features(schema, 2, dim=3, l2=0.1, l2_power=0.5)
