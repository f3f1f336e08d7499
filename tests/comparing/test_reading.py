"""Run folders as they are found: whole, old, damaged, unfinished; and which of them a person means."""

import json
from pathlib import Path

import pytest

from taskloom.comparing.finding import find_runs
from taskloom.comparing.reading import read_curves, read_run, read_runs
from taskloom.comparing.where import keep
from taskloom.errors import ConfigError, RunError
from taskloom.tracking.run_folder import RunFolder


def test_a_run_as_training_leaves_it(make_run) -> None:
    run = read_run(
        make_run("a", "model=hard_sharing", seed=3, auc=0.81, tags=["good"], settings={"optimizer.lr": 0.01})
    )
    assert (run.state, run.seed, run.split_seed, run.tasks) == ("done", 3, 1, ["like", "rating"])
    assert run.choices["model"] == "hard_sharing"
    assert run.get("model") == "hard_sharing"
    assert run.get("optimizer.lr") == 0.01
    assert run.named == ["model", "seed", "optimizer.lr"]
    assert run.value("like/auc") == 0.81
    assert run.main == {"like": ("auc", True), "rating": ("rmse", False)}
    assert run.cost["peak_memory_mb"] == 700
    assert run.tags == ["good"]
    assert [epoch for epoch, _ in run.curves["val/like/auc"]] == [1, 2]
    assert run.val["like/auc"] == run.curves["val/like/auc"][1][1]  # the best epoch is the second


def test_only_lines_of_whole_epochs_and_the_later_one_of_two(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        '{"step": 5, "epoch": null, "time": 1, "train/step_loss": 3.0}',
        '{"step": 9, "epoch": 0, "time": 1, "train/loss": 2.0, "val/like/auc": null}',
        '{"step": 18, "epoch": 1, "time": 1, "train/loss": 1.5, "conflict/like~rating": -0.25}',
        '{"step": 9, "epoch": 0, "time": 2, "train/loss": 1.9, "test/like/auc": 0.5}',
        "[1, 2]",
        '{"step": 27, "epoch": 2, "time": 2, "train/lo',
    ]
    path.write_text("\n".join(lines))
    assert read_curves(path) == {"train/loss": [(1, 1.9), (2, 1.5)], "conflict/like~rating": [(2, -0.25)]}
    assert read_curves(tmp_path / "absent.jsonl") == {}


def test_tasks_that_share_nothing_have_a_best_epoch_each(make_run) -> None:
    best = {"like": {"score": 0.5, "epoch": 0}, "rating": {"score": 0.1, "epoch": 1}}
    run = read_run(make_run("a", record={"best": best}))
    assert run.val["like/auc"] == run.curves["val/like/auc"][0][1]
    assert run.val["rating/rmse"] == run.curves["val/rating/rmse"][1][1]
    assert run.val["score"] == pytest.approx(0.3)
    undefined = {"like": {"score": None, "epoch": 0}, "rating": {"score": 0.1, "epoch": 1}}
    assert "score" not in read_run(make_run("b", record={"best": undefined})).val


def test_a_run_that_says_running_is_killed_unless_somebody_holds_it(make_run) -> None:
    folder = make_run("a", state="running")
    assert read_run(folder).state == "killed"
    with RunFolder(folder).hold():
        assert read_run(folder).state == "running"
    assert read_run(folder).value("like/auc") is None


def test_an_older_run_tells_its_members_by_its_command_line_and_its_classes(make_run) -> None:
    run = read_run(make_run("a", "model=hard_sharing", "optimizer=adamw", old=True))
    assert not run.knows_choices
    assert {run.choices[group] for group in ("model", "optimizer", "data", "backbone")} == {
        "hard_sharing",
        "adamw",
        "movielens_100k",
        "fm",
    }
    assert "callbacks" not in run.choices


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "it has no run.json"),
        ('{"state": "do', "cannot be read"),
        ("[]", "is not a run's record"),
        ('{"config": {}}', "it has no state"),
        (
            '{"state": "done", "main_metrics": {"like": {}}}',
            "is not a run's record: some of it is of no kind that runs write",
        ),
        ('{"state": "done", "floors": 3}', "is not a run's record: some of it is of no kind that runs write"),
    ],
)
def test_a_damaged_run_is_told_and_left_out(tmp_path: Path, make_run, text: str | None, says: str) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    if text is not None:
        (bad / "run.json").write_text(text)
    runs, notes = read_runs([bad, make_run("good")])
    assert [run.folder.name for run in runs] == ["good"]
    assert len(notes) == 1
    assert notes[0].startswith("left out: ")
    assert says in notes[0]
    assert "bad" in notes[0]


