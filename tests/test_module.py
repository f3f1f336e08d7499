"""The joint objective: reductions, masks, clipping, logging, validation scores."""

from functools import partial

import pytest
import torch

from taskloom.errors import RunError
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.sharing.single_task import SingleTask
from taskloom.sharing.soft_sharing import SoftSharing
from taskloom.tasks import Task


def by_hand(module, batch, reduce):
    """Σ_k w_k L_k row by row, with loops."""
    raw = module(batch).raw
    total = 0.0
    for k, head in enumerate(module.heads):
        rows = [
            head.loss(raw[k][b : b + 1], batch.targets[b : b + 1, [k]], batch)[0]
            for b in range(len(batch))
            if batch.labelled[b, k]
        ]
        total = total + module.tasks[k].weight * reduce(torch.stack(rows))
    return total


@pytest.mark.parametrize(("reduction", "reduce"), [("mean_labelled", torch.mean), ("sum", torch.sum)])
def test_reduction(schema, make_batch, make_module, reduction, reduce):
    tasks = [Task("like", "binary", weight=2.0), Task("rating", "regression", weight=0.5)]
    module = make_module(schema, tasks, reduction=reduction)
    batch = make_batch(schema, labelled=0.6)
    torch.testing.assert_close(module.objective(batch)[0], by_hand(module, batch, reduce))


def test_penalties_enter_after_balancing(schema, make_batch, make_module):
    tasks = [Task("like", "binary", weight=0.0), Task("rating", "regression", weight=0.0)]
    module = make_module(schema, tasks, partial(SoftSharing, strength=0.5), views="per_task", l2=0.3)
    batch = make_batch(schema)
    embedded = module.features(batch)
    expected = module.sharing(embedded).penalty + embedded.penalty
    assert expected > 0
    torch.testing.assert_close(module.objective(batch)[0], expected)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30, -7.0])
def test_an_unlabelled_row_changes_nothing(schema, make_batch, make_module, garbage):
    module = make_module(schema)
    clean, dirty = make_batch(schema, labelled=0.5), make_batch(schema, labelled=0.5)
    dirty.targets = torch.where(dirty.labelled, dirty.targets, torch.full_like(dirty.targets, garbage))
    grads = []
    for batch in (clean, dirty):
        module.zero_grad()
        loss, losses = module.objective(batch)
        loss.backward()
        grads.append([loss.detach(), losses, *(p.grad.clone() for p in module.parameters())])
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)


def test_labels_count_only_where_they_are(schema, make_batch, make_module):
    """Adding rows without any label changes the loss of no task."""
    module = make_module(schema)
    batch = make_batch(schema, n=20, labelled=torch.arange(20)[:, None].expand(20, 2) < 12)
    torch.testing.assert_close(module.objective(batch)[1], module.objective(batch.select(torch.arange(12)))[1])


def test_a_task_without_any_label_is_left_out(schema, make_batch, make_module):
    module = make_module(schema)
    batch = make_batch(schema)
    batch.labelled[:, 1] = False
    loss, losses = module.objective(batch)
    assert losses[1] == 0
    torch.testing.assert_close(loss.detach(), losses[0])
    batch.labelled[:] = False
    assert module.objective(batch)[0].item() == 0


def test_independent_tasks_are_clipped_each_by_its_own_norm(schema, make_batch, make_module):
    tasks = [Task("like", "binary", weight=1e3), Task("rating", "regression")]
    module = make_module(schema, tasks, SingleTask, views="per_task")
    module.objective(make_batch(schema))[0].backward()
    norms = {}
    before = {name: p.grad.clone() for name, p in module.named_parameters()}
    for name, grad in before.items():
        norms[module.owner(name)] = norms.get(module.owner(name), 0) + float(grad.pow(2).sum())
    limit = norms[1] ** 0.5 * 1.01
    module.configure_gradient_clipping(None, limit)
    for name, parameter in module.named_parameters():
        if module.owner(name) == 1:
            assert torch.equal(parameter.grad, before[name]), "the other task's large gradient clips this one"
        else:
            torch.testing.assert_close(parameter.grad, before[name] * limit / norms[0] ** 0.5)


def test_main_metrics(schema, make_module):
    assert make_module(schema).main_metrics == {"like": "auc", "rating": "rmse"}


def test_the_afterword_says_whose_embeddings_a_penalty_has_brought_to_zero(schema, make_module):
    module = make_module(schema, sharing=SingleTask, views="per_task", l2=0.1)
    assert module.afterword() is None
    with torch.no_grad():
        module.features.tables[1].weight.zero_()
    assert f"embeddings of {module.tasks[1].name} to zero" in module.afterword()


def test_a_loss_that_is_not_finite_stops_with_advice(schema, make_batch, make_module):
    module = make_module(schema, sharing=HardSharing)
    with pytest.raises(RunError, match=r"the loss is nan at step 0: lower optimizer.lr"):
        module._log_step(torch.tensor(float("nan")))


def test_float64_modules_train(schema, make_batch, make_module):
    module = make_module(schema).double()
    batch = make_batch(schema)
    batch.dense = batch.dense.double()
    batch.targets = batch.targets.double()
    module.objective(batch)[0].backward()
