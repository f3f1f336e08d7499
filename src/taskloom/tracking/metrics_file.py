"""metrics.jsonl: every value that a run logs, an object a line, and the reader of it."""

import json
import time
from argparse import Namespace
from collections.abc import Mapping
from io import RawIOBase
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from taskloom.atomic import open_at_line_start
from taskloom.tracking.run_folder import plain

_COORDINATES = ("step", "epoch", "time")


class MetricsFile(Logger):
    """A Lightning logger that appends lines: ``{"step": 49, "epoch": 0, "time": ..., "train/loss": ...}``.

    Every line is handed to the system as soon as it is made, so a killed process loses none. Where a file
    ends in the middle of a line (the machine lost power), the next one starts on a line of its own.

    Args:
        path: the file, ``metrics.jsonl`` of a run folder. It is made at the first value.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
        >>> MetricsFile(path).log_metrics({"train/loss": 0.5, "epoch": 0}, step=49)
        >>> [(row["step"], row["train/loss"]) for row in read_metrics(path)]
        [(49, 0.5)]
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self.path = Path(path)
        self._file: RawIOBase | None = None

    @property
    def name(self) -> str:
        """Empty: Lightning would make folders of it."""
        return ""

    @property
    def version(self) -> str:
        """Empty, likewise."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: run.json has the config."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Append one line.

        Args:
            metrics: values by name; ``epoch`` among them where Lightning knows it. NaN becomes null.
            step: optimiser steps so far.
        """
        row = {"step": step, "epoch": metrics.get("epoch"), "time": round(time.time(), 3), **metrics}
        if row["epoch"] is not None:
            row["epoch"] = int(row["epoch"])
        if self._file is None:
            self._file = open_at_line_start(self.path)
        self._file.write(json.dumps(plain(row), allow_nan=False).encode() + b"\n")

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file; a later value opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}


def read_metrics(path: Path | str) -> list[dict[str, Any]]:
    """The rows of a metrics file, by step; an absent file has none.

    A torn line (kill -9 in the middle of a write) is left out. A resumed run repeats the steps since its
    checkpoint: of two rows of one step with the same names, the later stands. Rows of one step with
    different names (training loss, validation) all stay.

    Args:
        path: the file.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:  # torn, or the empty end
            continue
        if not isinstance(row, dict):
            continue
        names = tuple(sorted(name for name in row if name not in _COORDINATES))
        key = (row.get("step"), names)
        rows.pop(key, None)  # so that the later row also takes the later place
        rows[key] = row
    return sorted(rows.values(), key=lambda row: -1 if row.get("step") is None else row["step"])
