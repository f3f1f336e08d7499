"""Sparse gradients: what they must equal, and how optimiser, clipping and checkpoints take them."""

from functools import partial

import lightning as L
import pytest
import torch

from taskloom.distributed import clip_grad_norm
from taskloom.errors import ConfigError
from taskloom.features import Features
from taskloom.sharing.single_task import SingleTask
from taskloom.training.conflict import shared_gramian
from taskloom.training.sparse_adam import SparseAdam

COUNTS = [torch.arange(size) for size in (12, 9, 4, 5)]
FORMS = [{}, {"hash_above": 8}, {"frequency_power": 1.0, "counts": COUNTS}]


def train(module, batch, steps=3, clip=None):
    optimizer = module.make_optimizer(module.make_groups(dict(module.named_parameters())))
    for _ in range(steps):
        optimizer.zero_grad()
        loss, _ = module.objective(batch)
        loss.backward()
        if clip:
            clip_grad_norm(module.parameters(), clip)
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("form", FORMS, ids=["plain", "hashed", "narrow"])
@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("views", ["shared", "per_task"])
def test_sgd_is_the_same_with_sparse_gradients(schema, make_module, make_batch, form, clip, views):
    batch, ends = make_batch(schema), []
    for sparse in (False, True):
        module = make_module(
            schema, sparse=sparse, l2=0.3, views=views, optimizer=partial(torch.optim.SGD, lr=0.5), **form
        )
        train(module, batch, clip=clip)
        assert all(p.grad.is_sparse == sparse for p in module.features.parameters())
        ends.append(module.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value)


def test_the_norm_counts_a_row_that_is_looked_up_twice_once():
    table = torch.nn.Embedding(4, 1, sparse=True)
    table(torch.tensor([1, 1, 2])).sum().backward()
    other = torch.nn.Parameter(torch.zeros(1))
    other.grad = torch.tensor([2.0])
    clip_grad_norm([table.weight, other], 1.0)  # of 2, 1 and 2: 3
    torch.testing.assert_close(
        table.weight.grad.to_dense().flatten(), torch.tensor([0, 2, 1, 0]) / 3, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(other.grad, torch.tensor([2 / 3]), atol=1e-5, rtol=0)


def test_adam_where_every_row_is_looked_up(make_module, make_batch, schema):
    """With every row in each batch lazy Adam is Adam but for where ε stands; the dense parameters move as in Adam."""
    batch, ends = make_batch(schema, n=400), []
    for sparse, make in ((False, torch.optim.Adam), (True, SparseAdam)):
        module = make_module(schema, sparse=sparse, optimizer=partial(make, lr=0.01, eps=1e-14))
        train(module, batch)
        ends.append(module.state_dict())
    unused = [0, 12, 21, 25]  # rows of unknown ids of bags have no gradient in neither
    for name, value in ends[0].items():
        other = ends[1][name]
        keep = [i for i in range(len(value)) if i not in unused] if name.startswith("features") else slice(None)
        torch.testing.assert_close(other[keep], value[keep], atol=2e-6, rtol=1e-4)


def test_rows_at_rest_stay_where_they_are(schema, make_batch):
    features = Features(schema, 2, dim=3, sparse=True, init_std=1.0)
    optimizer, batch = SparseAdam(features.parameters(), lr=0.1), make_batch(schema)
    features(batch).fields.square().sum().backward()
    optimizer.step()
    before = features.tables[0].weight.detach().clone()
    batch.categorical[:], batch.bags[:] = 1, 1
    optimizer.zero_grad()
    features(batch).fields.square().sum().backward()
    optimizer.step()
    moved = (features.tables[0].weight != before).any(1).nonzero().flatten().tolist()
    assert moved == [1, 13, 22, 26]


def test_one_row_by_hand():
    """Two steps of one row, and one at rest between them, from the formula."""
    table = torch.nn.Embedding(3, 1, sparse=True)
    optimizer = SparseAdam(table.parameters(), lr=0.5, betas=(0.9, 0.99), eps=1e-8)
    expected, m, v = float(table.weight.detach()[1]), 0.0, 0.0
    for t, (row, slope) in enumerate([(1, 2.0), (2, 1.0), (1, -3.0)], start=1):
        optimizer.zero_grad()
        (slope * table(torch.tensor([row])).sum()).backward()
        optimizer.step()
        if row == 1:
            m, v = 0.9 * m + 0.1 * slope, 0.99 * v + 0.01 * slope**2
            expected -= 0.5 * (1 - 0.99**t) ** 0.5 / (1 - 0.9**t) * m / (v**0.5 + 1e-8)
    assert float(table.weight.detach()[1]) == pytest.approx(expected, abs=1e-5)


def test_a_closure_is_called_with_gradients_and_its_loss_handed_back():
    table = torch.nn.Embedding(3, 1, sparse=True)
    optimizer, before = SparseAdam(table.parameters(), lr=0.5), table.weight.detach().clone()

    def closure():
        loss = table(torch.tensor([1])).sum() - before[1, 0] + 7
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(7)
    assert (table.weight != before).flatten().tolist() == [False, True, False]


@pytest.mark.parametrize("form", FORMS, ids=["plain", "hashed", "narrow"])
def test_a_run_goes_on_from_a_checkpoint(schema, make_module, make_data, tmp_path, form):
    def trainer(epochs):
        return L.Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            gradient_clip_val=0.5,
        )

    def module():
        return make_module(schema, sparse=True, optimizer=partial(SparseAdam, lr=0.05, fused=True), l2=0.1, **form)

    whole = module()
    trainer(2).fit(whole, datamodule=make_data(schema))
    first = trainer(1)
    first.fit(module(), datamodule=make_data(schema))
    first.save_checkpoint(tmp_path / "last.ckpt")
    resumed = module()
    trainer(2).fit(resumed, datamodule=make_data(schema), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert not torch.equal(
        resumed.state_dict()["heads.0.tower.0.bias"], first.lightning_module.state_dict()["heads.0.tower.0.bias"]
    )


def test_weight_decay_of_a_table_is_refused(schema, make_batch):
    features = Features(schema, 2, dim=3, sparse=True)
    optimizer = SparseAdam([{"params": features.parameters(), "weight_decay": 0.1}], lr=0.1)
    features(make_batch(schema)).fields.sum().backward()
    with pytest.raises(ConfigError, match="weight decay would move every row"):
        optimizer.step()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=["plain", "hashed", "narrow"])
def test_the_conflict_is_that_of_the_whole_gradients(schema, make_module, make_batch, form, sparse):
    module = make_module(schema, l2=0.3, sparse=sparse, **form).eval()
    batch = make_batch(schema, n=40, labelled=0.6)
    gramian, _ = shared_gramian(module, batch)
    losses, _ = module.losses(module(batch).raw, batch)
    shared = [p for name, p in module.named_parameters() if name.startswith(("features", "sharing"))]
    rows = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses]
    flat = torch.stack([torch.cat([g.to_dense().flatten() for g in row]) for row in rows])
    torch.testing.assert_close(gramian, flat @ flat.T)


def test_independent_tasks_clip_their_own_tables(schema, make_module, make_batch):
    module = make_module(schema, sharing=SingleTask, views="per_task", sparse=True)
    module.objective(make_batch(schema))[0].backward()
    module.configure_gradient_clipping(torch.optim.SGD(module.parameters(), lr=0.1), 1e-3)
    own = [[p.grad.to_dense() for n, p in module.named_parameters() if module.owner(n) == k] for k in (0, 1)]
    for gradients in own:
        assert float(torch.cat([g.flatten() for g in gradients]).norm()) == pytest.approx(1e-3, rel=1e-2)
