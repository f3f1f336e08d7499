"""The ledger: jobs known by their overrides, states that no process has to remember, claims."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from taskloom.errors import RunError
from taskloom.sweeping.ledger import CLAIM, Ledger
from taskloom.tracking.run_folder import RunFolder


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger.create(tmp_path / "sweep", ["seed=1,2"], "grid")
    ledger.add([("seed-1", ["seed=1"], "seed=1"), ("seed-2", ["seed=2"], "seed=2")])
    return ledger


def test_a_job_is_known_by_its_overrides_in_any_order(ledger: Ledger) -> None:
    ledger.add([("x", ["a=1", "b=2"], "a=1 b=2")])
    same, new = ledger.add([("y", ["b=2", "a=1"], "b=2 a=1"), ("x", ["a=2", "b=2"], "a=2")], ["a=1,2"])
    assert (same.number, same.name) == (2, "x")
    assert (new.number, new.name) == (3, "x_2")
    assert ledger.overrides == ["a=1,2"]
    assert [job.name for job in Ledger.open(ledger.path).jobs] == ["seed-1", "seed-2", "x", "x_2"]


def test_states(ledger: Ledger) -> None:
    job = ledger.jobs[0]
    assert ledger.state(job) == "pending"
    ledger.log(job, "started")
    assert ledger.state(job) == "pending"
    ledger.log(job, "failed", "no data")
    assert (ledger.state(job), ledger.reason(job)) == ("failed", "no data")
    run = RunFolder.create(ledger.folder(job), {})
    assert ledger.state(job) == "killed"
    with run.hold():
        assert ledger.state(job) == "running"
    with ledger.claim(job) as mine:
        assert mine
        assert ledger.state(job) == "running"
    run.update(state="failed", reason="why not")
    assert (ledger.state(job), ledger.reason(job)) == ("failed", "why not")
    run.update(state="done")
    assert ledger.state(job) == "done"
    run.file.write_text("{")
    assert ledger.state(job) == "failed"
    assert "cannot be read" in ledger.reason(job)
    assert ledger.state(ledger.jobs[1]) == "pending"


def test_a_claim_is_one_process_s_and_ends_with_it(ledger: Ledger) -> None:
    job = ledger.jobs[0]
    code = (
        "import sys; from taskloom.sweeping.ledger import Ledger\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "with ledger.claim(ledger.jobs[0]) as mine:\n"
        "    print(mine, flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(ledger.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    with ledger.claim(job) as mine:
        assert not mine
    assert ledger.state(job) == "running"
    with ledger.claim(ledger.jobs[1]) as mine:
        assert mine
    other.kill()
    other.communicate()
    with ledger.claim(job) as mine:
        assert mine
    assert ledger.state(job) == "pending"


def test_who_only_looks_does_not_take_a_claim_away(ledger: Ledger) -> None:
    job = ledger.jobs[0]
    ledger.folder(job).mkdir()
    (ledger.folder(job) / CLAIM).touch()
    with (ledger.folder(job) / CLAIM).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        fcntl.flock(looking, fcntl.LOCK_UN)
        with ledger.claim(job) as mine:
            assert mine


def test_the_diary_survives_a_torn_line(ledger: Ledger) -> None:
    first, second = ledger.jobs
    ledger.log(first, "started")
    with (ledger.path / "ledger.jsonl").open("a") as file:
        file.write('{"time": "2026')
    ledger.log(second, "failed", "it\nbroke")
    assert [(e["job"], e["event"], e.get("reason")) for e in ledger.events()] == [
        ("seed-1", "started", None),
        ("seed-2", "failed", "it\nbroke"),
    ]
    assert ledger.last_event(first)["event"] == "started"  # type: ignore[index]


def test_a_folder_has_one_sweep(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds a sweep: go on with it by resume="):
        Ledger.create(ledger.path, [], "grid")
    with pytest.raises(RunError, match=r"is no sweep: it has no sweep\.json"):
        Ledger.open(tmp_path)
    ledger.file.write_text("[]")
    with pytest.raises(RunError, match="is not a sweep's record"):
        Ledger.open(ledger.path)
    ledger.file.write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        Ledger.open(ledger.path)


@pytest.mark.parametrize(
    "record",
    [
        '{"kind": "grid"}',
        '{"kind": "grid", "overrides": [], "jobs": [{"name": "a"}]}',
        '{"kind": "grid", "overrides": "seed=1", "jobs": []}',
        '{"kind": "other", "overrides": [], "jobs": []}',
    ],
)
def test_a_record_that_lacks_something_is_told(ledger: Ledger, record: str) -> None:
    ledger.file.write_text(record)
    with pytest.raises(RunError, match="is not a sweep's record"):
        Ledger.open(ledger.path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"sweep cannot be written \(Not a directory\)"):
        Ledger.create(tmp_path / "file" / "sweep", [], "grid")
