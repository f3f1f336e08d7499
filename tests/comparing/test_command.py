"""The compare command as a person types it."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from taskloom.config.command import run_command

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
HEAVY = {"torch", "lightning", "plotly", "optuna", "wandb", "pandas", "polars", "sklearn", "matplotlib", "scipy.stats"}


@pytest.fixture
def compare_here(tmp_path: Path, capsys):
    """Runs the command with the logs of this test; gives the exit code and both outputs."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run_command("compare", [f"paths.root={tmp_path}", "page=false", *arguments], CONF)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_the_latest_multirun_into_its_own_folder(make_run, tmp_path: Path, compare_here) -> None:
    sweep = tmp_path / "logs/train/multiruns/first"
    for seed in (1, 2):
        make_run(f"seed-{seed}", seed=seed, under=sweep, auc=0.7 + seed / 10)
    make_run("alone")
    code, out, err = compare_here()
    assert (code, err) == (0, "")
    assert "0.8500 ± 0.0500" in out
    assert out.endswith(f"as JSON  {sweep / 'comparison.json'}\n")
    found = json.loads((sweep / "comparison.json").read_text())
    assert (found["title"], len(found["runs"]), len(found["points"])) == ("first", 2, 1)


def test_any_runs_into_a_folder_of_their_own(make_run, tmp_path: Path, compare_here) -> None:
    folder = make_run("a")
    assert compare_here(f"runs={folder}")[0] == 0
    (file,) = (tmp_path / "logs/compare").glob("*/comparison.json")
    assert json.loads(file.read_text())["title"] == "1 run"
    code, out, _ = compare_here(f"runs={folder},nowhere", f"out={tmp_path}/x=1", "title=which, and why?")
    assert code == 0
    assert "no runs in nowhere: there is no such folder" in out
    assert json.loads((tmp_path / "x=1/comparison.json").read_text())["title"] == "which, and why?"


def test_the_contract(make_run, tmp_path: Path, compare_here) -> None:
    """What the page and W&B's report rely on."""
    for model in ("single_task", "hard_sharing"):
        for seed in (1, 2):
            make_run(
                f"{model}{seed}", f"model={model}", seed=seed, auc=0.7 + seed / 100 + (model == "hard_sharing") / 10
            )
    compare_here(f"out={tmp_path}")
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert set(found) == {
        *("created", "title", "data", "shown", "baseline", "over", "runs", "points", "floors", "metrics", "keys"),
        *("importance", "importance_method", "fronts", "notes"),
    }
    run = found["runs"][0]
    assert set(run) == {
        *("id", "folder", "state", "reason", "point", "seed", "split_seed", "name", "tags", "created", "data"),
        *("fingerprint", "settings", "test", "val", "rows_per_s", "seconds", "parameters", "peak_memory_mb", "wandb"),
        "curves",
    }
    assert [found["runs"][place]["id"] for place in found["points"][0]["runs"]] == found["points"][0]["runs"]
    assert all(found["points"][run["point"]]["settings"]["model"] == run["settings"]["model"] for run in found["runs"])
    assert run["settings"]["features.views"] in ("shared", "per_task")
    assert found["keys"] == [{"key": "model", "kind": "category", "log": False, "values": found["keys"][0]["values"]}]
    hard = next(point for point in found["points"] if not point["baseline"])
    assert set(hard["metrics"]["like/auc"]) == {
        *("mean", "se", "std", "low", "high", "n", "values", "best", "within_noise", "compared", "p", "delta"),
    }
    assert found["metrics"]["like/gauc_coverage"]["higher_is_better"] is None
    assert found["metrics"]["like/auc"] == {"task": "like", "metric": "auc", "higher_is_better": True, "main": True}


def test_filters_groups_and_metrics(make_run, tmp_path: Path, compare_here) -> None:
    for model in ("hard_sharing", "soft_sharing"):
        for backbone in ("fm", "mlp"):
            make_run(f"{model}{backbone}", f"model={model}", f"backbone={backbone}", tags=[backbone])
    code, out, _ = compare_here("by=backbone", "metrics=[log_loss,like/auc]", "where=model != hard_sharing or seed = 9")
    assert code == 0
    assert out.splitlines()[1].split() == ["backbone", "n", "like/log_loss", "↓", "like/auc", "↑", "rows/s"]
    assert "2 of 4 runs left out by model != hard_sharing or seed = 9" in out
    assert "2 of 4 runs left out by tag=fm" in compare_here("tag=fm")[1]
    code, out, _ = compare_here("by=[]")
    assert "soft_sharing" not in out.split("mean ±")[0] or " 4 " in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["runs=nowhere"], 1, "no runs in nowhere: there is no such folder\n"),
        (["run=x"], 2, "Unknown key run: did you mean runs?\n"),
        (["+extra=1"], 2, "Unknown key extra: --help lists the keys\n"),
        (["page=perhaps", "open=3"], 2, "page must be true or false, got perhaps\nopen must be true or false, got 3\n"),
        (["open=true"], 2, "open=true opens the page, which page=false leaves out: set one of them\n"),
        (["-m"], 2, "compare.py takes key=value alone, not -m; --help shows what can be written\n"),
        (["where=backbone fm"], 2, "backbone fm is no comparison"),
        (["where=modle = fm"], 2, "where: Unknown key modle: did you mean model?\n"),
        (["where=seed = 7"], 1, "no run is left to compare; 1 of 1 runs left out by seed = 7\n"),
        (["metrics=auk"], 2, "metrics: Unknown key auk"),
        (["by=modell"], 2, "by: Unknown key modell: did you mean model?\n"),
        (["baseline=hard"], 2, "baseline=hard: no run is that; the models are soft_sharing; or write key=value\n"),
        (["out=/dev/null/x"], 1, "/dev/null/x cannot be written to (Not a directory); name another folder by out=\n"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_mistakes_get_a_sentence(make_run, compare_here, arguments: list[str], code: int, says: str) -> None:
    make_run("a")
    got, _, err = compare_here(*arguments)
    assert got == code
    assert says in err
    assert "Traceback" not in err


def test_no_runs_at_all(compare_here) -> None:
    code, out, err = compare_here()
    assert (code, out) == (1, "")
    assert err.endswith("train some: python src/train.py -m model=single_task,soft_sharing\n")


def test_a_hundred_runs_as_a_process(make_run, tmp_path: Path) -> None:
    """Twenty configurations of five seeds, 20 epochs each: the command needs no more than 3 s of a core."""
    for model in ("hard_sharing", "soft_sharing"):
        for lr in range(10):
            for seed in range(5):
                change = {"settings": {"optimizer.lr": 10.0**-lr}, "auc": 0.7 + lr / 100 + seed / 1000, "epochs": 20}
                make_run(f"{model}{lr}{seed}", f"model={model}", seed=seed, **change)
    script = (
        "import sys; sys.path.insert(0, 'src'); import compare; compare.main(); print(*sys.modules, file=sys.stderr)"
    )
    arguments = [f"runs={tmp_path}/logs/train", f"out={tmp_path}", "page=false"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answer.returncode == 0, answer.stderr
    assert HEAVY & set(answer.stderr.split()) == set()
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 3
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert (len(found["runs"]), len(found["points"])) == (100, 20)
    assert found["importance"]["like/auc"][0]["key"] == "optimizer.lr"


def test_help() -> None:
    command = [sys.executable, str(ROOT / "src/compare.py"), "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0
    for key in ("runs=null", "where=null", "by=null", "baseline=null", "page=true", "wandb=false"):
        assert f"  {key} " in answer.stdout
