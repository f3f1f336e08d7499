"""Progress and throughput in real, tiny trainings."""

import itertools
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as lightning
import pytest
import torch
from torch.utils.data import DataLoader

from taskloom.tracking import throughput as throughput_module
from taskloom.tracking.crowding import Reading
from taskloom.tracking.progress import LiveProgress, PlainProgress, progress_bar
from taskloom.tracking.quiet import quiet
from taskloom.tracking.throughput import Throughput

ROWS, BATCH = 40, 10


class Tiny(lightning.LightningModule):
    """Scores that rise, fall and rise again; a clock that only this module moves."""

    scores = (0.3, 0.2, 0.4)

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.main_metrics = {"like": "auc", "rating": "rmse"}
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.clock = clock
        self.stop_at: int | None = None

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        if self.stop_at is not None and self.global_step == self.stop_at:
            raise RuntimeError("killed")
        self.clock[0] += 0.5
        return (self.weight * batch.mean()).square()

    def on_train_epoch_end(self) -> None:  # as our module does, after the callbacks' turn
        self.log("train/loss", 1.0 + self.current_epoch)

    def validation_step(self, batch: Any, index: int) -> None:
        self.clock[0] += 100.0

    def on_validation_epoch_end(self) -> None:
        score = self.scores[min(self.current_epoch, 2)]
        self.log_dict({"val/score": score, "val/like/gauc": 0.6, "val/like/auc": 0.75, "val/rating/rmse": 0.95})

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.01)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(throughput_module.time, "perf_counter", lambda: now[0])
    return now


def train(module: Tiny, callbacks: list[Any], folder: Path, epochs: int = 3, resume: Path | None = None) -> Any:
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    loader = DataLoader(torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0)), batch_size=BATCH)
    trainer.fit(module, loader, loader, ckpt_path=resume)
    return trainer


