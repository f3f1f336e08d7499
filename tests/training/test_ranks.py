"""Several ranks by the command itself, by torchrun and by srun: one folder, one voice, any number to go on with."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from taskloom.errors import ConfigError, DataError, RunError
from taskloom.place import Place
from taskloom.tracking.run_folder import RunFolder
from taskloom.training import ranks
from taskloom.training.job import evaluate_job
from taskloom.training.meeting import Meeting, failure
from taskloom.training.rank import STOP
from taskloom.training.ranks import processes
from taskloom.training.rng import restore_rank, rng_state, seed_rank
from taskloom.training.strategy import device_of, lightning_settings

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
QUIET = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


def test_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = {"accelerator": "cpu", "strategy": "ddp", "devices": 3, "num_nodes": 2}
    assert processes(trainer) == 6
    assert processes({**trainer, "strategy": "single"}) == 1
    assert processes({"accelerator": "cpu", "devices": 1}) == 1  # the config of an older run
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert processes({**trainer, "accelerator": "gpu", "devices": "auto", "num_nodes": 1}) == 4
    assert processes({**trainer, "devices": "auto", "num_nodes": 1}) == 1


def test_the_device_of_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    gpu = {"accelerator": "gpu", "strategy": "ddp", "threads": None, "precision": "32-true"}
    place = Place(3, 4, 1, 2, "first", 1)
    assert device_of(gpu, place) == torch.device("cuda", 1)
    assert device_of({**gpu, "accelerator": "cpu"}, place) == torch.device("cpu")
    settings = lightning_settings(gpu, place)
    assert settings["devices"] == [1]
    assert not {"threads", "num_nodes"} & set(settings)
    with pytest.raises(ConfigError, match="4 ranks are on this machine, and PyTorch finds 2 GPUs"):
        device_of(gpu, Place(3, 4, 3, 4, "first", 1))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device_of(gpu, Place(1, 2, 1, 2, "first", 1, by="srun")) == torch.device("cuda", 0)


def test_ranks_draw_their_own_numbers_and_take_them_up_again() -> None:
    before = rng_state()
    states, then = [], []
    for rank in range(2):
        seed_rank(7, rank)
        states.append(rng_state())
        then.append(torch.rand(3))
    assert not torch.equal(*then)
    for rank in (1, 0):
        restore_rank(states, rank)
        assert torch.equal(torch.rand(3), then[rank])
    restore_rank(states, 2)  # one more than before: its own, and the same each time
    new = torch.rand(3)
    assert not any(torch.equal(new, known) for known in then)
    restore_rank(states, 2)
    assert torch.equal(torch.rand(3), new)
    restore_rank([before], 0)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (DataError("the file is torn"), "the file is torn"),
        (ZeroDivisionError("nothing"), "nothing"),
        (torch.OutOfMemoryError("too large"), "OutOfMemoryError: too large"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "odd"), "UnicodeDecodeError: 'utf-8' codec can't decode"),
    ],
)
def test_an_error_is_told_to_the_others(raised: Exception, told: str) -> None:
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    assert failure(store) is None
    meeting = Meeting(Place(1, 2, 1, 2, "127.0.0.1", store.port, hosted=True))
    meeting.report(raised)
    meeting.report(ValueError("the other rank is gone"))  # only the first one counts
    heard = failure(store)
    assert str(heard).startswith(told)
    assert "on rank 1:" in str(heard.__cause__)  # type: ignore[union-attr]
    if "Error: " not in told:
        assert type(heard) is type(raised)


def run(command: list[str], environ: dict[str, str], **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env={**os.environ, **QUIET, **environ},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def task(number: int) -> dict[str, str]:
    """What srun tells one of two tasks."""
    return {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
        "SLURM_NODEID": "0",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURM_STEP_NODELIST": "localhost",
    }


@pytest.mark.slow
def test_tasks_of_srun_have_the_first_ones_folder(small_run: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "src/train.py"), *small_run, "trainer=ddp_cpu", f"paths.logs={tmp_path}"]
    tasks = [run(command, task(number)) for number in range(2)]
    said = [one.communicate(timeout=300) for one in tasks]
    assert [one.returncode for one in tasks] == [0, 0], said
    (folder,) = (tmp_path / "train/runs").iterdir()
    record = RunFolder(folder).read()
    assert (record["state"], record["ranks"]) == ("done", 2)
    assert said[0][0].count("epoch 1/2") == 1
    assert said[1] == ("", "")
    assert evaluate_job(folder)["same"] is True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["trainer=ddp_cpu", "trainer.devices=3"], "srun started 2 processes, but trainer.devices=3"),
        (["trainer=cpu"], "srun started 2 processes, but trainer.strategy=single trains in one"),
        (["trainer=ddp_cpu", "-m", "seed=1,2"], "-m starts jobs one after another, and srun starts 2 processes"),
    ],
)
def test_a_mistake_is_told_once(small_run: list[str], tmp_path: Path, wrong: list[str], sentence: str) -> None:
    command = [sys.executable, str(ROOT / "src/train.py"), *small_run, *wrong, f"paths.logs={tmp_path}"]
    tasks = [run(command, task(number)) for number in range(2)]
    said = [one.communicate(timeout=200) for one in tasks]
    assert [one.returncode for one in tasks] == [2, 1]
    assert sentence in said[0][1]
    assert said[1] == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_torchrun_goes_on_on_another_number_of_ranks(
    small_run: list[str], compose: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    train = [str(ROOT / "src/train.py")]
    folder = RunFolder(tmp_path / "run")
    own = ["method.epochs=3", f"hydra.run.dir={folder.path}", "trainer=ddp_cpu"]
    two = run([*TORCHRUN, "--nproc-per-node=2", *train, *small_run, *own], {})
    out, err = two.communicate(timeout=300)
    assert two.returncode == 0, err
    assert out.count("epoch 1/3") == 1
    # As if it had been killed before its end.
    record = folder.read()
    folder.update(state="running")
    one = run([*TORCHRUN, "--nproc-per-node=1", *train, f"resume={folder.path}"], {})
    out, err = one.communicate(timeout=300)
    assert one.returncode == 0, err
    assert "the run began on 2 ranks and goes on on 1" in out
    assert folder.read()["ranks"] == 1
    assert folder.read()["test"] == pytest.approx(record["test"], rel=1e-5)


@pytest.mark.timeout(120)
def test_a_rank_that_ends_is_noticed_while_the_others_work_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # NCCL waits for a dead rank for ever, so that it is not by the others' errors that its end is seen.
    monkeypatch.setattr(ranks, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(ranks, "LAST_SECONDS", 0.1)
    programs = iter(["import sys; sys.stdin.read()", "raise SystemExit(3)", "import sys; sys.stdin.read()"])
    start = subprocess.Popen

    def rank(command: list[str], **options: Any) -> subprocess.Popen[str]:
        return start([sys.executable, "-c", next(programs)], **options)

    monkeypatch.setattr(ranks.subprocess, "Popen", rank)
    with (tmp_path / "lock").open("w") as lock, pytest.raises(RunError, match="rank 1 of 3 ended: exit code 3"):
        ranks.train_on_ranks(tmp_path, 3, lock.fileno(), None)


HALF_IMPORTED = """
import sys, time, types
from taskloom.training import rank

sys.modules["taskloom.tracking.wandb_run"] = types.ModuleType("half-way through its import")
rank._watch()
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.mark.timeout(120)
def test_a_rank_that_is_told_to_stop_while_it_starts_stops_at_once() -> None:
    command = [sys.executable, "-c", HALF_IMPORTED]
    waiting = run(command, {"PYTHONPATH": str(ROOT / "src")}, stdin=subprocess.PIPE)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "ready\n"
    _, err = waiting.communicate(STOP.decode(), timeout=100)
    assert (waiting.returncode, err) == (1, "")
