"""Profile: where the time of a training step goes."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch.profiler import ProfilerActivity, profile, schedule, supported_activities

WAIT, WARM, ACTIVE = 5, 3, 20


class Profile(Callback):
    """Profiles some steps after a warm-up, prints the operations that take longest and writes a trace.

    Args:
        folder: of the run; ``trace.json`` opens in any browser's tracing page or in Perfetto.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "trace.json"

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the profiler; where an epoch has few batches, all parts are shorter."""
        batches = int(trainer.num_training_batches)
        wait, warm = min(WAIT, batches // 4), min(WARM, batches // 4)
        self._active = min(ACTIVE, batches - wait - warm)
        wanted = {ProfilerActivity.CPU, ProfilerActivity.CUDA}
        self._profiler = profile(
            activities=[activity for activity in wanted if activity in supported_activities()],
            schedule=schedule(wait=wait, warmup=warm, active=self._active, repeat=1),
            on_trace_ready=self._report,
        )
        self._profiler.start()

    def on_train_batch_end(self, *arguments: Any, **named: Any) -> None:
        """Counts a step."""
        self._profiler.step()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops the profiler."""
        self._profiler.stop()

    def _report(self, profiler: Any) -> None:
        profiler.export_chrome_trace(str(self.path))
        on_cuda = ProfilerActivity.CUDA in supported_activities()
        sort = "self_cuda_time_total" if on_cuda else "self_cpu_time_total"
        print(f"{self._active} training steps; the whole trace is in {self.path}")
        print(profiler.key_averages().table(sort_by=sort, row_limit=20, max_name_column_width=50))
