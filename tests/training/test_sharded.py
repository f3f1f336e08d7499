"""Tables in shards: several processes equal one that has them whole, and checkpoints load on any number of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from taskloom.training import sharded
from taskloom.training.build import make_data, make_module
from taskloom.training.job import evaluate_job, run_job
from taskloom.training.run import load_best
from training import train_sharded

WORKER = Path(__file__).with_name("train_sharded.py")
ROOT = Path(__file__).resolve().parents[2]

COMMON = [
    "trainer=sharded",
    "trainer.shard_from=1",
    "trainer.accelerator=cpu",
    "trainer.precision=64-true",
    "features.l2=0.1",
    "features.dropout=0",
    "features.init_std=0.3",
    "backbone.dropout=0",
    "scheduler=constant",
    "data.batch_size=137",
    # A third of the likes is missing, and so are most ratings of some batches.
    'data.tasks.like.target="CASE WHEN (timestamp / 5000) % 3 = 0 THEN NULL ELSE rating >= 4 END"',
    'data.tasks.rating.target="CASE WHEN (timestamp / 5000) % 5 < 4 THEN NULL ELSE rating END"',
]
SGD = ["optimizer=sgd", "optimizer.lr=0.1"]
NEGATIVES = [
    # Each rank draws its rows' negatives, so that batches differ by more than a row; and looks histories up.
    "tasks=[like,rating,interact]",
    "data.features.history.length=3",
    "data.negatives.per_row=2",
    "data.negatives.eval_per_row=3",
    'data.tasks.interact.target="CASE WHEN (timestamp / 5000) % 4 = 0 THEN NULL ELSE 1 END"',
]
CASES = {
    "hard, mlp, adam": ["model=hard_sharing", "backbone=mlp", "trainer.gradient_clip_val=0.05"],
    "hard, fm, sgd": [
        "model=hard_sharing",
        "backbone=fm",
        "backbone.product_dropout=0",
        "trainer.gradient_clip_val=0.5",
        *SGD,
    ],
    "soft, fm, adamw, views, negatives, histories": [
        "model=soft_sharing",
        "model.strength=0.1",
        "model.embedding_strength=0.1",
        "backbone=fm",
        "backbone.product_dropout=0",
        "features.views=per_task",
        "optimizer=adamw",
        "parameter_groups.embeddings.weight_decay=0.01",
        *NEGATIVES,
    ],
    "soft, mlp, sgd": [
        "model=soft_sharing",
        "model.strength=0.1",
        "backbone=mlp",
        "reduction=sum",
        *SGD,
        "optimizer.lr=1e-3",
    ],
    "single tasks, adam, one group": [
        "model=single_task",
        "features.views=per_task",
        "backbone=mlp",
        "trainer.gradient_clip_val=0.05",
        "~parameter_groups.embeddings",
        "~parameter_groups.trunks",
    ],
}


QUICK = ["hard, fm, sgd", "soft, fm, adamw, views, negatives, histories", "single tasks, adam, one group"]


def run(configs, out, ranks):
    settings = out.with_suffix(".json")
    settings.write_text(json.dumps(configs))
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks else []
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launch, str(WORKER), str(settings), str(out)],
        env=env,
        text=True,
        capture_output=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return torch.load(out, weights_only=True)


@pytest.fixture
def configs(compose):
    return {name: compose(*COMMON, *overrides) for name, overrides in CASES.items()}


@pytest.mark.parametrize(
    ("ranks", "cases"),
    [
        (2, QUICK),
        pytest.param(2, [case for case in CASES if case not in QUICK], marks=pytest.mark.slow),
        pytest.param(3, list(CASES), marks=pytest.mark.slow),
    ],
    ids=["2", "2, the other cases", "3"],
)
@pytest.mark.timeout(900)
def test_several_ranks_equal_one_with_whole_tables(configs, tmp_path, monkeypatch, ranks, cases):
    chosen = {case: configs[case] for case in cases}
    monkeypatch.setattr(sharded, "shard_tables", train_sharded.fill_whole)
    several = run(chosen, tmp_path / "several.pt", ranks)
    for case, config in chosen.items():
        alone, those = train_sharded.outcome_of(config, None), several[case]
        assert alone["rest"] == 1  # so that the last batch of an epoch has rows for one rank alone
        for name, value in alone["begin"].items():
            assert torch.equal(those["begin"][name], value), f"{case}: {name} at the start"
        for name, value in alone["end"].items():
            torch.testing.assert_close(those["end"][name], value, atol=1e-7, rtol=1e-6, msg=f"{case}: {name}")
        trained = alone["end"]["features.tables.0.weight"] - alone["begin"]["features.tables.0.weight"]
        assert (trained.abs().amax(1) > 1e-3).sum() > 100
        assert alone["metrics"] == pytest.approx(those["metrics"], rel=1e-6)
        assert torch.equal(alone["row"], those["row"])  # no test row twice, none lost
        for expected, got in zip(alone["predictions"], those["predictions"], strict=True):
            torch.testing.assert_close(got, expected)
        assert those["own"] < alone["own"] / ranks * 1.2


# Kills a rank once, at a step or while a checkpoint is being written; a marker keeps it from doing so again.
KILLER = """
import os, signal
from pathlib import Path
from lightning.pytorch.callbacks import Callback
from torch.distributed.checkpoint import FileSystemWriter

