"""W&B never stands in the way: no key, no server, a mute server, a dying one, two jobs in one process."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from taskloom.errors import ConfigError, RunError
from taskloom.tracking import wandb_run
from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.wandb_local import folders_to_sync
from taskloom.tracking.wandb_mode import PROBE_SECONDS, decide_mode, has_stored_key, server_answers
from taskloom.tracking.wandb_run import finish, wandb_logger

KEY = {"WANDB_API_KEY": "a" * 40}


def config(**changes: Any) -> dict[str, Any]:
    return {
        "command": "train",
        "name": "soft_sharing",
        "seed": 1,
        "data": {"name": "movielens_100k"},
        "optimizer": {"lr": 1e-3},
        "paths": {"root": "/somewhere"},
        **changes,
    }


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {})


def inspect(directory: Path) -> list[dict[str, Any]]:
    """The rows of an offline run, by W&B's own reader."""
    tool = shutil.which("wandb", path=str(Path(sys.executable).parent))
    assert tool
    done = subprocess.run([tool, "leet", "inspect", "--json", str(directory)], capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("environ", "answers", "stored", "expected"),
    [
        ({}, True, False, "offline"),
        ({}, True, True, "online"),
        ({}, False, True, "offline"),
        (KEY, True, False, "online"),
        (KEY, False, False, "offline"),
        ({"WANDB_IDENTITY_TOKEN_FILE": "token"}, True, False, "online"),
        ({"WANDB_MODE": "offline", **KEY}, True, True, "offline"),
        ({"WANDB_MODE": "dryrun"}, True, True, "offline"),
        ({"WANDB_MODE": "online"}, False, False, "online"),
        ({"WANDB_MODE": "disabled", **KEY}, True, True, "disabled"),
        ({"WANDB_MODE": "", **KEY}, True, True, "online"),
    ],
)
def test_the_mode(environ: dict[str, str], answers: bool, stored: bool, expected: str) -> None:
    assert decide_mode(environ, lambda: answers, lambda: stored) == expected


def test_without_a_key_nobody_asks_the_server() -> None:
    def probe() -> bool:
        raise AssertionError("asked")

    assert decide_mode({}, probe, lambda: False) == "offline"
    assert decide_mode({"WANDB_MODE": "online"}, probe, lambda: False) == "online"


def test_an_unknown_mode_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"WANDB_MODE=onlin: .* use online, offline or disabled"):
        decide_mode({"WANDB_MODE": "onlin"}, lambda: True)


@pytest.mark.usefixtures("_fresh_wandb")
def test_a_key_in_netrc_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not has_stored_key()
    (tmp_path / "netrc").write_text("machine 127.0.0.1:9 login user password " + "b" * 40)
    assert has_stored_key()


def test_a_server_that_answers(wandb_server: Any) -> None:
    assert server_answers(wandb_server.url)


def test_a_refusing_server_is_known_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    began = time.perf_counter()
    assert not server_answers(f"http://127.0.0.1:{port}")
    assert time.perf_counter() - began < PROBE_SECONDS


def test_a_mute_server_is_given_up_in_time() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()  # the system accepts; nobody ever answers
        began = time.perf_counter()
        assert not server_answers(f"http://127.0.0.1:{mute.getsockname()[1]}", seconds=0.5)
        assert 0.4 < time.perf_counter() - began < 10
    assert PROBE_SECONDS == 3


def test_a_server_that_answers_drop_by_drop_is_given_up_in_time() -> None:
    """No single wait is long, so a socket's own timeout never strikes."""
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not over.wait(0.05):
                connection.sendall(b"a")

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        began = time.perf_counter()
        assert not server_answers(f"http://127.0.0.1:{listener.getsockname()[1]}", seconds=0.4)
        assert time.perf_counter() - began < 10
        over.set()
        thread.join()


