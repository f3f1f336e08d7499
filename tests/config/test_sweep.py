"""Going on with a sweep: what is done stays, what is not is done, and what is new is added."""

import json
from pathlib import Path

import pytest

from taskloom.config.command import run_command
from taskloom.errors import ConfigError, RunError
from taskloom.sweeping.launchers.serial import SerialLauncher
from taskloom.sweeping.ledger import Ledger
from taskloom.tracking.run_folder import RunFolder

SWEEP = ["-m", "model=near,far", "seed=1,2"]


def ledger(conf: Path) -> Ledger:
    (file,) = (conf.parent / "logs/train/multiruns").glob("*/sweep.json")
    return Ledger.open(file.parent)


def states(conf: Path) -> list[str]:
    its = ledger(conf)
    return [its.state(job) for job in its.jobs]


def fail_in(*points: tuple[str, int], error: type[BaseException] = ValueError):
    def fail(config) -> None:
        if (config["name"], config["seed"]) in points:
            raise error("no luck")

    return fail


def test_jobs_and_where_they_came_from_are_written_down(conf: Path, job) -> None:
    assert run_command("train", SWEEP, conf) == 0
    its = ledger(conf)
    assert [j.label for j in its.jobs] == [f"model={m} seed={s}" for m in ("near", "far") for s in (1, 2)]
    record = RunFolder(its.folder(its.jobs[2])).read()
    assert record["overrides"] == ["model=far", "seed=1"]
    assert record["choices"]["model"] == "far"
    assert record["sweep"] == {"folder": str(its.path), "number": 2, "label": "model=far seed=1"}
    assert [event["event"] for event in its.events()] == ["started", "done"] * 4


@pytest.mark.parametrize("how", ["last", "folder"])
def test_what_failed_is_repeated_and_what_is_done_is_not(conf: Path, job, how: str, capsys) -> None:
    job.failing = fail_in(("far", 1))
    assert run_command("train", SWEEP, conf) == 1
    assert "failed: model=far seed=1: ValueError: no luck" in capsys.readouterr().err
    job.failing = lambda config: None
    job.calls.clear()
    resume = "last" if how == "last" else str(ledger(conf).path)
    assert run_command("train", ["-m", f"resume={resume}"], conf) == 0
    assert job.calls == [("resume", ledger(conf).path / "model-far_seed-1")]
    printed = capsys.readouterr()
    assert "3 done, 1 failed" in printed.out
    assert printed.err == ""
    assert states(conf) == ["done"] * 4


def test_a_killed_job_goes_on_and_one_in_another_process_is_passed_by(conf: Path, job, capsys) -> None:
    assert run_command("train", SWEEP, conf) == 0
    its = ledger(conf)
    for number in (0, 3):
        RunFolder(its.folder(its.jobs[number])).update(state="running")
    job.calls.clear()
    with RunFolder(its.folder(its.jobs[3])).hold():
        assert run_command("train", ["-m", "resume=last"], conf) == 0
    assert job.calls == [("resume", its.folder(its.jobs[0]))]
    assert "1 of 4 jobs are running in another process" in capsys.readouterr().err


def test_after_ctrl_c_the_rest_is_done(conf: Path, job, capsys) -> None:
    job.failing = fail_in(("near", 2), error=KeyboardInterrupt)
    assert run_command("train", SWEEP, conf) == 130
    assert states(conf) == ["done", "failed", "pending", "pending"]
    assert f"to go on: python src/train.py -m resume={ledger(conf).path}" in capsys.readouterr().err
    job.failing = lambda config: None
    assert run_command("train", ["-m", "resume=last"], conf) == 0
    assert states(conf) == ["done"] * 4
    assert [what for what, _ in job.calls] == ["run", "run", "resume", "run", "run"]


def test_more_values_add_jobs(conf: Path, job, capsys) -> None:
    assert run_command("train", SWEEP, conf) == 0
    job.calls.clear()
    assert run_command("train", ["-m", "seed=1,2,3", "model=near,far", "resume=last"], conf) == 0
    assert [(config["name"], config["seed"]) for _, config in job.calls] == [("near", 3), ("far", 3)]
    assert len(ledger(conf).jobs) == 6
    summary = json.loads((ledger(conf).path / "summary.json").read_text())
    assert [row["n"] for row in summary["rows"][:2]] == [3, 3]


def test_a_job_whose_config_is_another_now_begins_anew(conf: Path, job, capsys) -> None:
    job.failing = fail_in(("far", 1))
    assert run_command("train", SWEEP, conf) == 1
    job.failing = lambda config: None
    far = conf / "model" / "far.yaml"
    far.write_text(far.read_text().replace("strength: 1", "strength: 2"))
    assert run_command("train", ["-m", "resume=last"], conf) == 0
    what, config = job.calls[-1]
    assert (what, config["model"]["strength"]) == ("run", 2)
    printed = capsys.readouterr().out
    assert "1 of the jobs that are done were made with other settings" in printed
    assert "(model=far seed=2)" in printed
    (aside,) = ledger(conf).path.glob(".earlier/*")
    assert json.loads((aside / "run.json").read_text())["reason"] == "ValueError: no luck"


