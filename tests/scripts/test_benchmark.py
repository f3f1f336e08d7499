"""The benchmark compares like with like, and says what it found."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import bare_loop
import benchmark
from taskloom.errors import ConfigError
from taskloom.sharing.experts import Experts
from taskloom.training.build import make_module

SMALL = ["data.batch_size=64", "trainer.accelerator=cpu", "backbone.hidden=[8]", "heads.hidden=[4]"]


def made(folder: Path, *overrides: str, by_hand: bool = False) -> tuple[bare_loop.Rows, bare_loop.BareLoop, object]:
    config, _ = benchmark.configure([*SMALL, *overrides])
    data = bare_loop.Rows.drawn(folder, 640, 64, seed=1)
    torch.manual_seed(0)
    module = make_module(config, data)
    return data, bare_loop.BareLoop(module, data, torch.device("cpu"), config["trainer"], by_hand), module


@pytest.mark.parametrize(
    ("overrides", "by_hand"),
    [
        ([], True),
        ([], False),
        (["trainer.gradient_clip_val=0.01"], True),
        (["trainer.precision=bf16-mixed"], True),
        (["model=soft_sharing"], False),
        (["features.l2=0.1"], False),
        (["model=mmoe"], True),
        (["model=mmoe", "trainer.precision=bf16-mixed"], True),
    ],
)
def test_bare_loop_takes_the_platforms_steps(tmp_path: Path, overrides: list[str], by_hand: bool) -> None:
    data, bare, module = made(tmp_path, *overrides, by_hand=by_hand)
    bf16 = "trainer.precision=bf16-mixed" in overrides
    optimizer = module.make_optimizer(list(module.parameters()))
    for batch in data.train_dataloader():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        if bare.clip:
            torch.nn.utils.clip_grad_norm_(module.parameters(), bare.clip)
        optimizer.step()
        torch.testing.assert_close(bare.step(batch.row), loss.detach(), rtol=2e-2 if bf16 else 1e-5, atol=1e-6)


def test_rows_have_the_shape_of_movielens_1m(tmp_path: Path) -> None:
    data = bare_loop.Rows.drawn(tmp_path, 5000, 64, seed=1)
    ids, (like, stars) = data.columns.categorical, data.columns.targets.unbind(1)
    assert ids.shape == (5000, 8)
    assert (ids >= 1).all()
    assert (ids < torch.tensor([feature.size for feature in data.schema.features])).all()
    assert torch.equal(like, (stars >= 4).float())
    assert stars.unique().tolist() == [1, 2, 3, 4, 5]


def test_result_of_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        code = benchmark.main([*SMALL, "--rows=1000", "--pairs=2", "--steps=3", "--threads=1", "--form=loop"])
        assert Experts.form == "loop"
    finally:
        Experts.form = "auto"
        torch.set_num_threads(threads)
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert result["model"] == "hard_sharing"
    assert result["ratio_min"] <= result["ratio"] <= result["ratio_max"]
    assert (result["batch_size"], result["pairs"], result["steps"], result["threads"]) == (64, 2, 3, 1)
    for name in (
        "platform_rows_per_s",
        "bare_rows_per_s",
        "loader_rows_per_s",
        "first_step_s",
        "peak_memory_mb",
    ):
        assert result[name] > 0
    assert f"{result['platform_rows_per_s']:,} rows/s" in "\n".join(lines[:-1])
    assert sum(line.startswith("epoch") for line in lines) == 3  # progress is on; the first pair warms up


def test_own_settings_give_way() -> None:
    config, model = benchmark.configure(["model=soft_sharing", "backbone=fm", "optimizer.lr=0.5"])
    assert model == config["name"] == "soft_sharing"
    assert config["backbone"]["_target_"].endswith("FM")
    assert config["backbone"]["hidden"] != [256, 128]  # fm's own, not those meant for mlp
    assert config["optimizer"]["lr"] == 0.5
    assert config["data"]["batch_size"] == 4096
    assert benchmark.configure(["backbone=mlp"])[0]["backbone"]["hidden"] == [256, 128]


def test_mmoe_alone_is_the_network_that_others_report() -> None:
    config, _ = benchmark.configure(["model=mmoe"])
    assert config["model"]["experts"] == 8
    assert (config["backbone"]["hidden"], config["heads"]["hidden"]) == ([256, 128], [64])
    assert (config["features"]["dim"], config["features"]["l2"], config["data"]["batch_size"]) == (16, 0, 4096)
    assert config["backbone"]["dropout"] == config["heads"]["dropout"] == config["features"]["dropout"] == 0
    assert benchmark.configure(["model=mmoe", "model.experts=3"])[0]["model"]["experts"] == 3


def test_what_is_not_written_out_by_hand_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="written out are model=hard_sharing and model=mmoe with backbone=mlp"):
        made(tmp_path, "model=omoe", by_hand=True)


def test_a_mistake_is_named() -> None:
    with pytest.raises(ConfigError, match=r"Unknown key optimizer\.lrr: did you mean lr\?"):
        benchmark.configure(["optimizer.lrr=1"])
