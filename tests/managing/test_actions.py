"""Tagging, pruning and deleting: asked first, whole or not at all, and nothing that was not meant."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from managing.made_logs import Logs, age
from taskloom.config.find_run import find_run
from taskloom.errors import ConfigError, RunError
from taskloom.managing import deletion
from taskloom.managing.deletion import remove, targets
from taskloom.managing.listing import find
from taskloom.tracking.run_folder import RunFolder

Call = Callable[..., str]
Hold = Callable[..., None]
ROOT = Path(__file__).resolve().parents[2]


def tags(folder: Path) -> list[str]:
    return RunFolder(folder).read().get("tags", [])


def test_tags_are_added_and_removed(logs: Logs, call: Call) -> None:
    a, b, c = logs.run("a", tags=["old"]), logs.run("b"), logs.run("c", "failed")
    before = (c / "run.json").read_bytes()
    assert (
        call("state=done", "add_tag=good,first", "remove_tag=old") == "+good +first -old: 2 runs changed of 2 picked\n"
    )
    assert tags(a) == tags(b) == ["good", "first"]
    assert (c / "run.json").read_bytes() == before
    assert call("tag=first", "add_tag=good") == "+good: 0 runs changed of 2 picked\n"
    call("name=a", "remove_tag=good,first,never")
    assert tags(a) == []
    assert RunFolder(a).read()["test"] == {"like/auc": 0.8, "rating/rmse": 0.7}


def test_a_running_job_and_a_person_write_at_once(logs: Logs) -> None:
    """Neither takes the other's words away."""
    from taskloom.managing.tags import change_tags

    folder = logs.run("a", "running")
    (run,) = find(logs.folder).runs

    def work() -> None:
        for k in range(100):
            RunFolder(folder).update(**{f"key{k}": k})

    job = threading.Thread(target=work)
    job.start()
    for k in range(100):
        change_tags([run], [f"tag{k}"], [])
    job.join()
    record = RunFolder(folder).read()
    assert record["tags"] == [f"tag{k}" for k in range(100)]
    assert [record[f"key{k}"] for k in range(100)] == list(range(100))


def test_a_run_that_cannot_be_tagged_is_told_and_the_others_are(logs: Logs, call: Call) -> None:
    a, b = logs.run("a"), logs.run("b")
    (a / "run.json").write_text("{")
    text = call("name=*", "add_tag=good", code=1)
    assert "+good: 1 run changed of 2 picked" in text
    assert "logs/train/runs/a: " in text
    assert tags(b) == ["good"]


def test_deleting_in_a_script(logs: Logs, call: Call) -> None:
    keep, go = logs.run("keep"), logs.run("go", "failed")
    text = call("state=failed", "delete=true", "yes=true")
    assert "to delete, " in text
    assert "logs/train/runs/go" in text
    assert "failed hard_sharing films optimizer.lr=0.01" in text
    assert "deleted 1 of 1, " in text
    assert not go.exists()
    assert [path.name for path in keep.parent.iterdir()] == ["keep"]  # the trash is gone too
    assert call("state=failed", "delete=true", "yes=true") == "nothing to delete\n"