def test_a_record_that_is_damaged_is_put_aside(conf: Path, job, capsys) -> None:
    assert run_command("train", ["-m", "seed=1,2"], conf) == 0
    (ledger(conf).path / "seed-1" / "run.json").write_text("{")
    assert run_command("train", ["-m", "resume=last"], conf) == 0
    assert states(conf) == ["done", "done"]
    assert (ledger(conf).path / ".earlier" / "seed-1.1" / "run.json").read_text() == "{"


def test_hydra_s_own_overrides_are_no_part_of_a_job(conf: Path, job) -> None:
    assert run_command("train", [*SWEEP, "hydra.verbose=true"], conf) == 0
    assert all("hydra" not in " ".join(j.overrides) for j in ledger(conf).jobs)
    job.calls.clear()
    assert run_command("train", [*SWEEP, "resume=last"], conf) == 0
    assert job.calls == []


def test_a_folder_of_one_s_own(conf: Path, job, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "it's a study, no 1"
    place = str(folder).replace("'", "\\'")
    assert run_command("train", ["-m", "seed=1,2", f"hydra.sweep.dir='{place}'"], conf) == 0
    assert [j.name for j in Ledger.open(folder).jobs] == ["seed-1", "seed-2"]
    assert (folder / "seed-2" / "run.json").exists()
    assert run_command("train", ["-m", "seed=1,2", f"hydra.sweep.dir='{place}'"], conf) == 1
    assert "holds a sweep: go on with it by resume=" in capsys.readouterr().err
    assert run_command("train", ["-m", f"resume={folder}"], conf) == 0


def test_a_sweep_is_not_a_run(conf: Path, job, capsys) -> None:
    assert run_command("train", ["-m", "seed=1,2"], conf) == 0
    assert run_command("train", [f"resume={ledger(conf).path}"], conf) == 2
    assert "is a sweep of several runs: add -m" in capsys.readouterr().err
    assert run_command("evaluate", [f"run={ledger(conf).path}"], conf) == 2
    assert "name one of its jobs" in capsys.readouterr().err


def test_another_launcher_takes_none_of_the_settings_of_the_one_before(conf: Path, job, capsys) -> None:
    job.failing = fail_in(("far", 1))
    assert run_command("train", SWEEP, conf) == 1
    job.failing = lambda config: None
    file = ledger(conf).file
    record = json.loads(file.read_text())
    record["overrides"] += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.verbose=false"]
    file.write_text(json.dumps(record))
    capsys.readouterr()  # how the first sweep failed
    assert run_command("train", ["-m", "resume=last", "hydra/launcher=serial"], conf) == 0
    assert states(conf) == ["done"] * 4
    assert ledger(conf).overrides == [*SWEEP[1:], "hydra.verbose=false", "hydra/launcher=serial"]
    assert capsys.readouterr().err == ""


def test_the_same_launcher_named_again_keeps_its_settings(conf: Path, job) -> None:
    assert run_command("train", SWEEP, conf) == 0
    its = ledger(conf)
    recorded = [*SWEEP[1:], "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.launcher.threads=1"]
    its.add([], recorded)
    again = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    assert run_command("train", ["-m", "resume=last", *again], conf) == 0
    assert ledger(conf).overrides == [*SWEEP[1:], "hydra.launcher.threads=1", *again]


@pytest.mark.parametrize(("error", "code"), [(RunError, 1), (ConfigError, 2), (OSError, 1)])
@pytest.mark.parametrize("place", ["setup", "stream"])
def test_what_a_launcher_tells_is_one_sentence(
    conf: Path, job, monkeypatch: pytest.MonkeyPatch, capsys, error: type[Exception], code: int, place: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error("there is no room for a worker")

    monkeypatch.setattr(SerialLauncher, place, refuse)
    assert run_command("train", SWEEP, conf) == code
    printed = capsys.readouterr().err
    first = printed.splitlines()[0]
    assert first.endswith("there is no room for a worker")
    assert first.startswith("the sweep stops, because its folder" if error is OSError else "there")
    assert "Traceback" not in printed
    assert "HYDRA" not in printed


def test_an_interval_in_a_grid_names_the_search(conf: Path, job, capsys) -> None:
    assert run_command("train", ["-m", "optimizer.lr=interval(0.1,0.2)"], conf) == 2
    assert "search it with hydra/sweeper=optuna" in capsys.readouterr().err
    assert not (conf.parent / "logs").exists()


def test_a_plugin_named_from_here_is_no_change_of_settings(
    conf: Path, job, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(conf.parent)
    sweep = ["-m", "plugins=[toys.py]", "seed=1,2"]
    assert run_command("train", sweep, conf) == 0
    assert run_command("train", [*sweep, "resume=last"], conf) == 0
    printed = capsys.readouterr().out
    assert "2 done" in printed
    assert "other settings" not in printed
