import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.order import BUFFER, Order, Sampling, permutation
from taskloom.errors import ConfigError

quick = settings(max_examples=40, deadline=None)
blocks = st.none() | st.integers(1, 9)
cuts = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def in_pieces(order, epoch, n, sizes):
    """An epoch, taken in pieces of these sizes, over and over."""
    sizes, start, parts = itertools.cycle(sizes), 0, []
    while start < n:
        end = min(start + next(sizes), n)
        parts.append(order.take(epoch, start, end))
        start = end
    return torch.cat(parts).tolist()


def test_permutations_repeat_and_differ():
    seen = {tuple(permutation(40, *key).tolist()) for key in itertools.product(range(4), range(4), (0, 1, 2), (1, 2))}
    assert len(seen) == 4 * 4 * 3 * 2
    assert torch.equal(permutation(40, 3, 1), permutation(40, 3, 1))


@given(n=st.integers(1, 400), block=blocks, sizes=cuts, epoch=st.integers(0, 3))
@quick
def test_an_epoch_has_each_row_once_however_it_is_taken(n, block, sizes, epoch):
    whole = Order(n, 1, block=block).take(epoch, 0, n).tolist()
    assert sorted(whole) == list(range(n))
    assert in_pieces(Order(n, 1, block=block), epoch, n, sizes) == whole
    middle = n // 2
    assert Order(n, 1, block=block).take(epoch, middle, n).tolist() == whole[middle:]  # with nothing before it


def test_without_blocks_an_epoch_is_one_permutation():
    order = Order(30, 7)
    for epoch in (2, 0, 1):
        assert torch.equal(order.take(epoch, 0, 30), permutation(30, 7, epoch))


@given(n=st.integers(1, 3000), block=st.integers(1, 30))
@quick
def test_a_window_reads_few_blocks_and_shuffles_their_rows(n, block):
    order = Order(n, 1, block=block)
    rows = order.take(0, 0, n)
    windows = rows.div(block, rounding_mode="floor").split(block * BUFFER)
    # The table's last block may be short, so that the windows behind it begin early: by less than a block.
    assert all(len(window.unique()) <= 2 * BUFFER for window in windows)
    read = torch.cat([window.unique() for window in windows])
    assert len(read) <= -(-n // block) + len(windows) * BUFFER
    first = order.take(0, 0, min(n, (BUFFER - 1) * block))
    assert len(first.div(block, rounding_mode="floor").unique()) <= BUFFER


def test_blocks_come_in_another_order_each_epoch_and_their_rows_too():
    n, block = 4000, 10
    order = Order(n, 1, block=block)
    one, two = (order.take(epoch, 0, n) for epoch in (0, 1))
    assert not torch.equal(one, two)
    first = [set(rows[: block * BUFFER].div(block, rounding_mode="floor").tolist()) for rows in (one, two)]
    assert len(first[0]) == len(first[1]) == BUFFER
    assert first[0] != first[1]
    steps = one[1:] - one[:-1]
    assert (steps == 1).float().mean() < 0.05  # neighbours in the store are not neighbours in the epoch
    assert not torch.equal(one, Order(n, 2, block=block).take(0, 0, n))


@pytest.mark.parametrize(
    ("sampling", "sizes", "expected"),
    [
        (Sampling(), [7, 0, 3], [7, 0, 3]),
        (Sampling("equal"), [900, 90, 10], [334, 333, 333]),
        (Sampling("equal"), [900, 0, 100], [500, 0, 500]),
        (Sampling("temperature", 1), [900, 90, 10], [900, 90, 10]),
        (Sampling("temperature", 2), [900, 100], [750, 250]),
        (Sampling("temperature", 4), [160_000, 10_000], [113_333, 56_667]),
    ],
)
def test_counts(sampling, sizes, expected):
    assert sampling.counts(sizes) == expected


@given(sizes=st.lists(st.integers(0, 10**9), min_size=1, max_size=8), temperature=st.floats(1, 50))
@quick
def test_counts_sum_to_the_epoch_and_keep_the_order_of_sizes(sizes, temperature):
    counts = Sampling("temperature", temperature).counts(sizes)
    assert sum(counts) == sum(sizes)
    assert all((count == 0) or size for size, count in zip(sizes, counts, strict=True))
    for (a, x), (b, y) in itertools.combinations(zip(sizes, counts, strict=True), 2):
        assert a <= b or x >= y - 1


def stacked(sizes, seed):
    source = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(torch.int8)
    return source[permutation(len(source), seed, 0)]  # the tables' rows lie among each other


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4).filter(sum),
    block=blocks,
    sampling=st.sampled_from([Sampling("equal"), Sampling("temperature", 3)]),
    pieces=cuts,
    epochs=st.integers(1, 5),
)
@quick
def test_stacked_tables_have_their_share_and_no_row_is_favoured(sizes, block, sampling, pieces, epochs):
    source, n = stacked(sizes, 1), sum(sizes)
    order = Order(n, 1, source, sampling, block)
    counts = sampling.counts(sizes)
    given = torch.zeros(n, dtype=torch.int64)
    for epoch in range(epochs):
        rows = order.take(epoch, 0, n)
        assert torch.bincount(source[rows].long(), minlength=len(sizes)).tolist() == counts
        given += torch.bincount(rows, minlength=n)
        assert in_pieces(Order(n, 1, source, sampling, block), epoch, n, pieces) == rows.tolist()
    for table, size in enumerate(sizes):
        times = given[source == table]
        if size:
            assert times.min() >= epochs * counts[table] // size
            assert times.max() <= -(-epochs * counts[table] // size)


def test_stacked_tables_are_mixed_evenly_within_each_window():
    sizes, block = [4000, 1000, 40], 10
    source = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes)).to(torch.int8)
    rows = Order(5040, 1, source, Sampling("equal"), block).take(0, 0, 5040)
    for window in source[rows].long().split(block * BUFFER):
        share = torch.bincount(window, minlength=3) / len(window)
        assert (share - 1 / 3).abs().max() < 0.03
    assert (source[rows][1:] != source[rows][:-1]).float().mean() > 0.6  # and not one table after the other
    start = rows[: block * BUFFER]
    assert len(start[source[start] == 0].div(block, rounding_mode="floor").unique()) <= BUFFER


def test_proportional_sampling_is_no_sampling():
    source = stacked([20, 5], 1)
    assert torch.equal(Order(25, 3, source, Sampling()).take(1, 0, 25), Order(25, 3).take(1, 0, 25))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Sampling("even"), r"data\.sampling\.rule must be one of proportional, equal, temperature, got 'even'"),
        (lambda: Sampling("temperature", 0.5), r"data\.sampling\.temperature must be a number >= 1, got 0\.5"),
        (lambda: Sampling("temperature", float("inf")), r"data\.sampling\.temperature must be a number >= 1, got inf"),
        (lambda: Sampling("temperature", float("nan")), r"data\.sampling\.temperature must be a number >= 1"),
        (lambda: Sampling("temperature", "hot"), r"data\.sampling\.temperature must be a number >= 1, got 'hot'"),
        (lambda: Order(5, 1, block=0), r"data\.block must be a whole number of rows >= 1, got 0"),
        (lambda: Order(5, 1, sampling=Sampling("equal")), r"data\.sampling: the data is one table"),
    ],
)
def test_mistakes_are_named(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
