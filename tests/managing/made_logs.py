"""Run folders as jobs leave them, made by hand."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from taskloom.sweeping.ledger import Ledger

MAIN = {"like": {"metric": "auc", "higher_is_better": True}, "rating": {"metric": "rmse", "higher_is_better": False}}


class Logs:
    """A folder of logs that grows run by run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "logs"

    def run(
        self,
        name: str,
        state: str = "done",
        auc: float = 0.8,
        model: str = "hard_sharing",
        days: float = 0.0,
        sweep: str | None = None,
        room: str = "train",
        size: int = 1000,
        **record: Any,
    ) -> Path:
        """A run that began so many days ago, with all files that such a run has."""
        kind = f"multiruns/{sweep}" if sweep else "runs"
        folder = self.folder / room / kind / name
        (folder / "checkpoints").mkdir(parents=True)
        began = datetime.now(UTC) - timedelta(days=days, minutes=5)
        content = {
            "state": state,
            "created": began.isoformat(),
            "config": {"name": model, "seed": 1, "data": {"name": "films"}, "optimizer": {"lr": 0.01}},
            "seed": 1,
            "overrides": [f"model={model}", "optimizer.lr=0.01"],
            "choices": {"model": model, "data": "films"},
            **({"reason": "the loss is nan"} if state == "failed" else {}),
            **record,
        }
        (folder / "checkpoints" / "last.ckpt").write_bytes(b"l" * size)
        (folder / "metrics.jsonl").write_text('{"step": 1, "val/score": 0.1}\n')
        if state == "done":
            content |= {
                "finished": (began + timedelta(seconds=90)).isoformat(),
                "test": {"like/auc": auc, "rating/rmse": 1.5 - auc},
                "main_metrics": MAIN,
                "best": {"all": {"score": auc, "epoch": 3}},
                **record,
            }
            (folder / "checkpoints" / "best.ckpt").write_bytes(b"b" * 10)
            (folder / "predictions").mkdir()
            (folder / "predictions" / "test.parquet").write_bytes(b"p" * 20)
        (folder / ".lock").touch()
        (folder / "run.json").write_text(json.dumps(content))
        return folder

    def sweep(self, name: str, jobs: dict[str, str | None]) -> Ledger:
        """A sweep whose jobs have these states; None leaves a job without a folder."""
        ledger = Ledger.create(self.folder / "train/multiruns" / name, ["seed=1,2"], "grid")
        listed = ledger.add([(job, [f"seed={k}"], f"seed={k}") for k, job in enumerate(jobs)])
        for job, state in zip(listed, jobs.values(), strict=True):
            if state is not None:
                self.run(job.name, state, sweep=name)
                ledger.log(job, "started")
                if state in ("done", "failed"):
                    ledger.log(job, state)
        return ledger

    def files(self) -> dict[str, bytes]:
        """Everything there is."""
        return {str(p.relative_to(self.root)): p.read_bytes() for p in sorted(self.root.rglob("*")) if p.is_file()}


def age(folder: Path, seconds: float) -> None:
    """Makes all in a folder look as if it was last written so long ago."""
    then = time.time() - seconds
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then))
