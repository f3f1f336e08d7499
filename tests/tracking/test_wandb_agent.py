"""W&B's own sweeps: the file that makes one, and an agent that trains what the server picks."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from standins.wandb_server import ENTITY, Run, StandIn
from taskloom.config.command import run_command
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.wandb_run import finish, wandb_logger

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "conf" / "sweep" / "wandb.yaml"
PICKED = [
    {"model": "hard_sharing", "optimizer.lr": 0.01, "trainer.gradient_clip_val": "null", "seed": 3},
    {"model": "single_task", "optimizer.lr": 0.001, "trainer.gradient_clip_val": 10, "seed": 4},
]


def test_every_parameter_of_the_file_is_a_setting(compose: Callable[..., dict[str, Any]]) -> None:
    sweep = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert sweep["program"] == "src/train.py"
    assert sweep["command"] == ["${env}", "python", "${program}", "${args_no_hyphens}"]
    assert sweep["metric"] == {"name": "val/score", "goal": "maximize"}
    corners = []
    for name, about in sweep["parameters"].items():
        ends = about.get("values") or ([about["value"]] if "value" in about else [about["min"], about["max"]])
        assert None not in ends, "W&B hands a bare null on as None"
        if "distribution" in about:
            assert all(isinstance(end, float) for end in ends), "YAML takes 1e-4 for a word"
        corners.append([f"{name}={end}" for end in ends])
    longest = max(map(len, corners))
    for overrides in itertools.islice(zip(*(itertools.cycle(each) for each in corners), strict=False), longest):
        compose(*overrides)


def nothing_to_train_on(folder: Path) -> list[str]:
    """So that a command which should have refused ends soon and leaves nothing in the project."""
    return [f"paths.root={folder}", f"data.source={folder / 'nothing'}"]


@pytest.mark.parametrize("multirun", [[], ["-m"]])
def test_the_file_is_no_choice_of_the_train_command(
    multirun: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("train", [*multirun, "sweep=wandb", *nothing_to_train_on(tmp_path)], ROOT / "conf") == 2
    printed = capsys.readouterr().err
    assert "wandb sweep conf/sweep/wandb.yaml" in printed
    assert "wandb agent" in printed
    assert len(printed.splitlines()) == 1


def test_an_agent_gives_one_run_and_not_a_multirun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep0")
    assert run_command("train", ["-m", "seed=1,2", *nothing_to_train_on(tmp_path)], ROOT / "conf") == 2
    assert "leave out -m" in capsys.readouterr().err


@pytest.mark.usefixtures("_fresh_wandb")
def test_under_an_agent_the_run_is_the_agents(
    tmp_path: Path, wandb_server: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wandb_server.handed_out["agentrun0"] = PICKED[0]
    wandb_server.runs["agentrun0"] = Run({"sweep": "sweep0"}, config=dict(PICKED[0]))
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"wandb_version": 1, **{key: {"value": PICKED[0][key]} for key in PICKED[0]}}))
    given = {"WANDB_SWEEP_ID": "sweep0", "WANDB_RUN_ID": "agentrun0", "WANDB_SWEEP_PARAM_PATH": str(file)}
    place = {"WANDB_ENTITY": ENTITY, "WANDB_PROJECT": "theirs"}
    for key, value in {**wandb_server.environment(), **given, **place}.items():
        monkeypatch.setenv(key, value)
    folder = RunFolder.create(tmp_path / "run", {"choices": {"model": "hard_sharing"}})
    config = {"model": {"_target_": "a.B", "rate": 1}, "optimizer": {"lr": 0.01}, "seed": 3, "name": "hard_sharing"}
    logger = wandb_logger(folder.path, config, project="ours", entity="another")
    assert logger is not None
    finish(0)
    assert capfd.readouterr() == ("", "")
    record = folder.read()["wandb"]
    assert (record["id"], record["project"], record["entity"]) == ("agentrun0", "theirs", ENTITY)
    run = wandb_server.runs["agentrun0"]
    assert list(wandb_server.runs) == ["agentrun0"]
    assert run.variables["sweep"] == "sweep0"
    assert {key: run.config[key] for key in PICKED[0]} == PICKED[0]
    assert (run.config["model.rate"], run.config["optimizer"]) == (1, {"lr": 0.01})


@pytest.fixture
def sweep_server() -> Iterator[StandIn]:
    server = StandIn(PICKED)
    yield server
    server.die()
    assert server.unknown == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_agent_trains_what_the_server_picks(
    small_run: list[str], tmp_path: Path, sweep_server: StandIn, run_wandb: Any
) -> None:
    sweep = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    settings = [word for word in small_run if word != "logger=none"]
    sweep["command"][-1:] = [*settings, sweep["command"][-1]]
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep))
    made = run_wandb("sweep", str(file), server=sweep_server)
    assert made.returncode == 0, made.stderr
    command = made.stderr.rpartition("Run sweep agent with: ")[2].split()
    assert command[:2] == ["wandb", "agent"]
    binaries = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        **sweep_server.environment(),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "WANDB_DIR": str(tmp_path),
    }
    words = [f"{binaries}/wandb", "agent", "--count", "2", *command[2:]]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    assert list(sweep_server.handed_out.values()) == PICKED
    assert len(sweep_server.runs) == 2
    root = next(Path(word.partition("=")[2]) for word in small_run if word.startswith("paths.root="))
    records = [json.loads(path.read_text()) for path in (root / "logs" / "train" / "runs").glob("*/run.json")]
    by_id = {record["wandb"]["id"]: record for record in records if record.get("wandb")}
    for name, picked in sweep_server.handed_out.items():
        run, record = sweep_server.runs[name], by_id[name]
        assert run.exit_code == 0
        assert run.variables["sweep"] == "sweep0"
        assert run.summary["val/score"] == pytest.approx(
            sum(unit["score"] for unit in record["best"].values()) / len(record["best"])
        )
        assert {key: run.config[key] for key in picked} == picked
        assert record["config"]["optimizer"]["lr"] == picked["optimizer.lr"]
        assert record["config"]["trainer"]["gradient_clip_val"] == (10 if picked["seed"] == 4 else None)
        assert record["choices"]["model"] == picked["model"]
        assert record["seed"] == picked["seed"]