@pytest.mark.usefixtures("_fresh_wandb")
def test_two_jobs_of_one_process_are_two_offline_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *a: pytest.fail("W&B asked a question"))
    folders = [RunFolder.create(tmp_path / "sweep" / str(i), {}) for i in range(2)]
    for i, folder in enumerate(folders):
        logger = wandb_logger(folder.path, config(), project="taskloom", tags=["mine"])
        assert logger is not None
        for step in range(3):
            logger.log_metrics({"train/loss": 1.0 + i, "epoch": 0}, step=step * 10)
        # The first is left open, as by a job that forgot; the second must not go into it.
    finish(1)
    assert capfd.readouterr() == ("", "")

    records = [folder.read()["wandb"] for folder in folders]
    assert records[0]["id"] != records[1]["id"]
    for i, (folder, record) in enumerate(zip(folders, records, strict=True)):
        assert record["mode"] == "offline"
        assert record["url"] is None
        directory = folder.path / record["dir"]
        assert directory.parent == folder.path / "wandb"
        rows = inspect(directory)
        history = [row["history"]["item"] for row in rows if row["type"] == "history"]
        assert [(h["trainer/global_step"], h["train/loss"]) for h in history] == [(s * 10, 1 + i) for s in range(3)]
        (run,) = [row["run"] for row in rows if row["type"] == "run"]
        assert run["run_id"] == record["id"]
        assert run["config"]["update"]["optimizer"] == {"lr": 1e-3}
        assert "paths" not in run["config"]["update"]
        assert run["tags"] == ["movielens_100k", "soft_sharing", "mine"]
        assert (run["project"], run["job_type"], run["display_name"]) == (
            "taskloom",
            "train",
            "soft_sharing seed 1",
        )
    assert [
        row["exit"]["exit_code"] for row in inspect(folders[1].path / records[1]["dir"]) if row["type"] == "exit"
    ] == [1]


@pytest.mark.usefixtures("_fresh_wandb")
def test_a_resumed_run_goes_on_under_its_id_and_a_seed_keeps_the_group(folder: RunFolder, tmp_path: Path) -> None:
    runs = []
    for where, changes in [(folder, {}), (folder, {}), (RunFolder.create(tmp_path / "b", {}), {"seed": 2})]:
        logger = wandb_logger(where.path, config(**changes), project="taskloom")
        assert logger is not None
        runs.append((logger.experiment.id, logger.experiment.group))
        finish(0)
    other = wandb_logger(RunFolder.create(tmp_path / "c", {}).path, config(optimizer={"lr": 0.1}), project="taskloom")
    assert other is not None
    assert runs[0] == runs[1]
    assert runs[2][0] != runs[0][0]
    assert runs[2][1] == runs[0][1]
    assert other.experiment.group != runs[0][1]


