"""A sweep that was made offline, sent to W&B later, and looked at there: every run, metric and panel arrives."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standins.wandb_server import ENTITY, Run, StandIn
from taskloom.comparing.comparison import compare
from taskloom.comparing.wandb_report import publish
from taskloom.errors import RunError
from taskloom.tracking.metrics_file import read_metrics
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.table import closing_lines_of_sweep

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For processes: nothing of the user's W&B."""
    home = tmp_path_factory.mktemp("home")
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    path = f"{BIN}{os.pathsep}{own['PATH']}"
    return {**own, "PATH": path, "NETRC": str(home / "netrc"), "WANDB_CONFIG_DIR": str(home), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def sweep(small_run: list[str], environment: dict[str, str]) -> Path:
    """Two models by two seeds, trained by the real command without a key."""
    settings = [word for word in small_run if word != "logger=none"]
    command = [sys.executable, "src/train.py", "-m", "model=single_task,hard_sharing", "seed=1,2", *settings]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    root = next(Path(word.partition("=")[2]) for word in small_run if word.startswith("paths.root="))
    (folder,) = (root / "logs" / "train" / "multiruns").iterdir()
    return folder


@pytest.fixture(scope="module")
def synced(sweep: Path, environment: dict[str, str]) -> Iterator[StandIn]:
    """The server after the command that the sweep's end names."""
    server = StandIn()
    (line,) = [line for line in closing_lines_of_sweep(sweep) if "wandb sync" in line]
    words = shlex.split(line[line.index("wandb sync") :])
    done = subprocess.run(
        words, env={**environment, **server.environment()}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    yield server
    server.die()
    assert server.unknown == []


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Makes this process one that uses a server."""
    import wandb
    from wandb.sdk.lib import wbauth

    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))

    def forget() -> None:
        wandb.teardown()
        wbauth.unauthenticate_session(update_settings=False)

    def use(server: StandIn) -> None:
        forget()
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)

    forget()
    yield use
    forget()


def jobs(sweep: Path) -> list[tuple[RunFolder, dict[str, Any]]]:
    folders = [RunFolder(file.parent) for file in sorted(sweep.glob("*/run.json"))]
    return [(folder, folder.read()) for folder in folders]


def test_the_server_has_each_run_under_its_name_and_group(sweep: Path, synced: StandIn) -> None:
    made = jobs(sweep)
    assert set(synced.runs) == {record["wandb"]["id"] for _, record in made}
    groups: dict[str, set[str]] = {}
    for _, record in made:
        run = synced.runs[record["wandb"]["id"]]
        model, seed = record["choices"]["model"], record["seed"]
        assert run.exit_code == 0
        assert run.variables["displayName"] == f"{model} seed {seed}"
        assert run.variables["jobType"] == "train"
        assert run.variables["project"] == "taskloom"
        assert run.variables["tags"] == ["movielens_100k", model, sweep.name]
        groups.setdefault(model, set()).add(run.variables["groupName"])
        assert run.config["choices"] == record["choices"]
        assert run.config["sweep"] == sweep.name
        assert run.config["parameters"] == record["parameters"]
        for key, value in record["config"].items():
            if key != "paths":
                assert run.config[key] == value, key
        assert "paths" not in run.config
    assert {model: len(names) for model, names in groups.items()} == {"single_task": 1, "hard_sharing": 1}
    (single,), (hard,) = groups["single_task"], groups["hard_sharing"]
    assert single != hard
    assert hard.startswith("model=hard_sharing backbone=fm ")


def test_the_server_has_every_row_of_metrics(sweep: Path, synced: StandIn) -> None:
    for folder, record in jobs(sweep):
        rows = read_metrics(folder.metrics)
        assert any("val/like/auc" in row for row in rows)
        assert any("test/rating/rmse" in row for row in rows)
        run = synced.runs[record["wandb"]["id"]]
        left = list(run.history)
        for row in rows:
            values = {k: v for k, v in row.items() if k not in ("step", "epoch", "time") and v is not None}
            same = [
                sent
                for sent in left
                if sent["trainer/global_step"] == row["step"]
                and all(sent.get(name) == pytest.approx(value, rel=1e-12) for name, value in values.items())
                and (row["epoch"] is None or sent["epoch"] == row["epoch"])
            ]
            assert same, (row, left)
            left.remove(same[0])
        assert left == []
        assert run.summary["val/score"] == pytest.approx(_mean([b["score"] for b in record["best"].values()]))
        assert run.summary["cost/seconds"] == record["seconds"]
        assert run.summary["cost/rows_per_s"] == record["rows_per_s"]
        assert run.summary["cost/parameters"] == record["parameters"]
        assert run.summary["cost/peak_memory_mb"] == record["peak_memory_mb"]["host"]
        for name, value in record["test"].items():
            assert run.summary[f"test/{name}"] == pytest.approx(value, rel=1e-12)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_the_pages_show_every_panel_of_things_that_the_server_has(sweep: Path, synced: StandIn, at: Any) -> None:
    pytest.importorskip("wandb_workspaces")
    at(synced)
    made = jobs(sweep)
    comparison = compare([folder.path for folder, _ in made], title="2 models × 2 seeds")
    synced.views.clear()
    addresses = publish(comparison)
    workspace, report = synced.views
    assert addresses[0].startswith(f"{synced.url}/{ENTITY}/taskloom?nw=")
    assert addresses[1].startswith(f"{synced.url}/{ENTITY}/taskloom/reports/")
    assert (workspace["type"], workspace["displayName"]) == ("project-view", "2 models - 2 seeds")
    assert (report["type"], report["displayName"]) == ("runs", "2 models × 2 seeds")

    section = json.loads(workspace["spec"])["section"]
    ids = [record["wandb"]["id"] for _, record in made]
    _check_runs(section["runSets"][0], ids)
    panels = [panel for part in section["panelBankConfig"]["sections"] for panel in part["panels"]]
    _check_panels(panels, list(synced.runs.values()))

    blocks = json.loads(report["spec"])["blocks"]
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    for grid in grids:
        _check_runs(grid["runSets"][0], ids)
    drawn = [panel for grid in grids for panel in grid["panelBankSectionConfig"]["panels"]]
    assert [(p["viewType"], p["config"]) for p in drawn] == [(p["viewType"], p["config"]) for p in panels]
    (text,) = [block["content"] for block in blocks if block["type"] == "markdown-block"]
    for point in comparison["points"]:
        assert f"| {point['label']} | 2 |" in text
        assert f"{point['metrics']['like/auc']['mean']:.4f}" in text


def _check_runs(chosen: dict[str, Any], ids: list[str]) -> None:
    (only,) = chosen["filters"]["filters"]
    assert (only["key"], only["op"], sorted(only["value"])) == ({"section": "run", "name": "name"}, "IN", sorted(ids))
    assert chosen["grouping"] == [{"section": "run", "name": "group"}]


def _check_panels(panels: list[dict[str, Any]], runs: list[Run]) -> None:
    """All that are expected, and nothing in them that a run lacks."""
    lines = [p["config"] for p in panels if p["viewType"] == "Run History Line Plot"]
    named = [name for line in lines for name in line["metrics"]]
    tasks = ("val/like/auc", "train/like/loss", "val/rating/rmse", "train/rating/loss")
    conflict = ["conflict/like~rating", "conflict/share"]
    assert named == ["val/score", "train/loss", *tasks, *conflict]
    assert set(conflict) <= {key for run in runs for row in run.history for key in row}  # not of single_task
    for line in lines:
        style = (line["xAxis"], line["groupBy"], line["groupAgg"], line["groupArea"], line["aggregate"])
        assert style == ("epoch", "group", "mean", "stddev", True)
    bars = [p["config"] for p in panels if p["viewType"] == "Bar Chart"]
    assert [bar["metrics"] for bar in bars] == [["test/like/auc"], ["test/rating/rmse"]]
    assert all((bar["groupBy"], bar["groupAgg"], bar["groupArea"]) == ("group", "mean", "stderr") for bar in bars)
    scatters = [(p["config"]["xAxis"], p["config"]["yAxis"]) for p in panels if p["viewType"] == "Scatter Plot"]
    costs = ("summary:cost/rows_per_s", "summary:cost/parameters", "summary:cost/seconds")
    mains = ("summary:test/like/auc", "summary:test/rating/rmse")
    assert scatters == [mains, *((cost, main) for main in mains for cost in costs)]
    (parallel,) = [p["config"] for p in panels if p["viewType"] == "Parallel Coordinates Plot"]
    axes = [column["accessor"] for column in parallel["columns"]]
    assert axes == ["config:choices.value.model", *mains]
    assert [column.get("inverted", False) for column in parallel["columns"]] == [False, False, True]
    importance = [p["config"]["targetKey"] for p in panels if p["viewType"] == "Parameter Importance"]
    assert importance == ["test/like/auc", "test/rating/rmse"]
    assert [p["config"] for p in panels if p["viewType"] == "Run Comparer"] == [{"diffOnly": "split"}]
    summaries = {axis for pair in scatters for axis in pair} | {axis for axis in axes if axis.startswith("summary:")}
    for run in runs:
        assert set(named) - set(conflict) <= {key for row in run.history for key in row}
        assert {key for bar in bars for key in bar["metrics"]} | set(importance) <= set(run.summary)
        assert {axis.removeprefix("summary:") for axis in summaries} <= set(run.summary)
        assert run.config["choices"]["model"]


def test_runs_that_are_not_there_are_told_with_the_one_command_that_sends_them(
    sweep: Path, at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb_workspaces")
    server = StandIn()
    at(server)
    made = jobs(sweep)
    comparison = compare([folder.path for folder, _ in made], title="models")
    with pytest.raises(RunError) as nothing:
        publish(comparison)
    assert str(nothing.value) == (
        f"4 of 4 runs are not in W&B's project {ENTITY}/taskloom yet: "
        f"send them with `wandb sync {sweep / '.wandb'}`, then repeat this"
    )
    assert server.views == []
    server.projects.add("taskloom")
    server.runs[made[0][1]["wandb"]["id"]] = Run({"project": "taskloom"})
    assert len(publish(comparison)) == 2
    assert capsys.readouterr().err.startswith(
        f"3 of 4 runs are not in W&B's project {ENTITY}/taskloom yet; `wandb sync"
    )
    server.die()
    assert server.unknown == []


def test_no_key_no_server_and_a_server_that_refuses_are_sentences_within_seconds(
    sweep: Path, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb_workspaces")
    comparison = compare([folder.path for folder, _ in jobs(sweep)], title="models")
    began = time.perf_counter()
    with pytest.raises(RunError, match=r"takes a key of W&B: `wandb login` stores one"):
        publish(comparison)
    server = StandIn()
    at(server)
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(RunError, match=r"WANDB_MODE=offline forbids it"):
        publish(comparison)
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(server, "answer", lambda *a: {"errors": [{"message": "no such user"}]})
    with pytest.raises(RunError, match=r"W&B did not take the comparison \("):
        publish(comparison)
    server.die()
    with pytest.raises(RunError, match=rf"server {server.url} does not answer; the local page has the same panels"):
        publish(comparison)
    assert time.perf_counter() - began < 60


def test_without_the_extra_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    with pytest.raises(RunError, match=r"pip install 'taskloom\[report\]'"):
        publish({"runs": []})


def test_runs_outside_w_and_b_are_a_sentence(tmp_path: Path) -> None:
    pytest.importorskip("wandb_workspaces")
    folder = RunFolder.create(tmp_path / "run", {"config": {}})
    gone = {"folder": str(tmp_path / "gone")}
    with pytest.raises(RunError, match=r"none of the runs was kept for W&B"):
        publish({"runs": [{"folder": str(folder.path)}, gone]})
    other = RunFolder.create(tmp_path / "other", {"wandb": {"id": "b", "project": "second"}})
    folder.update(wandb={"id": "a", "project": "first"})
    with pytest.raises(RunError, match=r"in 2 projects of W&B \(first, second\)"):
        publish({"runs": [{"folder": str(each.path)} for each in (folder, other)]})
