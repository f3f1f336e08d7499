import contextlib
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from taskloom.data.loader import ColumnLoader, Columns, ShuffledLoader, permutation


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
