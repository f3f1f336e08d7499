"""Every YAML in conf/ composes, passes preflight, and takes a step of training, validation and test."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from taskloom.config.compose import composer
from taskloom.config.help import read_root
from taskloom.config.preflight import preflight
from taskloom.training.job import run_job

CONF = Path(__file__).resolve().parents[2] / "conf"
GROUPS = [group.name for group in read_root(CONF / "train.yaml")[1]]
FILES = sorted(file for file in CONF.rglob("*.yaml") if file.parent != CONF)
MEMBERS = [(str(file.parent.relative_to(CONF)), file.stem) for file in FILES]
# What says how several runs go; tests/sweeping runs them.
OF_SWEEPS = ("sweep", "hydra/sweeper", "hydra/launcher")
OF_RUNS = [(group, member) for group, member in MEMBERS if group not in OF_SWEEPS]
SMALL = "debug=step"
# Schemes for which MovieLens will not do: they need a task with a parent, or a scenario.
ON_CHAINS = ("aitm", "esmm", "pepnet")


def test_every_folder_is_a_group_of_the_root_config() -> None:
    assert {group for group, _ in MEMBERS} <= {*GROUPS, *OF_SWEEPS}


@pytest.mark.parametrize(("group", "member"), MEMBERS, ids=lambda value: value)
def test_it_begins_with_a_comment(group: str, member: str) -> None:
    text = (CONF / group / f"{member}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert text.endswith("\n")
    assert yaml.safe_load(text) is not None


def data_of(group: str, member: str) -> str | None:
    """The data set that a member chooses: data itself, an experiment that overrides it, or a scheme that needs it."""
    if group == "data":
        return member
    if group == "model" and member in ON_CHAINS:
        return "synthetic"
    if group != "experiment":
        return None
    defaults = yaml.safe_load((CONF / group / f"{member}.yaml").read_text(encoding="utf-8")).get("defaults", [])
    return next((entry["override /data"] for entry in defaults if "override /data" in entry), None)


def overrides(group: str, member: str, small_run: list[str], folder: Path) -> list[str]:
    """A command line that chooses the member, for one step on small data."""
    data = data_of(group, member)
    if data is not None:
        folder.mkdir()
        sample = importlib.import_module(f"samples.{data}").write(folder)
        keep = [o for o in [*small_run, SMALL] if not o.startswith(("data.source", "floors"))]
        chosen = [f"{group}={member}", f"data={data}"] if group == "model" else [f"{group}={member}"]
        return [*keep, *chosen, "floors=null", *sample]
    own = {"debug": "debug", "logger": "logger"}.get(group)
    keep = [o for o in [*small_run, SMALL] if own is None or not o.startswith(f"{own}=")]
    if group == "debug":
        keep += ["method.epochs=1"]
    if group == "trainer":
        keep = [o for o in keep if not o.startswith("trainer.accelerator")]
    return [*keep, f"{group}={member}"]


@pytest.mark.parametrize(("group", "member"), OF_RUNS, ids=lambda value: value)
def test_it_composes_and_takes_a_step(
    group: str,
    member: str,
    small_run: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with composer(CONF, "train") as compose:
        composed = compose.compose(overrides(group, member, small_run, tmp_path / "sample"))
    assert not composed.problems
    if group not in ("hydra", "experiment"):
        assert composed.choices[group] == member
    problems = preflight(composed.config)
    if (group, member) in (("trainer", "gpu"), ("trainer", "ddp")) and not torch.cuda.is_available():
        assert [problem.path for problem in problems] == ["trainer.accelerator"]
        pytest.skip("there is no GPU on this machine")
    assert problems == []
    record = run_job(composed.config, tmp_path / "run")
    assert record["state"] == "done"
    if data_of(group, member) is None:
        assert set(record["main_metrics"]) == {"like", "rating"}
    else:
        assert set(record["main_metrics"]) <= set(composed.config["data"]["tasks"])
        assert record["floors"]
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert any("val/score" in line for line in lines)
    assert any("train/loss" in line for line in lines)
    assert (tmp_path / "run/checkpoints/best.ckpt").is_file()
    assert ((tmp_path / "run/wandb").is_dir()) == ((group, member) == ("logger", "wandb"))


@pytest.mark.parametrize("views", ["shared", "per_task"])
@pytest.mark.parametrize("backbone", [m for g, m in MEMBERS if g == "backbone"])
@pytest.mark.parametrize("model", [m for g, m in MEMBERS if g == "model"])
@pytest.mark.slow
def test_models_backbones_and_views_combine(
    model: str, backbone: str, views: str, compose: Callable[..., dict[str, Any]], tmp_path: Path, capsys: Any
) -> None:
    config = compose(SMALL, f"model={model}", f"backbone={backbone}", f"features.views={views}")
    problems = preflight(config)
    if problems:
        assert {problem.path for problem in problems} <= {"features.views", "model"}
    else:
        assert run_job(config, tmp_path / "run")["state"] == "done"
