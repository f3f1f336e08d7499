import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from taskloom.data.catalogue import Catalogue
from taskloom.data.events import EventIndex
from taskloom.data.loader import ColumnLoader, Columns, Extras, ShuffledLoader
from taskloom.data.negatives import Negatives, Pairs
from taskloom.data.order import Order, Sampling, permutation
from taskloom.schema import Feature, Schema


def columns(n):
    row = torch.arange(n)
    targets = torch.stack([row, row, row], dim=1).float()
    targets[::3, 0] = float("nan")
    targets[::4, 2] = float("nan")
    return Columns(row[:, None] * 10, row[:, None] + 1, row[:, None] / 2, targets, row % 5, row)


def rows(batches):
    return [batch.row.tolist() for batch in batches]


def shuffled(n, batch_size, rank=0, world_size=1, seed=1):
    return ShuffledLoader(columns(n), [[0], [1], [2]], batch_size, rank, world_size, seed=seed)


sizes = {"n": st.integers(1, 50), "batch_size": st.integers(1, 20)}


@given(**sizes)
@settings(max_examples=40, deadline=None)
def test_an_epoch_gives_each_row_once(n, batch_size):
    for loader in (shuffled(n, batch_size), ColumnLoader(columns(n), [[0]], batch_size)):
        got = rows(loader)
        assert len(got) == len(loader)
        assert sorted(itertools.chain(*got)) == list(range(n))
        assert all(len(batch) == batch_size for batch in got[:-1])
    assert list(itertools.chain(*got)) == list(range(n))


