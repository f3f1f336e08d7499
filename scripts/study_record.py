"""What the sweeps of `study.py` came to, in a file that outlives their run folders."""

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from taskloom.atomic import file_beside


class NotDoneError(Exception):
    """A step of a member that another one builds on is not done."""


class Record:
    """The trials and the runs on all rows of each member, with the command lines that they were made with.

    A member whose command line has changed since counts as not done.

    Args:
        file: JSON, made by the first ``add``.

    Example:
        >>> import tempfile
        >>> record = Record(Path(tempfile.mkdtemp()) / "study.json")
        >>> trial = {"params": {"optimizer.lr": 0.002}, "score": 0.41, "rows_per_s": 9e4}
        >>> record.add("search", "mmoe", ["model=mmoe"], [trial])
        >>> record.done("search", "mmoe", ["model=mmoe"]), record.done("search", "mmoe", ["model=mmoe", "seed=2"])
        (True, False)
        >>> record.best("mmoe") == trial, record.found("mmoe")
        (True, (0.41, 90000.0))
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._steps: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def done(self, step: str, name: str, words: Sequence[str]) -> bool:
        """Whether a step of a member was made with this command line."""
        return self._steps.get(step, {}).get(name, {}).get("words") == list(words)

    def members(self, step: str, of: str = "") -> list[str]:
        """Who has a step behind them; with ``of``, what stands there under this member's name and a word more."""
        return sorted(name for name in self._steps.get(step, {}) if name.startswith(f"{of} " if of else ""))

    def runs(self, step: str, name: str) -> list[dict[str, Any]]:
        """The runs of a step of a member; none where it was not made."""
        found: list[dict[str, Any]] = self._steps.get(step, {}).get(name, {}).get("runs", [])
        return found

    def needed(self, step: str, name: str) -> list[dict[str, Any]]:
        """The runs of a step that another one builds on.

        Raises:
            NotDoneError: it was not made for this member.
        """
        found = self.runs(step, name)
        if not found:
            raise NotDoneError(f"{name}: `{step}` is not done; run it first")
        return found

    def add(self, step: str, name: str, words: Sequence[str], runs: Sequence[dict[str, Any]]) -> None:
        """Writes a step of a member down, in place of an earlier one, with those that other processes wrote."""
        self._steps = Record(self.file)._steps
        self._steps.setdefault(step, {})[name] = {"words": list(words), "runs": list(runs)}
        self._write()

    def extend(self, step: str, name: str, run: dict[str, Any]) -> None:
        """Writes one more run of a step of a member down."""
        self._steps = Record(self.file)._steps
        self._steps[step][name]["runs"].append(run)
        self._write()

    def move(self, step: str, name: str, to: str, under: str) -> None:
        """Puts what a step of a member came to in another place, under another name."""
        self._steps = Record(self.file)._steps
        self._steps.setdefault(to, {})[under] = self._steps[step].pop(name)
        self._write()

    def _write(self) -> None:
        with file_beside(self.file) as path:
            path.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")

    def best(self, name: str) -> dict[str, Any]:
        """A member's best trial.

        Raises:
            NotDoneError: no trial of it is done.
        """
        return max(self.needed("search", name), key=lambda trial: float(trial["score"]))

    def found(self, name: str) -> tuple[float, float]:
        """The validation score of a member's best trial, and its rows/s."""
        best = self.best(name)
        return best["score"], best["rows_per_s"]

    def settled(self, name: str) -> tuple[float, float]:
        """The mean validation score of a member's final runs, and their median rows/s.

        Raises:
            NotDoneError: its final runs are not done.
        """
        runs = self.needed("final", name)
        return statistics.mean(run["score"] for run in runs), statistics.median(run["rows_per_s"] for run in runs)

    def _lines(self) -> Iterator[str]:
        """JSON with a line a run, so that a change of one is a line of a diff."""
        yield "{"
        for i, (step, members) in enumerate(sorted(self._steps.items())):
            yield f" {json.dumps(step)}: {{"
            for j, (name, part) in enumerate(sorted(members.items())):
                yield f'  {json.dumps(name)}: {{"words": {json.dumps(part["words"])}, "runs": ['
                rows = [json.dumps(run) for run in part["runs"]]
                yield from (f"   {row}," for row in rows[:-1])
                yield from (f"   {row}" for row in rows[-1:])
                yield "  ]}" + ("," if j < len(members) - 1 else "")
            yield " }" + ("," if i < len(self._steps) - 1 else "")
        yield "}"