def test_disabled_is_no_logger(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_logger(folder.path, config(), project="taskloom") is None
    assert "wandb" not in folder.read()


def test_a_folder_without_a_run_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run\.json"):
        wandb_logger(tmp_path, config(), project="taskloom")


@pytest.mark.usefixtures("_fresh_wandb")
def test_online_without_a_key_asks_nothing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    logger = wandb_logger(folder.path, config(), project="taskloom")
    assert logger is not None
    assert logger.experiment.offline
    assert capfd.readouterr().err == ("W&B: there is no key (`wandb login` stores one), so this run is kept offline\n")


@pytest.mark.usefixtures("_fresh_wandb")
def test_a_server_that_dies_during_the_run_neither_raises_nor_hangs(
    folder: RunFolder,
    tmp_path: Path,
    wandb_server: Any,
    run_wandb: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", wandb_server.url)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setattr(wandb_run, "FINISH_SECONDS", 2)
    first = RunFolder.create(tmp_path / "first", {})
    logger = wandb_logger(first.path, config(), project="taskloom")
    assert logger is not None
    logger.log_metrics({"train/loss": 0.5}, step=10)
    finish(0)
    record = first.read()["wandb"]
    assert record["mode"] == "online"
    assert record["url"].startswith(wandb_server.url)
    assert [row["train/loss"] for row in wandb_server.history[record["id"]]] == [0.5]
    assert wandb_server.unknown == []
    assert capfd.readouterr() == ("", "")

    logger = wandb_logger(folder.path, config(seed=2), project="taskloom")
    assert logger is not None
    assert not logger.experiment.offline
    wandb_server.die()
    capfd.readouterr()
    for step in range(100):
        logger.log_metrics({"train/loss": 0.5}, step=step)
    began = time.perf_counter()
    finish(0)
    assert time.perf_counter() - began < 30
    directory = folder.path / folder.read()["wandb"]["dir"]
    (command,) = re.findall("`(wandb .*)`", capfd.readouterr().err)
    words = shlex.split(command)
    assert words[1:] == ["sync", "--include-online", str(directory)]
    assert "Would sync 1 run" in run_wandb(*words[1:], "--dry-run").stderr
    assert sum(row["type"] == "history" for row in inspect(directory)) == 100

    third = RunFolder.create(tmp_path / "third", {})
    logger = wandb_logger(third.path, config(seed=3), project="taskloom")
    assert logger is not None
    assert logger.experiment.offline


@pytest.mark.usefixtures("_fresh_wandb")
def test_a_start_that_fails_falls_back_to_offline(
    folder: RunFolder, wandb_server: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wandb_server, "answer", lambda *a: {"errors": [{"message": "no such user"}]})
    monkeypatch.setenv("WANDB_BASE_URL", wandb_server.url)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    logger = wandb_logger(folder.path, config(), project="taskloom")
    assert logger is not None
    assert logger.experiment.offline
    assert folder.read()["wandb"]["mode"] == "offline"
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("W&B: it did not start (")
    assert lines[0].endswith("this run is kept offline")


def test_no_start_at_all_is_no_logger(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    def broken(**options: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(wandb, "init", broken)
    assert wandb_logger(folder.path, config(), project="taskloom") is None
    assert "no space left on device); this run goes without it" in capsys.readouterr().err


@pytest.mark.usefixtures("_fresh_wandb")
def test_a_service_that_died_costs_one_line(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = wandb_logger(folder.path, config(), project="taskloom")
    assert logger is not None

    def broken(*values: Any, **options: Any) -> None:
        raise BrokenPipeError("service is gone")

    monkeypatch.setattr(type(logger.experiment), "log", broken)
    for step in range(3):
        logger.log_metrics({"train/loss": 1.0}, step=step)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["W&B: it takes no more values (BrokenPipeError: service is gone); metrics.jsonl has them all"]


def test_finish_without_a_run_is_nothing() -> None:
    finish(0)


@pytest.mark.usefixtures("_fresh_wandb")
def test_an_empty_mode_is_none(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "")
    logger = wandb_logger(folder.path, config(), project="taskloom")
    assert logger is not None
    assert logger.experiment.offline


@pytest.mark.usefixtures("_fresh_wandb")
def test_a_job_of_a_sweep_that_was_moved_is_linked_where_it_is(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "moved" / "seed-1", {"sweep": {"folder": str(tmp_path / "before")}})
    assert wandb_logger(folder.path, config(), project="taskloom") is not None
    finish(0)
    record = folder.read()
    (link,) = (tmp_path / "moved" / ".wandb").iterdir()
    assert link.resolve() == folder.path / record["wandb"]["dir"]
    assert folders_to_sync([(folder.path, record)]) == [tmp_path / "moved" / ".wandb"]
    alone = {key: value for key, value in record.items() if key != "sweep"}
    assert folders_to_sync([(folder.path, alone)]) == [folder.path / "wandb"]


@pytest.mark.usefixtures("_fresh_wandb")
@pytest.mark.parametrize("kind", ["unix", "tcp", "nonsense"])
def test_a_dead_service_in_the_environment_costs_nothing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    """As another process leaves it to those that it starts, and to whoever takes its environment over."""
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as gone:
        path = tmp_path_factory.mktemp("s") / "s"  # short, as a socket's path must be
        gone.bind(str(path) if kind == "unix" else ("127.0.0.1", 0))
        where = {"unix": f"3-1-unix-{path}", "tcp": f"3-1-tcp-localhost-{gone.getsockname()[-1]}", "nonsense": "?"}
    monkeypatch.setenv("WANDB_SERVICE", where[kind])
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = wandb_logger(folder.path, config(), project="taskloom")
    assert logger is not None
    logger.log_metrics({"train/loss": 1.0}, step=1)
    finish(0)
    assert capsys.readouterr().err == ""
    assert any(row["type"] == "history" for row in inspect(folder.path / folder.read()["wandb"]["dir"]))


@pytest.mark.usefixtures("_fresh_wandb")
def test_a_service_that_answers_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_logger(RunFolder.create(tmp_path / "1", {}).path, config(), project="taskloom") is not None
    finish(0)
    service = os.environ["WANDB_SERVICE"]  # W&B's own word to later starts and to child processes

    def restarted() -> None:
        raise AssertionError("the service was stopped")

    with monkeypatch.context() as patch:
        patch.setattr("wandb.teardown", restarted)
        began = time.perf_counter()
        wandb_run._forget_dead_service()
        assert time.perf_counter() - began < 0.5
        assert wandb_logger(RunFolder.create(tmp_path / "2", {}).path, config(), project="taskloom") is not None
    finish(0)
    assert os.environ["WANDB_SERVICE"] == service
