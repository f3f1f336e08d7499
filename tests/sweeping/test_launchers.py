"""Serial and joblib launchers: with Hydra's own configs and jobs of a few lines."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig

from taskloom.errors import ConfigError
from taskloom.sweeping.launchers.board import Board, Entry
from taskloom.sweeping.launchers.processes import JoblibLauncher
from taskloom.sweeping.launchers.serial import SerialLauncher
from taskloom.sweeping.launchers.shares import CUDA, environments, number_of_workers, worker_gpus
from taskloom.sweeping.ledger import Ledger

SRC = Path(__file__).resolve().parents[2] / "src"


def make_task() -> Callable[[DictConfig], dict[str, Any]]:
    """A job that does what its config says; inside a function, so that it goes to workers by value."""

    def task(cfg: DictConfig) -> dict[str, Any]:
        import os
        import signal
        import subprocess
        import sys

        print(f"printed by {cfg.x}")
        match cfg.do:
            case "speak":
                os.write(2, b"from a native library\n")
                subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
            case "raise":
                raise ValueError("no good")
            case "leave":
                sys.exit(1)
            case "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crash":
                os._exit(3)
        names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
        return {"state": "done", "x": cfg.x, "pid": os.getpid(), **{name: os.environ.get(name) for name in names}}

    return task


@pytest.fixture
def prepare(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Gives a launcher what Hydra gives it; the sweep's folder is ``sweep``."""
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "tiny.yaml").write_text("x: 0\ndo: nothing\n")
    with initialize_config_dir(str(conf), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        overrides = [f"hydra.sweep.dir={tmp_path / 'sweep'}", "hydra.sweep.subdir=x-${x}"]
        config = loader.load_configuration("tiny", [*overrides, "hydra/job_logging=none"], RunMode.MULTIRUN)

        def make(launcher: Any, task: Callable[..., Any] | None = None) -> Any:
            context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
            launcher.setup(hydra_context=context, task_function=task or make_task(), config=config)
            return launcher

        yield make


def jobs(*kinds: str) -> list[list[str]]:
    return [[f"x={place}", f"do={kind}"] for place, kind in enumerate(kinds)]


def values(returned: Sequence[Any]) -> list[dict[str, Any]]:
    return [each.return_value for each in returned]


# shares of the machine


@given(cpus=st.integers(1, 64), jobs=st.integers(1, 100), n_jobs=st.none() | st.integers(1, 64))
def test_workers_never_have_more_threads_than_there_are_cores(cpus: int, jobs: int, n_jobs: int | None) -> None:
    workers = number_of_workers(n_jobs, [], cpus, jobs)
    shares = environments(workers, [], "auto", cpus, {})
    assert len(shares) == workers <= jobs
    threads = sum(int(share["OMP_NUM_THREADS"]) for share in shares)
    assert threads <= max(cpus, workers)  # one each at the least
    assert threads > cpus - workers or workers > cpus  # and no core is left over that would make one more each


def test_threads_that_are_set_already_stay_unless_a_number_is_asked_for() -> None:
    assert environments(2, [], "auto", 8, {"OMP_NUM_THREADS": "3"}) == [{}, {}]
    assert environments(2, [], None, 8, {}) == [{}, {}]
    assert environments(1, [], 5, 8, {"OMP_NUM_THREADS": "3"})[0]["OMP_NUM_THREADS"] == "5"


@pytest.mark.parametrize(
    ("named", "there", "expected"),
    [
        (None, 2, ["0", "1"]),
        (None, 0, []),
        ("3, 1", 2, ["3", "1"]),
        ("GPU-8a3f,GPU-77b1", 2, ["GPU-8a3f", "GPU-77b1"]),
        ("3,9", 1, ["3"]),  # CUDA stops at the first one that is not there
        ("", 0, []),
    ],
)
def test_gpus_are_those_that_the_command_sees(
    named: str | None, there: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: there)
    assert worker_gpus("auto", {} if named is None else {CUDA: named}) == expected


def test_workers_share_gpus_where_there_are_fewer() -> None:
    seen = [share[CUDA] for share in environments(3, worker_gpus([4, "5,6"]), None, 8, {})]
    assert seen == ["4", "5,6", "4"]
    assert number_of_workers(None, ["4", "5,6"], cpus=64) == 2


@pytest.mark.parametrize("setting", ["n_jobs", "threads", "gpus"])
@pytest.mark.parametrize("wrong", [0, -1, "many", True, 1.5, [-1], ["0,"]])
def test_a_setting_that_cannot_be_is_told_by_name(setting: str, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=rf"hydra\.launcher\.{setting} is .*: write "):
        JoblibLauncher(**{"n_jobs": 1, "gpus": None, "threads": 1, setting: wrong})


# one after the other


def test_serial_runs_every_job_whatever_became_of_those_before_it(prepare: Callable[..., Any], tmp_path: Path) -> None:
    wrong = [["x=0", "do=raise"], ["x=1", "nothing_such=2"], ["x=2"]]
    first, second, third = values(prepare(SerialLauncher()).launch(wrong, 0))
    assert (first["state"], first["reason"]) == ("failed", "ValueError: no good")
    assert second["state"] == "failed"
    assert "nothing_such" in second["reason"]
    assert (third["state"], third["pid"]) == ("done", os.getpid())
    assert (tmp_path / "sweep" / "x-2").is_dir()


def test_serial_takes_a_job_when_the_one_before_has_ended(prepare: Callable[..., Any]) -> None:
    seen: list[Any] = []

    def choose() -> Iterator[list[str]]:
        for place in range(3):
            seen.append(f"chosen {place}")
            yield [f"x={place}"]

    launcher = prepare(SerialLauncher())
    for place, returned in launcher.stream(choose()):
        seen.append(f"ended {place}")
        assert returned.return_value["x"] == place
        assert returned.hydra_cfg.hydra.job.num == place
    assert seen == ["chosen 0", "ended 0", "chosen 1", "ended 1", "chosen 2", "ended 2"]


def test_serial_ends_where_it_is_interrupted(prepare: Callable[..., Any], tmp_path: Path) -> None:
    launcher = prepare(SerialLauncher())
    with pytest.raises(KeyboardInterrupt):
        launcher.launch(jobs("nothing", "interrupt", "nothing"), 0)
    assert not (tmp_path / "sweep" / "x-2").exists()


# several at once


def test_a_job_that_fails_in_any_way_fails_alone(
    prepare: Callable[..., Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kinds = ["speak", "kill", "raise", "nothing", "interrupt", "crash", "leave", "nothing"]
    launcher = prepare(JoblibLauncher(n_jobs=2, gpus=[7, 3], threads=1))
    returned = values(launcher.launch(jobs(*kinds), 0))
    out = capfd.readouterr().out
    states = {place: value["reason"] for place, value in enumerate(returned) if value["state"] == "failed"}
    assert list(states) == [1, 2, 4, 5, 6]
    assert states[1].startswith("its process ended: signal 9 (SIGKILL)")
    assert states[2] == "ValueError: no good"
    assert (states[4], states[6]) == ("interrupted", "interrupted")
    assert states[5] == "its process ended: exit code 3"

    done = [value for value in returned if value["state"] == "done"]
    assert [value["x"] for value in done] == [0, 3, 7]
    assert os.getpid() not in {value["pid"] for value in done}
    assert {value[CUDA] for value in done} <= {"7", "3"}
    assert {value["OMP_NUM_THREADS"] for value in done} == {"1"}

    log = (tmp_path / "sweep" / "x-0" / "output.log").read_text().splitlines()
    assert sorted(log) == ["from a child", "from a native library", "printed by 0"]
    assert "printed by" not in out
    assert "2 at a time, on GPU 7 | 3" in out
    lines = out.splitlines()
    assert "job 2 of 8 begins: x=1 do=kill" in lines
    assert any(line.startswith("job 4 of 8 done in ") and line.endswith(" s: x=3 do=nothing") for line in lines)
    assert sum(" failed after " in line and line.endswith("output.log)") for line in lines) == 0  # no such folder known


def test_workers_stay_warm_and_have_a_gpu_each(prepare: Callable[..., Any]) -> None:
    returned = values(prepare(JoblibLauncher(n_jobs=None, gpus=[0, 1], threads=1)).launch(jobs(*["nothing"] * 6), 0))
    gpu_of = {value["pid"]: value[CUDA] for value in returned}
    assert len(gpu_of) <= 2
    assert all(gpu_of[value["pid"]] == value[CUDA] for value in returned)
    assert len(set(gpu_of.values())) == len(gpu_of)


def test_a_job_is_chosen_when_a_worker_is_free_and_results_come_as_jobs_end(prepare: Callable[..., Any]) -> None:
    chosen, given_back = [], []

    def choose() -> Iterator[list[str]]:
        for place in range(6):
            chosen.append(len(given_back))
            yield [f"x={place}"]

    for place, returned in prepare(JoblibLauncher(n_jobs=2, gpus=None, threads=1)).stream(choose()):
        assert returned.return_value["x"] == place
        given_back.append(place)
    assert sorted(given_back) == list(range(6))
    assert chosen[:2] == [0, 0]
    # Before the job in place p is chosen, at least p - 1 jobs have given their results to whoever chooses.
    assert all(known >= place - 1 for place, known in enumerate(chosen))


def test_a_stream_that_is_closed_stops_its_jobs(prepare: Callable[..., Any], tmp_path: Path) -> None:
    def task(cfg: DictConfig) -> dict[str, Any]:
        import signal

        if cfg.x == 1:
            print("waits", flush=True)
            try:
                signal.pause()
            finally:
                print("stopped", flush=True)
        return {"state": "done"}

    stream = prepare(JoblibLauncher(n_jobs=2, gpus=None, threads=1), task).stream(iter(jobs("nothing", "nothing")))
    assert next(stream)[0] == 0
    log = tmp_path / "sweep" / "x-1" / "output.log"
    until(lambda: log.exists() and "waits" in log.read_text())
    stream.close()
    assert log.read_text() == "waits\nstopped\n"


def test_jobs_are_called_as_in_the_ledger(
    prepare: Callable[..., Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger.create(tmp_path / "sweep", ["x=0,1", "do=nothing"], "grid")
    ledger.add([("first", ["x=5", "do=nothing"], "x=5"), ("second", ["x=6", "do=crash"], "x=6")])
    lines = [["x=6", "do=crash", "hydra.sweep.subdir=second"]]
    prepare(JoblibLauncher(n_jobs=1, gpus=None, threads=1)).launch(lines, 0)
    out = capfd.readouterr().out
    assert "second begins: x=6\n" in out  # nobody knows how many there are, as in a search
    assert f": x=6: its process ended: exit code 3 ({tmp_path}/sweep/second/output.log)" in out


# the command itself is stopped

PROGRAMME = """
import os, signal, subprocess, sys, time
import hydra

def task(cfg):
    child = subprocess.Popen(["sleep", "600"])
    if cfg.deaf:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(os.getpid(), child.pid, flush=True)
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        print("told to stop", flush=True)
        raise
    return {"state": "done"}

signal.siginterrupt(signal.SIGINT, False)  # as polars does when it is imported: waits go on after a signal
try:
    hydra.main(config_path=None, config_name=None, version_base="1.3")(lambda cfg: task(cfg))()
except KeyboardInterrupt:
    sys.exit(130)
"""


class Command:
    """A sweep of three endless jobs, two of them under way."""

    def __init__(self, folder: Path, deaf: bool) -> None:
        (folder / "programme.py").write_text(PROGRAMME)
        self.sweep = folder / "sweep"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "programme.py", "-m", "+x=0,1,2", f"+deaf={deaf}", f"hydra.sweep.dir={self.sweep}"),
                "hydra.launcher._target_=hydra_plugins.taskloom.JoblibLauncher",
                *("+hydra.launcher.n_jobs=2", "+hydra.launcher.gpus=null", "+hydra.launcher.threads=1"),
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(SRC)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        until(lambda: all(len(log.split()) == 2 for log in self.logs()) and len(self.logs()) == 2)
        self.pids = [int(word) for log in self.logs() for word in log.split()]

    def logs(self) -> list[str]:
        return [path.read_text() for path in sorted(self.sweep.glob("*/output.log"))]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start(deaf: bool = False) -> Command:
        started.append(Command(tmp_path, deaf))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        for pid in filter(alive, each.pids):  # of a test that failed; they hold the pipe that is read below
            os.kill(pid, signal.SIGKILL)
        each.process.communicate()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for something to be so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_interrupt_in_the_terminal_tells_each_job_once(command: Callable[..., Command]) -> None:
    sweep = command()
    os.killpg(sweep.process.pid, signal.SIGINT)  # as a terminal does: all of its foreground
    out, _ = sweep.process.communicate(timeout=60)
    assert sweep.process.returncode == 130, out
    assert "stopping 2 running jobs" in out
    assert [log.split("\n", 1)[1] for log in sweep.logs()] == ["told to stop\n"] * 2
    until(lambda: not any(map(alive, sweep.pids)))


def test_a_second_interrupt_ends_jobs_that_do_not_listen(command: Callable[..., Command]) -> None:
    sweep = command(deaf=True)
    sweep.process.send_signal(signal.SIGINT)
    assert sweep.process.stdout is not None
    line = next(line for line in sweep.process.stdout if "stopping" in line)
    assert "2 running jobs" in line
    assert all(map(alive, sweep.pids))
    sweep.process.send_signal(signal.SIGINT)
    sweep.process.communicate(timeout=60)
    assert sweep.process.returncode == 130
    until(lambda: not any(map(alive, sweep.pids)))


def test_workers_and_their_children_end_with_a_command_that_is_killed(command: Callable[..., Command]) -> None:
    sweep = command(deaf=True)
    assert all(map(alive, sweep.pids))
    sweep.process.kill()
    until(lambda: not any(map(alive, sweep.pids)))


# the board


def entry(number: int) -> Entry:
    return Entry(f"job {number} of 4", f"seed={number}", f"logs/{number}")


def test_the_board_says_a_line_as_a_job_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.0, 132.0, 140.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with Board(4, 2, io.StringIO()) as board:
        board.begin(0, entry(1))
        board.begin(1, entry(2))
        board.end(0, {"state": "done"})
        board.end(1, {"state": "failed", "reason": "the disk is full [/]"})
    assert board.file.getvalue().splitlines() == [
        "job 1 of 4 begins: seed=1",
        "job 2 of 4 begins: seed=2",
        "job 1 of 4 done in 32 s: seed=1",
        "job 2 of 4 failed after 40 s: seed=2: the disk is full [/] (logs/2/output.log)",
    ]


def test_the_time_left_is_that_of_the_longest_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Board(6, 2, io.StringIO()) as board:
        for place in (0, 1):
            board.begin(place, entry(place))
        now[0] = 10.0
        board.end(0, {"state": "done"})
        board.end(1, {"state": "done"})
        board.begin(2, entry(2))
        board.begin(3, entry(3))
        assert board.counts(14.0) == "2 done, 2 running, 2 waiting, about 16 s left"  # two are waiting, 6 s are left
        now[0] = 20.0
        for place in (2, 3):
            board.end(place, {"state": "pruned"})
        board.begin(4, entry(4))
        board.end(4, {"state": "failed"})  # at once, which says nothing of how long the last one takes
        board.begin(5, entry(5))
        assert board.counts(24.0) == "2 done, 2 pruned, 1 failed, 1 running, 0 waiting, about 6.0 s left"


def test_a_terminal_shows_what_is_under_way_and_leaves_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Board(4, 2, Terminal()) as board:
        board.begin(0, entry(1))
        board.live.refresh()
        board.end(0, {"state": "done"})
    text = board.file.getvalue()
    assert "1 running, 3 waiting" in text
    assert "job 1 of 4  0.0 s  seed=1" in text
    assert "begins" not in text
    assert "job 1 of 4 done in 0.0 s: seed=1" in text


def test_a_label_is_printed_as_it_is() -> None:
    with Board(None, 1, io.StringIO()) as board:
        board.begin(0, Entry("job 1", json.dumps({"tasks": ["like"]}), ""))
    assert board.file.getvalue() == 'job 1 begins: {"tasks": ["like"]}\n'