def test_runs_come_in_the_order_of_their_sweep(make_run) -> None:
    folders = [make_run(f"job-{n}", sweep={"folder": "s", "number": n}, created="2026") for n in (10, 2, 1)]
    assert [run.folder.name for run in read_runs(folders)[0]] == ["job-1", "job-2", "job-10"]


class TestFinding:
    def test_the_latest_multirun_else_all_runs(self, tmp_path: Path, make_run) -> None:
        logs = tmp_path / "logs/train"
        with pytest.raises(RunError, match=r"no runs in .*; train some"):
            find_runs(None, logs)
        alone = make_run("alone")
        assert find_runs(None, logs)[:2] == ([alone], None)
        make_run("a", under=logs / "multiruns/zz", created="2026-01-01")
        later = make_run("a", under=logs / "multiruns/early_name", created="2026-01-02")
        assert find_runs(None, logs) == ([later], logs / "multiruns/early_name", [])
        assert find_runs("last", logs)[0] == [later]
        assert set(find_runs(str(logs), logs)[0]) == {alone, later, logs / "multiruns/zz/a"}

    def test_folders_patterns_and_what_is_not_there(self, tmp_path: Path, make_run, monkeypatch) -> None:
        under = tmp_path / "logs/train/multiruns/s[1],x=2"
        one, two = make_run("a", under=under), make_run("b", under=under)
        lone = make_run("c")
        (tmp_path / "empty").mkdir()
        logs = tmp_path / "logs/train"
        assert find_runs(str(under), logs) == ([one, two], under, [])
        assert find_runs(f"[{lone}, {lone}]", logs)[0] == [lone]
        assert find_runs(f"{logs}/runs/*", logs)[0] == [lone]
        monkeypatch.chdir(tmp_path)
        found, sweep, missing = find_runs("logs/train/runs/c,nowhere,empty", logs)
        assert (found, sweep) == ([lone], None)
        assert missing == [
            "no runs in nowhere: there is no such folder",
            "no runs in empty: no folder in it has a run.json",
        ]
        with pytest.raises(RunError, match="no runs in nowhere: there is no such folder"):
            find_runs("nowhere", logs)
        with pytest.raises(RunError, match="runs= names nothing"):
            find_runs("[]", logs)

    def test_no_folder_inside_a_run_is_searched(self, tmp_path: Path, make_run) -> None:
        outer = make_run("a")
        make_run("inner", under=outer / "wandb")
        assert find_runs(str(outer.parent), tmp_path)[0] == [outer]


class TestWhere:
    @pytest.fixture
    def runs(self, make_run):
        make = [
            make_run("a", "backbone=fm", seed=1, auc=0.7, tags=["good"]),
            make_run("b", "backbone=mlp", seed=2, settings={"optimizer.lr": 0.01}),
            make_run("c", "backbone=mlp", seed=3, state="failed"),
        ]
        return [read_run(folder) for folder in make]

    @pytest.mark.parametrize(
        ("where", "names"),
        [
            ("backbone = mlp", "bc"),
            ("backbone = mlp and not state = failed", "b"),
            ("optimizer.lr >= 1e-2 or like/auc < 0.75", "ab"),
            ("seed != 2", "ac"),
            ("name = soft_sharing", "abc"),
        ],
    )
    def test_conditions(self, runs, where: str, names: str) -> None:
        assert "".join(run.folder.name for run in keep(runs, where)) == names

    def test_a_tag(self, runs) -> None:
        assert [run.folder.name for run in keep(runs, None, "good")] == ["a"]
        with pytest.raises(ConfigError, match="tag=god: no run has it; the tags are good"):
            keep(runs, None, "god")

    def test_a_key_that_no_run_has(self, runs) -> None:
        with pytest.raises(ConfigError, match=r"where: Unknown key backbon: did you mean backbone\?"):
            keep(runs, "backbon = fm")
        with pytest.raises(ConfigError, match=r"Unknown key lr: did you mean optimizer.lr\?"):
            keep(runs, "lr > 1")


def test_a_record_is_read_whatever_its_config_is(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"state": "failed", "reason": "no"}))
    run = read_run(tmp_path)
    assert (run.state, run.reason, run.choices, run.test) == ("failed", "no", {}, {})