def test_without_a_terminal_nothing_is_deleted(logs: Logs, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.run("a")
    before = logs.files()
    with Path(os.devnull).open() as closed:
        pass
    for stdin in (None, closed):
        monkeypatch.setattr(sys, "stdin", stdin)
        for action in ("delete=true", "prune=checkpoints"):
            with pytest.raises(ConfigError, match="there is no terminal to ask in: add yes=true"):
                call("name=a", action)
    assert logs.files() == before


@pytest.mark.parametrize(
    ("answer", "code", "says", "gone"),
    [
        (b"yes\n", 0, "deleted 1 of 1", True),
        (b"y\n", 1, "nothing was deleted", False),
        (b"\n", 1, "nothing was deleted", False),
        (b"\x04", 1, "nothing was deleted", False),  # Ctrl-D
        (b"\x03", 130, "interrupted", False),  # Ctrl-C
    ],
)
def test_a_person_is_asked(logs: Logs, answer: bytes, code: int, says: str, gone: bool) -> None:
    folder = logs.run("a")
    before = logs.files()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the tests may run where it is ignored
        command = [sys.executable, "src/runs.py", f"paths.root={logs.root}", "name=a", "delete=true"]
        os.execv(sys.executable, command)
    seen = b""
    asked = False
    while True:
        if not select.select([terminal], [], [], 5)[0]:
            # A Ctrl-C between Python's look at signals and its read is seen when the read returns: one types again.
            if asked and answer == b"\x03":
                os.write(terminal, answer)
            continue
        try:
            part = os.read(terminal, 4096)
        except OSError:  # it has ended
            break
        if not part:
            break
        seen += part
        if not asked and b"Type yes: " in seen:
            asked = True
            os.write(terminal, answer)
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    assert asked
    assert os.waitstatus_to_exitcode(status) == code
    assert says in seen.decode()
    assert folder.exists() is not gone
    assert gone or logs.files() == before


def test_who_is_alive_stays(logs: Logs, call: Call, hold: Hold) -> None:
    alive, dead = logs.run("alive", "running"), logs.run("dead", "running")
    hold(alive)
    (logs.folder / "train/runs/new").mkdir()
    text = call("name=*", "delete=true", "yes=true")
    assert "left alone: logs/train/runs/alive: it is running" in text
    assert "left alone: logs/train/runs/new: it is starting" in text
    assert alive.exists()
    assert not dead.exists()


def test_a_run_that_came_alive_since_it_was_listed_stays(logs: Logs, hold: Hold) -> None:
    run, job = logs.run("a", "failed"), logs.run("b", "failed", sweep="grid")
    (job / ".claim").touch()
    (logs.run("c", "failed", sweep="grid") / "note").touch()
    found = find(logs.folder)
    go, _ = targets(found, found.runs, logs.folder)
    assert {target.folder.name for target in go} == {"a", "grid"}
    hold(run)
    hold(job, ".claim")
    before = logs.files()
    for target in go:
        with pytest.raises(RunError, match=r"is still running in another process|is being worked on by a sweep"):
            remove(target)
    assert logs.files() == before


def test_a_sweep_goes_as_a_whole_where_all_of_it_is_meant(logs: Logs, call: Call, hold: Hold) -> None:
    for name in ("all", "some", "busy"):
        logs.sweep(name, {"seed-1": "done", "seed-2": "failed", "seed-3": None})
    multiruns = logs.folder / "train/multiruns"
    assert "sweep with 3 jobs" in call("name=all", "delete=true", "yes=true")
    assert not (multiruns / "all").exists()
    call("name=some", "state=failed", "delete=true", "yes=true")
    assert sorted(path.name for path in (multiruns / "some").iterdir()) == ["ledger.jsonl", "seed-1", "sweep.json"] or (
        sorted(path.name for path in (multiruns / "some").iterdir())
        == [".lock", "ledger.jsonl", "seed-1", "sweep.json"]
    )
    hold(multiruns / "busy/seed-1")
    (multiruns / "busy/seed-1/run.json").write_text(json.dumps({"state": "running"}))
    text = call("name=busy", "delete=true", "yes=true")
    assert "left alone: logs/train/multiruns/busy: its job seed-1 is running" in text
    assert (multiruns / "busy/seed-2").exists()


def test_links_out_of_the_logs_are_not_followed(logs: Logs, call: Call) -> None:
    outside = Logs(logs.root / "disk")
    far, data = outside.run("far"), logs.root / "precious"
    data.mkdir()
    (data / "file").write_text("kept")
    (logs.folder / "train/runs").mkdir(parents=True)
    (logs.folder / "train/runs/far").symlink_to(far)
    inside = logs.run("inside")
    (inside / "link").symlink_to(data)
    (inside / "checkpoints" / "more").symlink_to(data)
    text = call("name=*", "delete=true", "yes=true")
    assert f"left alone: logs/train/runs/far: it is a link to {far}" in text
    assert not inside.exists()
    assert far.exists()
    assert (data / "file").read_text() == "kept"
    (logs.folder / "debug").symlink_to(outside.folder / "train")
    assert "it lies outside" in call("debug=true", "name=far", "delete=true", "yes=true")
    assert far.exists()


@pytest.mark.parametrize("step", ["before the name changes", "after it", "in the middle"])
def test_a_deletion_that_is_killed_leaves_a_run_whole_or_none(logs: Logs, call: Call, step: str) -> None:
    logs.run("a")
    before = logs.files()
    how = {
        "before the name changes": "os.rename = strike",
        "after it": "shutil.rmtree = strike",
        "in the middle": "unlink = os.unlink; os.unlink = lambda *a, **k: (unlink(*a, **k), strike())",
    }[step]
    script = (
        "import os, shutil, signal, sys\n"
        "def strike(*a, **k): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{how}\n"
        "sys.path.insert(0, 'src')\nimport runs\nruns.main()\n"
    )
    command = [sys.executable, "-c", script, f"paths.root={logs.root}", "name=a", "delete=true", "yes=true"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    if step == "before the name changes":
        assert {name: text for name, text in logs.files().items() if name in before} == before
        assert find_run("last", logs.folder / "train", ("done",)).name == "a"
        return
    with pytest.raises(RunError, match="no run in"):  # nobody takes what is left for a run
        find_run("last", logs.folder / "train", ("done",))
    assert find(logs.folder).runs == []
    assert "left by an interrupted deletion" in call() or "no run in" in call()
    assert "freed 1 of 1" in call("prune=leftovers", "yes=true")
    assert logs.files() == {}
    assert list((logs.folder / "train/runs").iterdir()) == []


def test_a_folder_that_vanished_since_it_was_listed(logs: Logs) -> None:
    logs.run("a")
    logs.run("b")
    found = find(logs.folder)
    go, _ = targets(found, found.runs, logs.folder)
    shutil.rmtree(go[0].folder)
    assert [remove(target) for target in go] == [False, True]


def test_what_may_not_be_written_to_is_left_whole(logs: Logs, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = logs.run("a"), logs.run("b")
    before = {name: text for name, text in logs.files().items() if "/a/" in name}
    access = os.access
    monkeypatch.setattr(
        deletion.os, "access", lambda path, how: str(path) != str(folder / "checkpoints") and access(path, how)
    )
    text = call("name=a,b", "delete=true", "yes=true", code=1)
    assert "logs/train/runs/a/checkpoints may not be written to; nothing of it was deleted" in text
    assert "deleted 1 of 2" in text
    assert {name: text for name, text in logs.files().items() if "/a/" in name} == before
    assert not other.exists()


def test_pruning_checkpoints_keeps_the_numbers(logs: Logs, call: Call) -> None:
    done, failed = logs.run("done"), logs.run("failed", "failed")
    text = call("name=*", "prune=last", "yes=true")
    assert "left alone: logs/train/runs/failed: it is failed, and goes on from its checkpoints" in text
    assert "freed 1 of 1, 1.0 KB" in text
    assert [path.name for path in (done / "checkpoints").iterdir()] == ["best.ckpt"]
    call("name=done", "prune=checkpoints", "yes=true")
    assert list((done / "checkpoints").iterdir()) == []
    assert [path.name for path in (failed / "checkpoints").iterdir()] == ["last.ckpt"]
    record = RunFolder(done).read()
    assert record["freed"] == ["best.ckpt", "last.ckpt"]
    assert record["test"]["like/auc"] == 0.8
    (run,) = json.loads(call("name=done", "format=json"))["runs"]
    assert run["problems"] == []  # what a person took away is not missing
    assert call("name=done", "prune=checkpoints", "yes=true") == "nothing to free\n"


def test_pruning_leftovers_leaves_runs_alone(logs: Logs, call: Call, hold: Hold) -> None:
    alive, dead = logs.run("alive", "running"), logs.run("dead", "running")
    for folder in (alive, dead):
        (folder / "checkpoints/.last.ckpt.0123abcd.part").write_bytes(b"x" * 2000)
        (folder / "checkpoints/.last.ckpt.part").write_bytes(b"not ours")
        age(folder, 3600)
    hold(alive)
    before = logs.files()
    assert "freed 1 of 1, 2.0 KB" in call("prune=leftovers", "yes=true")
    gone = set(before) - set(logs.files())
    assert gone == {"logs/train/runs/dead/checkpoints/.last.ckpt.0123abcd.part"}


def test_what_wandb_has_not_got_is_told(logs: Logs, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sent", "unsent"):
        folder = logs.run(name, wandb={"mode": "offline", "dir": "wandb/offline-run-1"}) / "wandb/offline-run-1"
        folder.mkdir(parents=True)
        (folder / "run-1.wandb").touch()
        if name == "sent":
            (folder / "run-1.wandb.synced").touch()
    assert "W&B has not got 1 of these runs yet" in call("name=*", "delete=true", "yes=true")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["name=a", "delete=true", "add_tag=x"], "delete=true and tags: one thing at a time"),
        (["name=a", "delete=true", "prune=last"], "one thing at a time"),
        (["delete=true", "limit=3"], "limit shortens a list"),
        (["name=a", "delete=true", "format=json"], "format=json is for listing"),
        (["delete=true", "yes=true"], "name='\\*' is all of them"),
        (["prune=last", "yes=true"], "name='\\*' is all of them"),
    ],
)
def test_actions_that_could_be_a_mistake(logs: Logs, call: Call, arguments: list[str], message: str) -> None:
    logs.run("a")
    before = logs.files()
    with pytest.raises(ConfigError, match=message):
        call(*arguments)
    assert logs.files() == before
