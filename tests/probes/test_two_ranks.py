"""Two processes equal one: same parameters, losses and validation scores, with labels missing at random."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("train_on_ranks.py")
ROOT = Path(__file__).resolve().parents[2]


def run(config, out, ranks):
    settings = out.with_suffix(".json")
    settings.write_text(json.dumps(config))
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launch, str(WORKER), str(settings), str(out)],
        env=env,
        text=True,
        capture_output=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(out, weights_only=True)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=hard_sharing", "reduction=mean_labelled"],
        [
            "model=soft_sharing",
            "model.strength=0.1",
            "model.embedding_strength=0.1",
            "reduction=sum",
            # Each rank draws its rows' negatives, gathers their histories, and counts those of the other.
            "tasks=[like,rating,interact]",
            "data.features.history.length=3",
            "data.negatives.per_row=2",
            "data.negatives.eval_per_row=3",
            'data.tasks.interact.target="CASE WHEN (timestamp / 5000) % 4 = 0 THEN NULL ELSE 1 END"',
        ],
    ],
    ids=["hard, mean", "soft, sum, negatives, histories"],
)
def test_two_ranks_equal_one(compose, tmp_path, overrides):
    config = compose(
        *overrides,
        "features.l2=0.1",
        "features.dropout=0",
        "backbone.dropout=0",
        "backbone.product_dropout=0",
        "optimizer=sgd",
        "optimizer.lr=1e-3",
        "optimizer.momentum=0",
        "data.batch_size=37",
        # A third of the likes is missing, and so are most ratings of some batches.
        'data.tasks.like.target="CASE WHEN (timestamp / 5000) % 3 = 0 THEN NULL ELSE rating >= 4 END"',
        'data.tasks.rating.target="CASE WHEN (timestamp / 5000) % 5 < 4 THEN NULL ELSE rating END"',
    )
    one = run(config, tmp_path / "one.pt", 1)
    two = run(config, tmp_path / "two.pt", 2)
    assert one["metrics"]["train/like/loss"] > 0
    for name, value in one["state_dict"].items():
        # Losses are taken in float32, so that sums over other rows first are rounded otherwise.
        torch.testing.assert_close(two["state_dict"][name], value, atol=1e-8, rtol=1e-9, msg=name)
    assert one["metrics"] == pytest.approx(two["metrics"], rel=1e-6)
    assert torch.equal(one["row"], two["row"])  # no test row twice, none lost
