"""FoundRun: one run or one job of a sweep, as it is found on the disk."""

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from taskloom.managing.disk import Size

#: every state that a run can be in
STATES = ("running", "killed", "done", "failed", "pruned", "pending", "starting", "broken")
SCORE = "val/score"
#: quantities that are no key of run.json
MEASURED = ("size", "age", "took")
Value = float | str | bool | None


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a folder.

    Args:
        what: in a few words.
        advice: what to do, as a command where there is one.
    """

    what: str
    advice: str


@dataclass(frozen=True)
class FoundRun:
    """What is known of a run.

    Args:
        folder: absolute; not there yet where a job is pending.
        state: one of `STATES`.
        record: its run.json; empty where that is absent or damaged.
        overrides: its command line.
        reason: why it failed, or what is wrong with run.json.
        sweep: the folder of the sweep that it is a job of.
        size: on disk.
        touched: when one of its files was last written, Unix seconds.
        problems: what is wrong with it.
        is_link: the folder lies elsewhere and is only linked to.
    """

    folder: Path
    state: str
    record: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    reason: str = ""
    sweep: Path | None = None
    size: Size = field(default_factory=Size)
    touched: float = 0.0
    problems: tuple[Problem, ...] = ()
    is_link: bool = False

    @property
    def name(self) -> str:
        """What ``name=`` takes: the folder's, with the sweep's before it."""
        return f"{self.sweep.name}/{self.folder.name}" if self.sweep else self.folder.name

    @property
    def model(self) -> str:
        """The member of the group ``model``, or what tables call the run."""
        return str(_mapping(self.record, "choices").get("model") or _mapping(self.record, "config").get("name") or "")

    @property
    def data(self) -> str:
        """The member of the group ``data``, or the data set's name."""
        config = _mapping(self.record, "config")
        return str(_mapping(self.record, "choices").get("data") or _mapping(config, "data").get("name") or "")

    @property
    def settings(self) -> list[str]:
        """Its overrides but for model and data."""
        return [o for o in self.overrides if o.partition("=")[0] not in ("model", "data", "hydra.run.dir")]

    @property
    def tags(self) -> list[str]:
        """Words that a person gave it."""
        tags = self.record.get("tags")
        return [str(tag) for tag in tags] if isinstance(tags, list) else []

    @property
    def created(self) -> float:
        """When it began, Unix seconds; where nobody knows, when it was last written."""
        return _unix(self.record.get("created")) or self.touched

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return max(0.0, time.time() - self.created)

    @property
    def took(self) -> float | None:
        """Seconds from beginning to end, or to the last sign of life; of a resumed run those of training alone."""
        if self.record.get("resumed"):
            seconds = self.record.get("seconds")
            return float(seconds) if isinstance(seconds, int | float) else None
        began = _unix(self.record.get("created"))
        ended = _unix(self.record.get("finished")) or self.touched
        return max(0.0, ended - began) if began and ended else None

    @property
    def directions(self) -> dict[str, bool]:
        """Each task's main metric as ``task/metric``; True where higher is better."""
        found = {}
        for task, main in _mapping(self.record, "main_metrics").items():
            if isinstance(main, Mapping):
                found[f"{task}/{main.get('metric')}"] = bool(main.get("higher_is_better"))
        return found

    @property
    def scores(self) -> dict[str, float]:
        """The test scores on the tasks' main metrics."""
        test = _mapping(self.record, "test")
        return {name: test[name] for name in self.directions if _is_number(test.get(name))}

    def value(self, name: str) -> Value:
        """A score, a setting or another quantity; None where it has none.

        Args:
            name: ``task/metric`` of the test, ``val/score`` of the best epoch; ``size`` (bytes), ``age``, ``took``
                (seconds); a key of run.json; a key of the config, with dots.
        """
        if name in MEASURED:
            return self.size.total if name == "size" else getattr(self, name)
        if name in ("state", "model", "data"):
            return str(getattr(self, name))
        if name == SCORE:
            units = _mapping(self.record, "best").values()
            scores = [unit.get("score") if isinstance(unit, Mapping) else None for unit in units]
            known = [score for score in scores if isinstance(score, int | float)]
            return statistics.fmean(known) if known and len(known) == len(scores) else None
        test = _mapping(self.record, "test")
        if name in test:
            return _plain(test[name])
        if name in self.record:
            return _plain(self.record[name])
        node: Any = self.record.get("config")
        for key in name.split("."):
            node = node.get(key) if isinstance(node, Mapping) else None
        return _plain(node)

    def names(self) -> Iterator[str]:
        """Everything that `value` knows."""
        yield from (*MEASURED, "state", "model", "data", SCORE)
        yield from _mapping(self.record, "test")
        yield from (key for key, value in self.record.items() if _plain(value) is not None)
        yield from _leaves(_mapping(self.record, "config"), "")


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Value:
    return value if isinstance(value, str | bool | int | float) else None


def _leaves(node: Mapping[str, Any], before: str) -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


def _unix(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
