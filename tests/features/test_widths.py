"""Embeddings of rare ids are narrower than those of frequent ones."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taskloom.errors import ConfigError
from taskloom.features import Features, count_ids
from taskloom.features.widths import NarrowTable, widths_by_count
from taskloom.schema import Feature, Schema

#: of user (12), item (9), hour (4) and genres (5)
COUNTS = [
    torch.tensor([3, 64, 40, 33, 17, 16, 9, 8, 2, 1, 0, 0]),
    torch.tensor([0, 2, 90, 90, 5, 45, 20, 12, 1]),
    torch.tensor([0, 7, 7, 7]),
    torch.tensor([0, 100, 50, 10, 1]),
]


def narrow(schema, power=1.0, dim=8, **options):
    return Features(schema, 2, dim=dim, frequency_power=power, counts=COUNTS, init_std=1.0, **options)


def rows_by_loop(features, view, ids):
    """The embedding of each logical row, level by level, from the formula of the widths."""
    widths = [
        next(d for d in (1, 2, 4, 8) if d >= 8 * int(n) / max(1, int(count.max()))) for count in COUNTS for n in count
    ]
    order = sorted(range(len(widths)), key=lambda row: -widths[row])  # stable
    levels = [level.weight for level in features.tables[view].levels]
    found = []
    for row in ids:
        parts = [
            level[order.index(row)] for level, start in zip(levels, (0, 1, 2, 4), strict=True) if widths[row] > start
        ]
        whole = torch.cat(parts)
        found.append(torch.cat([whole, torch.zeros(8 - len(whole))]))
    return torch.stack(found)


def test_ids_are_counted_by_feature_and_padding_is_not(schema, make_batch):
    batch = make_batch(schema, n=50)
    counts = count_ids(schema, {"categorical": batch.categorical.int(), "bags": batch.bags.int()})
    assert [len(count) for count in counts] == [12, 9, 4, 5]
    for column in range(3):
        ids = batch.categorical[:, column].tolist()
        assert counts[column].tolist() == [ids.count(i) for i in range(len(counts[column]))]
    ids = batch.bags.flatten().tolist()
    assert counts[3].tolist() == [0] + [ids.count(i) for i in range(1, 5)]


@given(
    st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=9), min_size=1, max_size=4),
    st.sampled_from([1, 2, 3, 8, 12, 64]),
    st.floats(0, 3),
)
def test_widths_follow_the_power_of_the_frequency(counts, dim, power):
    widths = widths_by_count([torch.tensor(count) for count in counts], dim, power).tolist()
    for count in counts:
        mine, widths = widths[: len(count)], widths[len(count) :]
        for n, width in zip(count, mine, strict=True):
            wanted = dim * (n / max(1, *count, 1)) ** power
            assert wanted * (1 - 1e-6) <= width <= dim
            assert width <= max(2 * wanted + 1, -(-dim // 8))  # no wider than rounding makes it
        if max(count):
            assert mine[count.index(max(count))] == dim
    assert set(widths_by_count([torch.tensor(c) for c in counts if max(c)] or [torch.ones(1)], dim, 0.0).tolist()) == {
        dim
    }


@pytest.mark.parametrize(("dim", "levels"), [(6, [1, 2, 3, 6]), (3, [1, 2, 3]), (1, [1]), (20, [3, 5, 10, 20])])
def test_halves_of_odd_widths_are_rounded_up(dim, levels):
    counts = torch.arange(1, 10_001)
    assert widths_by_count([counts], dim, 1.0).unique().tolist() == levels
    assert widths_by_count([counts], dim, 9.0).min() == levels[0]


@pytest.mark.parametrize(("views", "n_views"), [("shared", 1), ("per_task", 2), ("both", 3)])
def test_fields_are_the_levels_side_by_side(schema, make_batch, views, n_views):
    features, batch = narrow(schema, views=views), make_batch(schema)
    fields = features(batch).fields
    assert fields.shape == (16, n_views, 4, 8)
    for view in range(n_views):
        for column, start in enumerate((0, 12, 21)):
            expected = rows_by_loop(features, view, (start + batch.categorical[:, column]).tolist())
            torch.testing.assert_close(fields[:, view, column], expected)
        for row, ids in enumerate(batch.bags.tolist()):
            known = [25 + i for i in ids if i]
            mean = rows_by_loop(features, view, known).mean(0) if known else torch.zeros(8)
            torch.testing.assert_close(fields[row, view, 3], mean)
    owners = {features.owner(name) for name, _ in features.named_parameters()}
    assert owners == {"shared": {None}, "per_task": {0, 1}, "both": {0, 1, None}}[views]


def test_histories_find_the_same_rows(make_batch):
    schema = Schema(
        (Feature("user", "categorical", "user", size=12), Feature("item", "categorical", "item", size=9)),
        targets=("like",),
        history=("item",),
    )
    features = Features(schema, 2, dim=8, frequency_power=1.0, counts=COUNTS[:2], views="per_task", init_std=1.0)
    batch = make_batch(schema)
    batch.history[:, 2, 0] = batch.categorical[:, 1]
    embedded = features(batch)
    assert embedded.history.shape == (16, 2, 4, 1, 8)
    assert torch.equal(embedded.history[:, :, 2, 0], embedded.fields[:, :, 1])


def test_ids_of_one_frequency_make_the_plain_table(schema, make_batch):
    """The same parameters under the same names from the same random numbers, and so without the option."""
    even = [torch.full((feature.size,), 7) for feature in schema.fields]
    states = []
    for options in ({}, {"frequency_power": 0.0, "counts": COUNTS}, {"frequency_power": 0.5, "counts": even}):
        torch.manual_seed(5)
        states.append(Features(schema, 2, dim=8, **options).state_dict())
    # A bag's padding is counted as nothing in data; here it is as frequent as the rest.
    for state in states[1:]:
        assert list(state) == list(states[0]) == ["tables.0.weight"]
        assert torch.equal(state["tables.0.weight"], states[0]["tables.0.weight"])


def test_what_is_filled_up_stays_zero_and_first_components_are_everyones(schema, make_batch):
    features, batch = narrow(schema, l2=0.1), make_batch(schema, n=200)
    optimizer = torch.optim.AdamW(features.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        embedded = features(batch)
        (embedded.fields.sin().sum() + embedded.penalty).backward()
        optimizer.step()
    rare = batch.categorical[:, 0] == 9  # 1 of 64: one component
    fields = features(batch).fields[rare, 0, 0]
    assert rare.any()
    assert (fields[:, 1:] == 0).all()
    assert (fields[:, 0] != 0).all()
    for level in features.tables[0].levels:
        assert (level.weight[-1] == 0).all()


def test_the_penalty_is_of_the_components_that_are_there(schema, make_batch):
    features, batch = narrow(schema, l2=0.7), make_batch(schema)
    embedded = features(batch)
    torch.testing.assert_close(embedded.penalty, 0.7 * embedded.fields.square().sum() / 16)
    unknown = make_batch(schema)
    unknown.categorical.zero_()
    unknown.bags.zero_()
    assert features(unknown).fields.abs().sum() == 0


def test_which_components_are_a_rows_own():
    table = NarrowTable(torch.tensor([4, 2, 2, 1]))
    places = torch.tensor([[3, 0], [1, 2]])
    assert table.own(places).sum(-1).tolist() == [[1, 4], [2, 2]]
    assert torch.equal(table(places) != 0, table.own(places))


def test_fewer_parameters(schema):
    widths = widths_by_count(COUNTS, 8, 1.0)
    saved = narrow(schema)
    n = sum(p.numel() for p in saved.parameters())
    assert n == int(widths.sum()) + 8  # and the row of zeros
    assert n < 30 * 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counts": None}, "how often ids are seen is not known"),
        ({"counts": COUNTS, "hash_above": 8}, "does not go with features.hash_above, which hashes user"),
        ({"counts": COUNTS, "meta_from": 1}, "does not go with trainer=sharded"),
    ],
)
def test_what_does_not_go_together(schema, options, message):
    with pytest.raises(ConfigError, match=message):
        Features(schema, 2, dim=8, frequency_power=0.5, **options)
