"""One run and many: folders, failures, the table, the exit code."""

import csv
import json
import re
from pathlib import Path

import pytest

from taskloom.config.command import run_command
from taskloom.errors import DataError


def folders(conf: Path, pattern: str) -> list[Path]:
    return sorted(path.parent for path in (conf.parent / "logs").glob(f"{pattern}/run.json"))


def test_one_run(conf: Path, job) -> None:
    assert run_command("train", ["seed=7"], conf) == 0
    (folder,) = folders(conf, "train/runs/*")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-\d{3}", folder.name)
    assert job.calls[0][1]["seed"] == 7
    assert not list(folder.glob("*.log"))


def test_a_sentence_alone_for_what_a_person_can_put_right(conf: Path, job, capsys) -> None:
    def fail(config) -> None:
        raise DataError("the file is torn")

    job.failing = fail
    assert run_command("train", [], conf) == 1
    assert capsys.readouterr().err == "the file is torn\n"


def test_a_traceback_for_a_defect(conf: Path, job, capsys) -> None:
    job.failing = lambda config: 1 / 0
    assert run_command("train", [], conf) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.endswith("ZeroDivisionError: division by zero\n")
    assert "HYDRA_FULL_ERROR" not in printed


def test_a_failing_job_does_not_stop_the_others(conf: Path, job, capsys) -> None:
    def fail(config) -> None:
        if (config["name"], config["seed"]) == ("far", 2):
            raise ValueError("no luck\nat all")

    job.failing = fail
    assert run_command("train", ["model=near,far", "seed=1,2", "-m"], conf) == 1
    assert len(job.calls) == 4
    jobs = folders(conf, "train/multiruns/*/*")
    assert [path.name for path in jobs] == [f"model-{m}_seed-{s}" for m in ("far", "near") for s in (1, 2)]
    printed = capsys.readouterr()
    rows = [" ".join(line.split()) for line in printed.out.splitlines()]
    assert "near 2 0.7150 ± 0.0050* 0.8000 ± 0.0000* 0.7000 ± 0.0000*" in rows
    assert "far 1 of 2 0.6100? 0.9000? 0.6000?" in rows  # one seed: nothing can be said of noise
    assert "floor: constant 0.5000 1.1000 –" in rows
    assert "failed: model=far seed=2: ValueError: no luck at all" in printed.err
    assert str(jobs[1]) in printed.err
    assert "1 of 4 jobs failed" in printed.err
    assert printed.err.count("Traceback") == 1


def test_the_table_is_kept(conf: Path, job) -> None:
    assert run_command("train", ["-m", "model=near,far", "seed=1,2"], conf) == 0
    sweep = folders(conf, "train/multiruns/*/*")[0].parent
    summary = json.loads((sweep / "summary.json").read_text())
    assert summary["higher_is_better"] == {"like/auc": True, "rating/rmse": False, "val/score": True}
    assert summary["rows"][0]["settings"] == {"model": "near"}
    assert summary["rows"][0]["metrics"]["like/auc"]["values"] == [0.71, 0.72]
    with (sweep / "summary.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["model"] for line in lines] == ["near", "far", ""]
    assert float(lines[1]["like/auc mean"]) == pytest.approx(0.615)


def test_ctrl_c_stops_the_sweep_and_prints_what_is_there(conf: Path, job, capsys) -> None:
    def stop(config) -> None:
        if config["seed"] == 2:
            raise KeyboardInterrupt

    job.failing = stop
    assert run_command("train", ["-m", "seed=1,2,3"], conf) == 130
    assert len(job.calls) == 2
    printed = capsys.readouterr()
    assert "0.7100" in printed.out
    assert "interrupted: 2 of 3 jobs are left" in printed.err
    assert "failed" not in printed.err
    assert "Traceback" not in printed.err


def test_ctrl_c_in_one_run_says_how_to_go_on(conf: Path, job, capsys) -> None:
    def stop(config) -> None:
        raise KeyboardInterrupt

    job.failing = stop
    assert run_command("train", [], conf) == 130
    (folder,) = folders(conf, "train/runs/*")
    assert capsys.readouterr().err == f"interrupted; to go on: python src/train.py resume={folder}\n"


def test_folders_are_named_after_what_sets_jobs_apart(conf: Path, job, capsys) -> None:
    assert run_command("train", ["-m", "tasks=[like]", "seed=1,2", "trainer=cpu"], conf) == 0
    assert [path.name for path in folders(conf, "train/multiruns/*/*")] == ["seed-1", "seed-2"]
    assert "job 2 of 2: seed=2\n" in capsys.readouterr().out


def test_any_override_makes_a_name_that_every_file_system_takes(conf: Path, job) -> None:
    values = ",".join(f"'{letter}{'/ ' * 80}é:'" for letter in "ab")
    assert run_command("train", ["-m", f"debug_mode={values}"], conf) == 0
    names = [path.name for path in (conf.parent / "logs/train/multiruns").glob("*/*") if path.is_dir()]
    assert len(names) == 2
    assert all(len(name) < 120 and re.fullmatch(r"[\w.-]+", name) for name in names)