def test_outside_a_terminal_a_line_an_epoch_and_nothing_else(
    tmp_path: Path, clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    quiet()
    train(Tiny(clock), [progress_bar(), Throughput()], tmp_path)
    out, err = capfd.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(
        r"epoch 1/3  \d+\.\d s  20 rows/s  loss 1\.000  "
        r"val/score 0\.300  like/auc 0\.750  rating/rmse 0\.950  \*best",
        lines[0],
    )
    assert [line.endswith("*best") for line in lines] == [True, False, True]
    assert [re.findall(r"loss \S+", line)[0] for line in lines] == ["loss 1.000", "loss 2.000", "loss 3.000"]


def test_tasks_that_share_nothing_have_each_its_best(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    class Apart(Tiny):
        def __init__(self, clock: list[float]) -> None:
            super().__init__(clock)
            self.sharing = SimpleNamespace(independent=True)

        def on_validation_epoch_end(self) -> None:
            super().on_validation_epoch_end()
            epoch = self.current_epoch
            self.log_dict({"val/like/score": float(epoch != 2), "val/rating/score": float(epoch)})

    train(Apart(clock), [PlainProgress()], tmp_path)
    marks = [line.partition("*")[2] for line in capsys.readouterr().out.splitlines()]
    assert marks == ["best like, rating", "best rating", "best rating"]


def test_in_a_terminal_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert isinstance(progress_bar(), LiveProgress)


def test_the_bar_prints_the_same_lines_above_itself(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    train(Tiny(clock), [LiveProgress(), Throughput()], tmp_path)
    lines = [line for line in capsys.readouterr().out.splitlines() if "val/score" in line]
    assert [line.endswith("*best") for line in lines] == [True, False, True]


def test_a_rank_above_zero_says_nothing(tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress()
    progress.disable()
    train(Tiny(clock), [progress], tmp_path, epochs=1)
    assert "epoch" not in capsys.readouterr().out


def test_a_resumed_run_remembers_its_best(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = train(Tiny(clock), [PlainProgress()], tmp_path, epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    capsys.readouterr()
    train(Tiny(clock), [PlainProgress()], tmp_path, epochs=3, resume=tmp_path / "last.ckpt")
    assert [line.endswith("*best") for line in capsys.readouterr().out.splitlines()] == [False, True]


def test_rows_a_second_leave_validation_out(tmp_path: Path, clock: list[float]) -> None:
    throughput = Throughput()
    train(Tiny(clock), [PlainProgress(), throughput], tmp_path)
    result = throughput.result()
    assert result["rows_per_s"] == BATCH / 0.5
    assert result["seconds"] == 3 * (ROWS / BATCH) * 0.5
    assert result["first_step_s"] >= 0
    assert result["peak_memory_mb"]["host"] > 10


def test_the_first_epoch_is_a_warm_up(tmp_path: Path, clock: list[float]) -> None:
    class Slow(Tiny):
        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            self.clock[0] += 9.5 if self.current_epoch == 0 else 0.0
            return super().training_step(batch, index)

    throughput = Throughput()
    train(Slow(clock), [PlainProgress(), throughput], tmp_path, epochs=2)
    assert throughput.result()["rows_per_s"] == BATCH / 0.5
    only = Throughput()
    train(Slow(clock), [PlainProgress(), only], tmp_path, epochs=1)
    assert only.result()["rows_per_s"] == BATCH / 10


def test_seconds_add_up_over_a_run_that_was_killed_in_an_epoch(tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "last.ckpt"

    class Keep(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, *arguments: Any) -> None:
            if trainer.global_step == 6:
                trainer.save_checkpoint(path)

    killed = Tiny(clock)
    killed.stop_at = 7
    with pytest.raises(RuntimeError, match="killed"):
        train(killed, [PlainProgress(), Throughput(), Keep()], tmp_path)
    assert torch.load(path, weights_only=True)["callbacks"]["Throughput"]["epoch_rows"] == 20
    resumed = Throughput()
    train(Tiny(clock), [PlainProgress(), resumed, Keep()], tmp_path, resume=path)
    result = resumed.result()
    assert result["seconds"] == 3 * (ROWS / BATCH) * 0.5
    assert result["rows_per_s"] == BATCH / 0.5


def test_a_later_job_of_a_process_does_not_count_the_earlier_ones(tmp_path: Path, clock: list[float]) -> None:
    train(Tiny(clock), [PlainProgress(), Throughput()], tmp_path, epochs=1)
    clock[0] += 5000
    second = Throughput()
    train(Tiny(clock), [PlainProgress(), second], tmp_path, epochs=1)
    assert second.result()["first_step_s"] == 0.5


def test_the_bar_costs_little_a_step(tmp_path: Path) -> None:
    """Between two drawings a step costs the bar a look at the clock: well under 1 % of 5 ms."""

    class Timed(LiveProgress):
        total, calls = 0.0, 0

        def on_train_batch_end(self, *arguments: Any) -> None:
            began = time.thread_time()
            super().on_train_batch_end(*arguments)
            if not self.drew:
                Timed.total += time.thread_time() - began
                Timed.calls += 1

        @property
        def drew(self) -> bool:
            drew, self._seen = getattr(self, "_seen", None) != self._drawn, self._drawn
            return drew

    train(Tiny([0.0]), [Timed()], tmp_path, epochs=30)
    assert Timed.calls > 50
    assert Timed.total / Timed.calls < 50e-6


@pytest.mark.parametrize("progress", [PlainProgress, LiveProgress])
def test_the_model_has_the_last_word(
    progress: type[Any], tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    class Speaking(Tiny):
        word: str | None = "nothing is left of me"

        def afterword(self) -> str | None:
            return self.word if self.trainer.current_epoch == 2 else None

    train(Speaking(clock), [progress()], tmp_path, epochs=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if "val/score" in line or "note:" in line]
    assert [line.split()[0] for line in lines] == ["epoch", "epoch", "note:"]
    assert lines[-1].rstrip() == "note: nothing is left of me"
    Speaking.word = None
    train(Speaking(clock), [progress()], tmp_path, epochs=2)
    assert "note:" not in capsys.readouterr().out


@pytest.mark.parametrize("progress", [PlainProgress, LiveProgress])
def test_a_crowded_processor_is_told_once(
    progress: type[Any],
    tmp_path: Path,
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    walls = itertools.count()
    crowded = "taskloom.tracking.progress.read"
    monkeypatch.setattr(crowded, lambda: Reading(wall=(now := 10.0 * next(walls)), own=now, all=2 * now, cpus=2))
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    train(Tiny(clock), [progress()], tmp_path)
    lines = [line for line in capsys.readouterr().out.splitlines() if "note" in line or "val/score" in line]
    assert lines[1] == (
        "note: other work keeps 1.0 of 2 processors busy, and threads wait for each other: "
        "trainer.threads=1 should be faster"
    )
    assert sum("note" in line for line in lines) == 1
    assert len(lines) == 4