class Kill(Callback):
    def __init__(self, marker: str, step: int, rank: int = 0, saving: bool = False):
        self.marker, self.step, self.rank, self.saving = Path(marker), step, rank, saving

    def strike(self):
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_start(self, trainer, module):
        finish = FileSystemWriter.finish  # when all ranks have written their files

        def killed(writer, *arguments, **named):
            if trainer.global_step >= self.step:
                self.strike()
            finish(writer, *arguments, **named)

        if self.saving:
            FileSystemWriter.finish = killed

    def on_train_batch_start(self, trainer, module, batch, i):
        if not self.saving and trainer.global_step == self.step and trainer.global_rank == self.rank:
            self.strike()
"""
# 15 steps an epoch.
RESUMED = [
    "trainer=sharded",
    "trainer.shard_from=1",
    "trainer.accelerator=cpu",
    "trainer.devices=1",
    "trainer.precision=64-true",
    "trainer.gradient_clip_val=0.5",
    "callbacks.checkpoint.every_steps=4",
    "callbacks.best.patience=null",
    "method.epochs=3",
    "backbone.dropout=0",
    "backbone.product_dropout=0",
    "features.dropout=0",
    "model=single_task",
    "features.views=per_task",
]


def command(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "src/train.py"), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        timeout=400,
    )


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_killed_run_goes_on_on_another_number_of_processes(compose, small_run, tmp_path, capsys):
    plugin, run, alone = tmp_path / "killer.py", tmp_path / "run", tmp_path / "alone"
    plugin.write_text(KILLER)
    kills = {"a": "step: 6", "b": "step: 10, saving: true", "c": "step: 21, rank: 2"}
    killers = [
        f"+callbacks.{name}={{_target_: killer.Kill, marker: {tmp_path / name}, {when}}}"
        for name, when in kills.items()
    ]
    first = command(*small_run, *RESUMED, f"plugins=[{plugin}]", *killers, f"hydra.run.dir={run}")
    assert first.returncode == -9, first.stderr
    for ranks, killed in ((2, "b"), (3, "c"), (2, None)):
        record = json.loads((run / "run.json").read_text())
        record["config"]["trainer"]["devices"] = ranks
        (run / "run.json").write_text(json.dumps(record))
        done = command(f"resume={run}")
        assert (done.returncode != 0) == (killed is not None), done.stderr[-5000:]
        assert killed is None or (tmp_path / killed).exists()
    assert json.loads((run / "run.json").read_text())["resumed"] == 3
    # What nobody needs any more is gone, the rest of a checkpoint that was never finished too.
    content = [torch.load(path, weights_only=True) for path in (run / "checkpoints").glob("*.ckpt")]
    named = {name for checkpoint in content for name in checkpoint["shards"].values()}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt", *named}

    config = compose(*RESUMED)
    expected = run_job(config, alone)
    assert evaluate_job(run)["same"] is True  # in one process, with whole tables
    found = json.loads((run / "run.json").read_text())
    assert found["test"] == pytest.approx(expected["test"], rel=1e-6, nan_ok=True)
    assert {unit: best["epoch"] for unit, best in found["best"].items()} == {
        unit: best["epoch"] for unit, best in expected["best"].items()
    }
    weights = [best_weights(config, folder / "checkpoints") for folder in (run, alone)]
    for name, value in weights[1].items():
        torch.testing.assert_close(weights[0][name], value, atol=1e-7, rtol=1e-6, msg=name)


def best_weights(config, checkpoints):
    """Of best.ckpt, in a module that has whole tables."""
    data = make_data(config)
    data.prepare_data()
    data.setup()
    module = make_module({**config, "trainer": {**config["trainer"], "strategy": "single"}}, data)
    load_best(module, checkpoints)
    return module.state_dict()
