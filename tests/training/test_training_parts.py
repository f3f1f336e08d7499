"""Atomic saving, parameter groups, schedules, the best epoch."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn

from taskloom.errors import ConfigError
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.sharing.single_task import SingleTask
from taskloom.training.best import BestEpoch
from taskloom.training.checkpoint import Checkpoint, read_checkpoint
from taskloom.training.parameter_groups import parameter_groups
from taskloom.training.run import fit, start_phase
from taskloom.training.schedules import constant, cosine


def test_a_failure_while_saving_leaves_the_old_file(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_text("old")

    def broken(beside, **_):
        beside.write_text("half")
        raise OSError("disk full")

    trainer = SimpleNamespace(global_step=4, is_last_batch=False, is_global_zero=True, save_checkpoint=broken)
    with pytest.raises(OSError, match="disk full"):
        Checkpoint(every_steps=4, folder=tmp_path).on_train_batch_end(trainer, None, None, None, 0)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_groups_by_first_match():
    parameters = {
        name: nn.Parameter(torch.zeros(1))
        for name in ("features.tables.0.weight", "sharing.private.0.w", "heads.0.bias", "balancer.s")
    }
    patterns = {
        "embeddings": {"pattern": r"features\.", "weight_decay": 0.0, "lr": 0.5},
        "rest": {"pattern": r"(features|sharing|balancer)", "weight_decay": 0.1, "lr": None},
    }
    groups = {group["name"]: group for group in parameter_groups(parameters, patterns)}
    assert {name: len(group["params"]) for name, group in groups.items()} == {
        "embeddings": 1,
        "rest": 1,
        "others": 1,
        "balancer": 1,
    }
    assert groups["embeddings"]["params"][0] is parameters["features.tables.0.weight"]
    optimizer = torch.optim.Adam(list(groups.values()), lr=0.01)
    assert [g["lr"] for g in optimizer.param_groups if g["name"] == "embeddings"] == [0.5]
    assert [g["lr"] for g in optimizer.param_groups if g["name"] == "rest"] == [0.01]


def rates(schedule, steps):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = schedule(optimizer, total_steps=steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step(), scheduler.step()
    return [*found, optimizer.param_groups[0]["lr"]]


def test_cosine():
    found = rates(partial(cosine, final=0.1), 10)
    assert found[0] == 2.0
    assert found[5] == pytest.approx(2.0 * 0.55)
    assert found[10] == pytest.approx(0.2)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("schedule", [cosine, constant])
def test_warmup_rises_in_a_line(schedule):
    assert rates(partial(schedule, warmup_steps=3), 8)[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])


def validated(best, module, epoch, scores):
    trainer = SimpleNamespace(
        callback_metrics=scores,
        current_epoch=epoch,
        global_step=epoch,
        is_global_zero=True,
        should_stop=False,
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(epoch)
    best.on_validation_end(trainer, module)
    return trainer.should_stop


def test_best_epoch_is_kept_and_training_stops_after_patience(schema, make_module, tmp_path):
    module, best = make_module(schema), BestEpoch(patience=2, folder=tmp_path)
    stops = [validated(best, module, e, {"val/score": s}) for e, s in enumerate([0.1, 0.3, 0.2, 0.3])]
    assert stops == [False, False, False, True]  # equal is no improvement
    assert best.best == {"all": {"score": 0.3, "epoch": 1, "since": 2}}
    kept = read_checkpoint(tmp_path / "best.ckpt")["state_dict"]
    assert all((kept[name] == 1).all() for name, _ in module.named_parameters())
    again = BestEpoch(patience=2, folder=tmp_path)
    again.load_state_dict(best.state_dict())
    assert again.stopped


def test_single_tasks_have_a_best_epoch_each(schema, make_module, tmp_path):
    module = make_module(schema, sharing=SingleTask, views="per_task")
    best = BestEpoch(patience=2, folder=tmp_path)
    likes, ratings = [0.5, 0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.2, 0.1]
    stops = [
        validated(best, module, e, {"val/like/score": a, "val/rating/score": b})
        for e, (a, b) in enumerate(zip(likes, ratings, strict=True))
    ]
    assert stops == [False, False, False, False, True]  # as long as one improves, both go on
    kept = read_checkpoint(tmp_path / "best.ckpt")["state_dict"]
    for name, _ in module.named_parameters():
        assert (kept[name] == (0 if module.owner(name) == 0 else 2)).all(), name


def test_an_undefined_score_never_beats_a_defined_one(schema, make_module, tmp_path):
    module, best = make_module(schema), BestEpoch(patience=None, folder=tmp_path)
    for epoch, score in enumerate([float("nan"), -0.5, float("nan")]):
        validated(best, module, epoch, {"val/score": score})
    assert best.best["all"]["epoch"] == 1
    assert not best.stopped


def test_a_phase_that_trains_nothing_is_refused(schema, make_module):
    module = make_module(schema)
    with pytest.raises(ConfigError, match=r"phase warm trains nothing: no parameter's name matches 'nope'"):
        start_phase(module, type(module.phase)("warm", 1, trained="nope"))


@pytest.mark.parametrize("sharing", [HardSharing, SingleTask])
@pytest.mark.parametrize("scaled", [False, True], ids=["bfloat16", "float16, scaled"])
def test_fused_optimisers_clip_in_mixed_precision(schema, make_module, make_data, sharing, scaled, tmp_path):
    norms, scales = [], []

    class Noting(torch.optim.Adam):
        def step(self, closure=None):
            closed = closure() if closure else None
            norms.append(torch.nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None]))
            scales.append(getattr(self, "grad_scale", None))  # by which the step itself would divide, after clipping
            super().step()
            return closed

    views = "per_task" if sharing is SingleTask else "shared"
    module = make_module(schema, sharing=sharing, views=views, optimizer=partial(Noting, lr=0.01, fused=True))
    plugin = MixedPrecision("bf16-mixed", "cpu")
    if scaled:  # Lightning has float16 on a GPU alone
        plugin.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    settings = {"accelerator": "cpu", "devices": 1, "gradient_clip_val": 0.01, "plugins": plugin}
    begin = module.sharing.state_dict()
    begin = {name: value.clone() for name, value in begin.items()}
    callbacks = [Checkpoint(every_steps=100, folder=tmp_path), BestEpoch(patience=None, folder=tmp_path)]
    fit(module, make_data(schema), settings, callbacks, [], tmp_path, tmp_path)
    units = 2 if sharing is SingleTask else 1
    assert len(norms) > 1
    assert scales == [None] * len(norms)
    assert all(float(norm) == pytest.approx(0.01 * units**0.5, rel=0.02) for norm in norms)
    assert any(not torch.equal(value, begin[name]) for name, value in module.sharing.state_dict().items())