@given(**sizes, world_size=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_ranks_share_each_batch_without_padding(n, batch_size, world_size):
    whole = rows(shuffled(n, batch_size))
    ranks = [list(shuffled(n, batch_size, rank, world_size)) for rank in range(world_size)]
    assert {len(batches) for batches in ranks} == {len(whole)}
    for step, expected in enumerate(whole):
        shares = [batches[step].row.tolist() for batches in ranks]
        assert [expected[rank::world_size] for rank in range(world_size)] == shares
        assert {batches[step].rows_global for batches in ranks} == {len(expected)}


@given(**sizes, done=st.integers(0, 120), before=st.integers(1, 4), after=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_going_on_gives_the_very_rest_on_any_number_of_ranks(n, batch_size, done, before, after):
    def endless(loader):
        while True:
            yield from loader

    expected = rows(itertools.islice(endless(shuffled(n, batch_size)), done + 8))
    stopped = shuffled(n, batch_size, rank=before - 1, world_size=before)
    for _ in itertools.islice(endless(stopped), done):
        pass
    state = stopped.state_dict()
    assert state == {"epoch": done // len(stopped), "position": done % len(stopped) * batch_size}
    for rank in range(after):
        again = shuffled(n, batch_size, rank, after)
        again.load_state_dict(state)
        assert len(again) == len(stopped)
        got = rows(itertools.islice(endless(again), 8))
        assert got == [batch[rank::after] for batch in expected[done:]]


def test_epochs_and_seeds_differ_and_repeat():
    loader = shuffled(50, 50)
    first, second = rows(loader), rows(loader)
    assert first != second
    assert first == rows(shuffled(50, 50))
    assert first != rows(shuffled(50, 50, seed=2))
    assert first[0] == permutation(50, 1, 0).tolist()
    assert second[0] == permutation(50, 1, 1).tolist()
    assert len({tuple(permutation(50, seed, epoch).tolist()) for seed in range(5) for epoch in range(5)}) == 25


def test_rows_come_in_the_order_that_was_asked_for():
    stacked = rich(70)
    for own in ({"block": 3}, {"sampling": Sampling("equal")}, {"block": 3, "sampling": Sampling("equal")}):
        order = Order(70, 1, stacked.source, **own)
        got = rows(ShuffledLoader(stacked, [[0], [1]], 20, seed=1, **own))
        assert [row // 2 for row in itertools.chain(*got)] == order.take(0, 0, 70).tolist()
        assert order.take(0, 0, 70).tolist() != permutation(70, 1, 0).tolist()


def test_set_epoch_keeps_the_epoch_under_way_and_begins_any_other():
    loader = shuffled(10, 3)
    next(iter(loader))
    loader.set_epoch(0)
    assert loader.state_dict() == {"epoch": 0, "position": 3}
    loader.set_epoch(4)
    assert loader.state_dict() == {"epoch": 4, "position": 0}


def test_batches_carry_the_row_and_its_labels():
    tasks = [[2, 0], [1]]  # a task of two targets needs both
    for batch in ColumnLoader(columns(30), tasks, 7, rank=1, world_size=2):
        r = batch.row
        assert torch.equal(batch.categorical[:, 0], r * 10)
        assert torch.equal(batch.bags[:, 0], r + 1)
        assert torch.equal(batch.dense[:, 0], r / 2)
        assert torch.equal(batch.group, r % 5)
        assert torch.equal(batch.labelled[:, 0], (r % 3 != 0) & (r % 4 != 0))
        assert batch.labelled[:, 1].all()
    for batch in ColumnLoader(columns(30), [[0], [1], [2]], 7):
        assert torch.equal(batch.labelled, ~torch.isnan(batch.targets))


SCHEMA = Schema(
    (Feature("user", "categorical", "user", size=99), Feature("item", "categorical", "item", size=99)),
    targets=("interact", "rating"),
    history=("item",),
)
ITEMS, USERS = 12, 5


def rich(n, frozen=False, seed=0):
    """Rows with all that a store may hold: the user is the group, a third has no label of either task."""
    g = torch.Generator().manual_seed(seed)
    user, item = torch.randint(0, USERS, (n,), generator=g), torch.randint(0, ITEMS, (n,), generator=g)
    targets = torch.stack([torch.ones(n), torch.rand(n, generator=g)], 1)
    targets[torch.rand(n, 2, generator=g) < 1 / 3] = float("nan")
    row = torch.arange(n)
    return Columns(
        torch.stack([user, item], 1).int(),
        torch.empty(n, 0, dtype=torch.int32),
        torch.empty(n, 0),
        targets,
        user.int(),
        row * 2,
        history=torch.stack([row * 0, row % 8], 1).int(),
        source=(row % 7 == 0).to(torch.int8),
        noise=torch.where(torch.rand(n, 2, generator=g) < 0.5, 0.5, 0.0),
        reach=torch.stack([1 + row % ITEMS, row], 1).int(),
        drawn=torch.randint(-1, ITEMS, (n, 3), generator=g, dtype=torch.int32) if frozen else None,
    )


def extras(per_row=2):
    nothing = torch.empty(ITEMS, 0)
    catalogue = Catalogue(
        SCHEMA, torch.stack([torch.zeros(ITEMS), 20 + torch.arange(ITEMS)], 1).int(), nothing, nothing
    )
    pairs = Pairs(torch.arange(0, USERS * ITEMS, 3), ITEMS)
    events = EventIndex(torch.arange(1, 9)[:, None].int(), 3)
    return Extras(events, Negatives(catalogue, pairs, 0, per_row, "uniform", 5), prior=(1,))


def train_loader(n, batch_size, rank=0, world_size=1, block=None):
    sampling = Sampling("equal")
    columns, own = rich(n), extras()
    return ShuffledLoader(
        columns, [[0], [1]], batch_size, rank, world_size, seed=1, extras=own, sampling=sampling, block=block
    )


def contents(batch):
    """All that a batch says, row by row, in the order of the row numbers; NaN as None."""
    names = ("categorical", "targets", "labelled", "group", "history", "history_mask", "label_source", "target_noise")
    values = [getattr(batch, name).flatten(1).tolist() for name in names if name != "group"]
    rows = zip(batch.row.tolist(), batch.group.tolist(), *values, batch.prior.tolist(), strict=True)
    return sorted(repr(row) for row in rows)


@given(
    **sizes,
    done=st.integers(0, 60),
    before=st.integers(1, 3),
    after=st.integers(1, 3),
    block=st.sampled_from([None, 2]),
)
@settings(max_examples=30, deadline=None)
def test_going_on_with_negatives_and_sampling_is_as_if_nothing_had_been(n, batch_size, done, before, after, block):
    """A run that stops and goes on, on any number of ranks, meets the same rows, negatives and histories."""

    def endless(loader):
        while True:
            yield from loader

    one = train_loader(n, batch_size, block=block)
    expected = list(itertools.islice(endless(one), done + 4))[done:]
    stopped = train_loader(n, batch_size, before - 1, before, block)
    for _ in itertools.islice(endless(stopped), done):
        pass
    loaders = [train_loader(n, batch_size, rank, after, block) for rank in range(after)]
    for loader in loaders:
        loader.load_state_dict(stopped.state_dict())
    for whole, *shares in zip(expected, *(itertools.islice(endless(loader), 4) for loader in loaders), strict=True):
        assert sorted(itertools.chain(*map(contents, shares))) == contents(whole)
        assert {share.rows_global for share in shares} == {len(whole)} == {whole.rows_global}


def test_negatives_stand_behind_the_rows_that_have_a_label():
    columns, own = rich(200), extras()
    loader = ShuffledLoader(columns, [[0], [1]], 64, seed=1, extras=own)
    seen = 0
    for batch in loader:
        own_rows = batch.row >= 0
        m = int(own_rows.sum())
        assert own_rows.tolist() == [True] * m + [False] * (len(batch) - m)
        first, rest = batch.select(torch.arange(m)), batch.select(torch.arange(m, len(batch)))
        places = first.row // 2
        assert torch.equal(first.categorical, columns.categorical[places].long())
        assert torch.equal(first.labelled, ~columns.targets[places].isnan())
        observed = places[first.labelled[:, 0]]
        of, number = (-rest.row - 1) // 2 // 2, (-rest.row - 1) % 2
        assert torch.equal(of, observed.repeat_interleave(2))
        assert torch.equal(number, torch.tensor([0, 1]).repeat(len(observed)))
        assert torch.equal(rest.group, columns.group[of].long())
        assert torch.equal(rest.categorical[:, 0], columns.categorical[of, 0].long())
        item = rest.categorical[:, 1] - 20
        assert torch.equal(rest.prior, rest.categorical[:, 1:])
        assert (item < columns.reach[of, 0]).all()
        assert not own.negatives.pairs.contains(rest.group, item)[rest.labelled[:, 0]].any()
        assert (rest.targets[:, 0] == 0).all()
        assert rest.targets[:, 1].isnan().all()
        assert not rest.labelled[:, 1].any()
        assert torch.equal(rest.label_source, rest.labelled.long())
        assert not rest.target_noise.any()
        history, mask = own.events.gather(columns.history[of])
        assert torch.equal(rest.history, history)
        assert torch.equal(rest.history_mask, mask)
        seen += len(rest)
    assert seen == 2 * int((~columns.targets[:, 0].isnan()).sum())


def test_an_epoch_has_other_negatives_than_the_last():
    loader = ShuffledLoader(rich(200), [[0], [1]], 200, seed=1, extras=extras())
    first, second = (
        {int(r): int(i) for r, i in zip(b.row, b.categorical[:, 1], strict=True) if r < 0}
        for b in (next(iter(loader)), next(iter(loader)))
    )
    assert first.keys() == second.keys()
    assert np.mean([first[row] == second[row] for row in first]) < 0.6


def test_each_batch_has_negatives_of_its_own():
    n = 64  # alike in all that negatives are drawn from
    columns = replace(rich(n), group=torch.zeros(n), reach=torch.full((n, 2), ITEMS), targets=torch.ones(n, 2))
    loader = ShuffledLoader(columns, [[0], [1]], n // 2, seed=1, extras=extras())
    first, second = (batch.categorical[batch.row < 0, 1] for batch in loader)
    assert (first == second).float().mean() < 0.5
    next_epoch = next(iter(loader))
    assert (first == next_epoch.categorical[next_epoch.row < 0, 1]).float().mean() < 0.5


@given(**sizes, world_size=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_an_evaluation_has_each_row_and_each_frozen_negative_once(n, batch_size, world_size):
    columns = rich(n, frozen=True)
    ranks = [
        list(ColumnLoader(columns, [[0], [1]], batch_size, rank, world_size, extras=extras()))
        for rank in range(world_size)
    ]
    assert {len(batches) for batches in ranks} == {-(-n // batch_size)}
    for step in zip(*ranks, strict=True):
        assert {batch.rows_global for batch in step} == {sum(len(batch) for batch in step)}
    met = {
        int(row): int(item)
        for batch in itertools.chain(*ranks)
        for row, item in zip(batch.row, batch.categorical[:, 1], strict=True)
    }
    assert sum(len(batch) for batch in itertools.chain(*ranks)) == len(met)
    expected = {2 * r: int(columns.categorical[r, 1]) for r in range(n)}
    for r in range(n):
        for number, item in enumerate(columns.drawn[r].tolist()):
            if item >= 0 and not columns.targets[r, 0].isnan():
                expected[-(2 * r * 3 + number) - 1] = 20 + item
    assert met == expected


def test_an_evaluation_without_frozen_negatives_draws_those_of_the_first_epoch():
    columns = rich(30)
    one, two = ([contents(batch) for batch in ColumnLoader(columns, [[0], [1]], 30, extras=extras())] for _ in "ab")
    assert one == two
    assert any("-" in row.split(",")[0] for row in one[0])
    bare = replace(columns, reach=None)
    assert all((batch.row >= 0).all() for batch in ColumnLoader(bare, [[0], [1]], 7, extras=extras()))


def test_noise_says_where_a_label_is_clean_noisy_or_absent():
    columns = rich(60)
    columns.noise[::5] = float("nan")  # nobody knows: taken as none
    batch = next(iter(ColumnLoader(columns, [[0], [0, 1]], 60)))
    assert torch.equal(batch.target_noise, columns.noise.nan_to_num(0))
    noisy = batch.target_noise > 0
    for k, any_noise in enumerate((noisy[:, 0], noisy.any(1))):
        expected = torch.where(batch.labelled[:, k], torch.where(any_noise, 2, 1), 0)
        assert torch.equal(batch.label_source[:, k], expected)
    plain = next(iter(ColumnLoader(replace(columns, noise=None), [[0], [1]], 60)))
    assert plain.target_noise is plain.label_source is plain.prior is plain.history is None


def test_columns_are_mapped_selected_and_moved(tmp_path):
    columns = rich(9, frozen=True)
    for name, column in vars(columns).items():
        np.save(tmp_path / f"{name}.npy", column.numpy())
    opened = Columns.open(tmp_path)
    picked = torch.tensor([4, 2])
    for name, column in vars(columns).items():
        assert getattr(opened, name).dtype == column.dtype
        assert torch.equal(getattr(opened.to("cpu").select(picked), name).nan_to_num(9), column[picked].nan_to_num(9))
    for name in ("history", "source", "noise", "reach", "drawn"):
        (tmp_path / f"{name}.npy").unlink()
    few = Columns.open(tmp_path)
    assert few.drawn is few.select(picked).drawn is few.to("cpu").history is None
    assert len(few) == 9
    (tmp_path / "targets.npy").unlink()
    with pytest.raises(OSError, match=r"targets\.npy"):
        Columns.open(tmp_path)


def test_ids_of_32_bits_become_64_in_a_batch():
    batch = next(iter(ColumnLoader(rich(9), [[0], [1]], 4, extras=extras().to("cpu"))))
    for name in ("categorical", "bags", "group", "row", "history", "prior"):
        assert getattr(batch, name).dtype == torch.int64


class Recorder(LightningModule):
    """Notes the rows of each step; its one weight depends on their order."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen = []

    def training_step(self, batch, index):
        self.seen.append((self.current_epoch, index, batch.row.tolist()))
        return (self.weight * (batch.row + 1).float().mean() - 3).pow(2).mean()

    def validation_step(self, batch, index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-4)


class Stop(Exception):  # noqa: N818
    pass


class SaveAndStop(Callback):
    """Writes a checkpoint after a number of steps, or at the end of an epoch, and dies."""

    def __init__(self, path, steps=None, epoch=None):
        self.path, self.steps, self.epoch = path, steps, epoch

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if trainer.global_step == self.steps:
            trainer.save_checkpoint(self.path)
            raise Stop

    def on_train_epoch_end(self, trainer, module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)
            raise Stop


def train(tmp_path, callbacks=(), resume=None):
    module = Recorder()
    trainer = Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=list(callbacks),
        default_root_dir=tmp_path,
    )
    train_loader, val_loader = shuffled(23, 5), ColumnLoader(columns(7), [[0], [1], [2]], 4)
    with contextlib.suppress(Stop):
        trainer.fit(module, train_loader, val_loader, ckpt_path=resume)
    return module


@pytest.mark.parametrize("stop", [{"steps": 2}, {"steps": 9}, {"steps": 10}, {"epoch": 0}, {"epoch": 1}], ids=str)
def test_lightning_goes_on_where_it_stopped(tmp_path, stop):
    """In the middle of an epoch, after its last batch, and between two: the same rows, the same weight."""
    whole = train(tmp_path)
    path = tmp_path / "last.ckpt"
    half = train(tmp_path, [SaveAndStop(path, **stop)])
    rest = train(tmp_path, resume=path)
    assert len(whole.seen) == 15
    assert half.seen + rest.seen == whole.seen
    assert torch.equal(rest.weight, whole.weight)
