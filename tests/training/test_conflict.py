"""Gradient conflict: known answers, any number of processes, and a training that does not notice."""

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from taskloom.backbones.mlp import MLP
from taskloom.module import MultiTaskModule
from taskloom.schema import Batch, Schema
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.sharing.single_task import SingleTask
from taskloom.sharing.soft_sharing import SoftSharing
from taskloom.tasks import Task
from taskloom.tracking.metrics_file import read_metrics
from taskloom.training.conflict import GradientConflict, shared_gramian, undisturbed
from taskloom.training.job import run_job

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = Task("like", kind="regression"), Task("rating", kind="regression")
Make = Callable[..., Any]


def cosine(module: MultiTaskModule, batch: Batch) -> float:
    found = shared_gramian(module, batch)
    assert found is not None
    gramian, tasks = found
    assert tasks == [0, 1]
    return float(gramian[0, 1] / gramian.diagonal().prod().sqrt())


def same_heads(module: MultiTaskModule) -> MultiTaskModule:
    module.heads[1].load_state_dict(module.heads[0].state_dict())
    return module.eval()


@pytest.mark.parametrize(("sign", "expected"), [(1, 1.0), (-1, -1.0)])
def test_residuals_of_one_sign_or_the_other(
    schema: Schema, make_module: Make, make_batch: Make, sign: int, expected: float
) -> None:
    """The same heads on the same rows: g_k follows the residual, so opposite residuals give opposite gradients."""
    module = same_heads(make_module(schema, tasks=(FIRST, SECOND), backbone=partial(MLP, hidden=[6])))
    batch = make_batch(schema)
    batch.targets[:, 1] = batch.targets[:, 0]
    if sign < 0:  # the loss is symmetric about the prediction: mirror the targets there
        predicted = module.predict(batch)[0].detach()
        batch.targets[:, 1] = 2 * predicted - batch.targets[:, 0]
    assert cosine(module, batch) == pytest.approx(expected, abs=1e-5)


def test_tasks_on_different_rows_of_the_tables_are_orthogonal(
    schema: Schema, make_module: Make, make_batch: Make
) -> None:
    """Trunks of their own: the tables are what is shared, and no row of them is looked up for both tasks."""
    module = make_module(schema, sharing=partial(SoftSharing, strength=0.1)).eval()
    batch = make_batch(schema, n=2)
    batch.categorical[0], batch.categorical[1] = 1, 2
    batch.bags[0], batch.bags[1] = 3, 4
    batch.labelled = torch.tensor([[True, False], [False, True]])
    assert cosine(module, batch) == 0
    batch.bags[1] = 3
    assert cosine(module, batch) != 0


@pytest.mark.parametrize("sharing", [HardSharing, partial(SoftSharing, strength=0.1)], ids=["hard", "soft"])
def test_the_gramian_is_that_of_the_whole_gradients(
    schema: Schema, make_module: Make, make_batch: Make, sharing: Any
) -> None:
    module = make_module(schema, sharing=sharing, l2=0.3).eval()
    batch = make_batch(schema, n=40, labelled=0.6)
    found = shared_gramian(module, batch)
    assert found is not None
    losses, _ = module.losses(module(batch).raw, batch)
    shared = [
        p for n, p in module.named_parameters() if module.owner(n) is None and n.startswith(("features", "sharing"))
    ]
    rows = torch.stack(
        [torch.cat([g.flatten() for g in torch.autograd.grad(loss, shared, retain_graph=True)]) for loss in losses]
    )
    torch.testing.assert_close(found[0], rows @ rows.T)
    assert all(p.grad is None for p in module.parameters())


def fit(module: MultiTaskModule, data: L.LightningDataModule, *callbacks: Any, epochs: int = 2) -> L.Trainer:
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(module, datamodule=data)
    return trainer


def logged(trainer: L.Trainer) -> dict[str, float]:
    return {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith("conflict")}


def test_training_does_not_notice(schema: Schema, make_module: Make, make_data: Make) -> None:
    ends = []
    for callbacks in ([], [GradientConflict(every=1, rows=20)]):
        module = make_module(schema, dropout=0.3, backbone=partial(MLP, hidden=[6, 4], dropout=0.3))
        torch.manual_seed(3)
        random.seed(3)
        trainer = fit(module, make_data(schema), *callbacks, epochs=3)
        assert bool(logged(trainer)) == bool(callbacks)
        loader: Any = trainer.train_dataloader
        ends.append((module.state_dict(), torch.rand(3), random.random(), loader.state_dict(), trainer.global_step))
    (weights, *rest), (weights_too, *rest_too) = ends
    assert all(torch.equal(weights[name], weights_too[name]) for name in weights)
    assert torch.equal(rest[0], rest_too[0])
    assert rest[1:] == rest_too[1:]


