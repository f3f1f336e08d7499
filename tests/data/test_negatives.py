import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.catalogue import Catalogue
from taskloom.data.negatives import Negatives, Pairs, _hash, digest, freeze
from taskloom.schema import Feature, Schema

SCHEMA = Schema((Feature("item", "categorical", "item", size=9999),), targets=("interact",))
USERS, ITEMS, EVENTS = 6, 40, 300


def catalogue(n):
    nothing = torch.empty(n, 0)
    return Catalogue(SCHEMA, torch.arange(n)[:, None], nothing.long(), nothing)


@pytest.fixture
def world():
    """Users, known pairs, and events in time whose items follow the order of the catalogue."""
    random = np.random.default_rng(0)
    known = random.random((USERS, ITEMS)) < 0.3
    known[5] = True  # one user has everything
    popularity = np.minimum(random.geometric(0.15, EVENTS) - 1, np.arange(EVENTS) // 7 % ITEMS)
    return known, np.flatnonzero(known).astype(np.int64), popularity.astype(np.int32)


def negatives(world, per_row=3, rule="uniform", seed=1):
    _, keys, popularity = world
    pairs = Pairs(torch.from_numpy(keys), ITEMS)
    return Negatives(catalogue(ITEMS), pairs, 0, per_row, rule, seed, torch.from_numpy(popularity))


def rows(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    group = torch.randint(0, USERS, (n,), generator=g, dtype=torch.int32)
    events = torch.randint(1, EVENTS + 1, (n, 1), generator=g)
    return group, torch.cat([torch.randint(1, ITEMS + 1, (n, 1), generator=g), events], 1).int()


def test_pairs(world):
    known, keys, _ = world
    pairs = Pairs(torch.from_numpy(keys), ITEMS)
    group, place = torch.meshgrid(torch.arange(USERS), torch.arange(ITEMS), indexing="ij")
    assert torch.equal(pairs.contains(group, place), torch.from_numpy(known))
    assert torch.equal(pairs.contains(group.int(), place), torch.from_numpy(known))
    for user in range(USERS):
        assert pairs.of(user).tolist() == np.flatnonzero(known[user]).tolist()
    # A user of no training row, behind all others.
    assert not pairs.contains(torch.full((ITEMS,), USERS), torch.arange(ITEMS)).any()
    assert pairs.of(USERS).tolist() == []
    assert not Pairs(torch.empty(0, dtype=torch.int64), ITEMS).contains(group, place).any()


def test_pairs_of_many_users_and_items_do_not_overflow():
    group = torch.tensor([3_000_000], dtype=torch.int32)
    pairs = Pairs(torch.tensor([3_000_000 * 2_000_000 + 5]), 2_000_000)
    assert pairs.contains(group, torch.tensor([5])).all()
    assert pairs.of(3_000_000).tolist() == [5]


@pytest.mark.parametrize("rule", ["uniform", "popularity"])
def test_a_negative_existed_by_then_and_is_not_known(world, rule):
    known, _, popularity = world
    group, reach = rows(2000)
    places, labelled = negatives(world, rule=rule).draw(group, reach, torch.arange(2000), epoch=0)
    assert places.shape == labelled.shape == (2000, 3)
    taken = known[group.numpy()[:, None], places.numpy()]
    assert not taken[labelled.numpy()].any()
    assert labelled[taken == 0].all()
    assert not labelled[group == 5].any()  # nothing is left to draw
    assert labelled[(group != 5) & (reach[:, 0] > 30)].float().mean() > 0.99
    if rule == "uniform":
        assert (places < reach[:, :1]).all()
    else:
        for row in range(200):
            assert set(places[row].tolist()) <= set(popularity[: reach[row, 1]].tolist())


def test_uniform_draws_are_even():
    n = 40_000
    one = Negatives(catalogue(10), Pairs(torch.tensor([3]), 10), 0, 5, "uniform", 1)
    reach = torch.tensor([[8, 0]]).expand(n, 2)
    places, labelled = one.draw(torch.zeros(n), reach, torch.arange(n), epoch=3)
    assert labelled.all()
    counts = torch.bincount(places.flatten(), minlength=10)
    assert counts[[3, 8, 9]].tolist() == [0, 0, 0]
    others = counts[[0, 1, 2, 4, 5, 6, 7]].double()
    expected = 5 * n / 7
    chi_square = ((others - expected) ** 2 / expected).sum()
    assert chi_square < 22.5  # 99.9% of chances, 6 degrees of freedom
    # Negatives of one row, and neighbours, are independent of each other.
    alike = (places[:, 0] == places[:, 1]).double().mean(), (places[1:, 0] == places[:-1, 0]).double().mean()
    assert all(abs(rate - 1 / 7) < 0.008 for rate in alike)


def test_popular_items_are_drawn_as_often_as_they_were_met():
    n = 30_000
    met = torch.tensor([0, 1, 1, 1, 2, 2, 9], dtype=torch.int32)
    one = Negatives(catalogue(10), Pairs(torch.tensor([2]), 10), 0, 2, "popularity", 1, met)
    places, _ = one.draw(torch.zeros(n), torch.tensor([[3, 6]]).expand(n, 2), torch.arange(n), epoch=0)
    share = torch.bincount(places.flatten(), minlength=10) / (2 * n)
    torch.testing.assert_close(share[:3], torch.tensor([0.25, 0.75, 0.0]), atol=0.01, rtol=0)
    assert share.sum() == pytest.approx(1)


def test_draws_depend_on_seed_epoch_and_position_alone(world):
    group, reach = rows(500)
    positions = torch.arange(1000, 1500)
    whole, _ = negatives(world).draw(group, reach, positions, epoch=2)
    for part in (slice(100, 200), slice(1, None, 2)):
        some, _ = negatives(world).draw(group[part], reach[part], positions[part], epoch=2)
        assert torch.equal(some, whole[part])
    moved, _ = negatives(world).to("cpu").draw(group, reach, positions, epoch=2)
    assert torch.equal(moved, whole)
    others = [
        negatives(world).draw(group, reach, positions, epoch=3),
        negatives(world).draw(group, reach, positions + 500, epoch=2),
        negatives(world, seed=2).draw(group, reach, positions, epoch=2),
    ]
    for other, _ in others:
        assert (other == whole).float().mean() < 0.2


def test_a_row_before_every_item_has_no_negative():
    one = Negatives(catalogue(5), Pairs(torch.tensor([99]), 5), 0, 2, "uniform", 1)
    places, labelled = one.draw(torch.tensor([0, 0]), torch.tensor([[0, 0], [1, 1]]), torch.arange(2), epoch=0)
    assert labelled.tolist() == [[False, False], [True, True]]
    assert (places < 5).all()


def frozen(world, n, per_row, rule="uniform", seed=1, part=slice(None), out=None):
    _, keys, popularity = world
    group, reach = (x.numpy() for x in rows(n))
    own = np.arange(n, dtype=np.int32) % (ITEMS + 1) - 1
    row = np.arange(n) * 3
    columns = (row[part], group[part], own[part], reach[part])
    return *columns, freeze(*columns, keys, ITEMS, per_row, rule, popularity, seed, out)


@given(n=st.integers(1, 40), per_row=st.integers(1, 45), rule=st.sampled_from(["uniform", "popularity"]))
@settings(max_examples=30, deadline=None)
def test_frozen_negatives_are_as_many_different_unknown_items_as_there_are(n, per_row, rule):
    random = np.random.default_rng(1)
    known = random.random((USERS, ITEMS)) < 0.3
    world = known, np.flatnonzero(known).astype(np.int64), random.integers(0, ITEMS, EVENTS).astype(np.int32)
    _, group, own, reach, drawn = frozen(world, n, per_row, rule)
    assert drawn.dtype == np.int32
    for g, o, (exist, _), items in zip(group, own, reach, drawn, strict=True):
        kept = items[items >= 0]
        assert (items[len(kept) :] == -1).all()
        assert len(set(kept)) == len(kept)
        assert o not in kept
        assert not known[g][kept].any()
        allowed = set(np.flatnonzero(~known[g][:exist])) - {o}
        if rule == "uniform":
            assert set(kept) <= allowed
        assert len(kept) >= min(per_row, len(allowed))


def test_frozen_negatives_follow_from_seed_and_row_alone(world, monkeypatch):
    *_, whole = frozen(world, 300, 8)
    *_, some = frozen(world, 300, 8, part=slice(40, 90))
    assert np.array_equal(some, whole[40:90])
    monkeypatch.setattr("taskloom.data.negatives.CHUNK", 7)
    out = np.zeros((300, 8), np.int32)
    *_, in_chunks = frozen(world, 300, 8, out=out)
    assert in_chunks is out
    assert np.array_equal(out, whole)
    *_, other = frozen(world, 300, 8, seed=2)
    assert (other == whole).mean() < 0.4
    assert digest(out) == digest(whole) != digest(other)


def test_frozen_negatives_are_drawn_evenly():
    n, per_row = 4000, 5
    zeros = np.zeros(n, np.int64)
    reach = np.tile([20, 0], (n, 1))
    drawn = freeze(np.arange(n), zeros, zeros + 4, reach, np.array([7]), 30, per_row, "uniform", None, 1)
    counts = np.bincount(drawn.ravel(), minlength=30)
    assert counts[[4, 7, *range(20, 30)]].sum() == 0
    others = np.delete(counts[:20], [4, 7])
    expected = n * per_row / 18
    assert ((others - expected) ** 2 / expected).sum() < 40.8  # 99.9%, 17 degrees of freedom


def test_the_few_items_that_are_left_are_taken_evenly():
    """Where a user has nearly everything, draws find nothing, and what is left is looked up."""
    n, items, left = 600, 5000, [7, 900, 2500, 4999]
    zeros = np.zeros(n, np.int64)
    known = np.setdiff1d(np.arange(items), left)
    reach = np.tile([items, 0], (n, 1))
    drawn = freeze(np.arange(n), zeros, zeros - 1, reach, known, items, 2, "uniform", None, 1)
    assert set(drawn.ravel()) == set(left)
    first, second = (np.bincount(np.searchsorted(left, drawn[:, place])) for place in (0, 1))
    expected = n / 4
    assert ((first - expected) ** 2 / expected).sum() < 16.3  # 99.9%, 3 degrees of freedom
    assert ((second - expected) ** 2 / expected).sum() < 16.3


def by_hand(row, exist, barred, per_row):
    """Frozen negatives of one row, in whole numbers of any size; seed 1."""

    def draw(number, attempt):
        counter = (row * per_row + number) * 8 + attempt
        x = (int(np.random.SeedSequence([1]).generate_state(1, np.uint64)[0]) + counter * 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return ((x ^ x >> 31) % 2**63) % exist

    drawn = [draw(number, 0) for number in range(per_row)]
    for attempt in range(1, 8):
        bad = [i for i, item in enumerate(drawn) if item in barred or item in drawn[:i]]
        for number in bad:
            drawn[number] = draw(number, attempt)
    return drawn


def test_known_draws():
    """Frozen negatives are the same on every machine and in every version."""
    zeros = np.zeros(50, np.int64)
    drawn = freeze(np.arange(50), zeros, zeros + 3, np.tile([60, 0], (50, 1)), np.array([7]), 90, 4, "uniform", None, 1)
    assert drawn.tolist() == [by_hand(row, 60, {3, 7}, 4) for row in range(50)]
    assert digest(drawn) == "f1e9d49ddaf29701f40eff3cc84ba2a05ab039e6c6dc9155067b04c126e17968"


def test_hash_is_splitmix64():
    """The first numbers of the published generator with seed 1234567."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    got = _hash(1234567, torch.arange(1, 5)).tolist()
    assert [value % 2**64 for value in got] == expected