def test_modes_and_gradients_are_left_alone(schema: Schema, make_module: Make, make_batch: Make) -> None:
    module = make_module(schema, dropout=0.5)
    module.train()
    module.heads.eval()
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    modes = [part.training for part in module.modules()]
    before = torch.get_rng_state()

    def fail() -> None:
        with undisturbed(module):
            assert not any(part.training for part in module.modules())
            shared_gramian(module, make_batch(schema))
            torch.rand(1)
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fail()
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)
    assert all(bool((parameter.grad == 1).all()) for parameter in module.parameters())
    assert not module.features.tables._forward_hooks


def test_every_so_many_epochs_on_the_same_rows(schema: Schema, make_module: Make, make_data: Make) -> None:
    seen: list[tuple[int, dict[str, float]]] = []

    class Keep(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            seen.append((trainer.current_epoch, logged(trainer)))
            trainer.callback_metrics.clear()

    frozen = make_module(schema, optimizer=partial(torch.optim.SGD, lr=0.0))
    fit(frozen, make_data(schema), GradientConflict(every=2, rows=20), Keep(), epochs=4)
    values = [found for _, found in seen]
    assert values[0] == {}
    assert set(values[1]) == {"conflict/like~rating", "conflict/share"}


@pytest.mark.parametrize(
    ("sharing", "views", "tasks", "labelled"),
    [
        (SingleTask, "per_task", 2, 1.0),
        (partial(SoftSharing, strength=0.1), "per_task", 2, 1.0),
        (HardSharing, "shared", 1, 1.0),
        (HardSharing, "shared", 2, torch.tensor([[True, False]] * 64)),
    ],
    ids=["independent", "nothing shared", "one task", "labels of one task alone"],
)
def test_what_has_no_conflict_logs_nothing(
    schema: Schema, make_module: Make, make_data: Make, sharing: Any, views: str, tasks: int, labelled: Any
) -> None:
    names = (Task("like", kind="binary"), Task("rating", kind="regression"))[:tasks]
    module = make_module(schema, tasks=names, sharing=sharing, views=views)
    data = make_data(schema, labelled=labelled, n_tasks=tasks)
    assert logged(fit(module, data, GradientConflict(every=1, rows=20), epochs=1)) == {}


def test_a_task_without_labels_is_left_out(schema: Schema, make_module: Make, make_batch: Make) -> None:
    again = Task("again", kind="regression", target="rating")
    tasks = (Task("like", kind="binary"), Task("rating", kind="regression"), again)
    module = make_module(schema, tasks=tasks)
    batch = make_batch(schema, n_tasks=3)
    batch.labelled[:, 1] = False
    found = shared_gramian(module, batch)
    assert found is not None
    assert found[1] == [0, 2]
    assert found[0].shape == (2, 2)


def test_it_is_in_metrics_jsonl_with_its_epoch(compose: Make, tmp_path: Path, capsys: Any) -> None:
    run_job(compose("model=hard_sharing"), tmp_path / "run")
    rows = [row for row in read_metrics(tmp_path / "run/metrics.jsonl") if "conflict/share" in row]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert all(-1 <= row["conflict/like~rating"] <= 1 for row in rows)
    assert all(row["conflict/share"] == float(row["conflict/like~rating"] < 0) for row in rows)
    assert all("train/loss" in row for row in rows)  # in the same line as the rest of the epoch


def test_two_ranks_log_what_one_does(compose: Make, tmp_path: Path) -> None:
    config = compose(
        "model=hard_sharing",
        "optimizer=sgd",
        "features.dropout=0",
        "backbone.dropout=0",  # drawn anew on each rank
        "backbone.product_dropout=0",
        "data.features.history.length=3",
        'data.tasks.rating.target="CASE WHEN (timestamp / 5000) % 5 < 4 THEN NULL ELSE rating END"',
    )
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = []
    for ranks in (1, 2):
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
        out = tmp_path / f"{ranks}.json"
        worker = Path(__file__).with_name("conflict_on_ranks.py")
        done = subprocess.run(
            [sys.executable, *launch, str(worker), str(tmp_path / "config.json"), str(out)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            text=True,
            capture_output=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(json.loads(out.read_text()))
    assert math.isfinite(found[0]["conflict/like~rating"])
    assert found[1] == pytest.approx(found[0], rel=1e-6)
