"""Run folders as they lie on disk, read without anything that takes time to import."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskloom.comparing.settings import Value, chosen, flatten, named, tasks_of
from taskloom.errors import RunError
from taskloom.managing.locks import alive

SCORE = "val/score"
Curve = list[tuple[int, float]]


@dataclass
class Run:
    """One run, as far as comparing it needs.

    Args:
        folder: absolute.
        state: ``done``, ``failed``, ``pruned``, ``running``, or ``killed``: it says running, and no process holds it.
        reason: of a failed or pruned run.
        created: when it began, ISO 8601, UTC.
        order: its place among others: the number of a sweep's job, else when it began.
        name: what tables call it.
        tags: words.
        seed: of the weights and the order of rows.
        split_seed: of the split.
        fingerprint: of the data.
        tasks: in order.
        choices: the member chosen in each config group.
        knows_choices: whether a group that is not among them has no member; of an older run it may have one.
        settings: the config, flattened.
        named: groups and config keys that its command line sets, in its order.
        test: test metrics, ``task/metric``.
        val: validation metrics at the best epoch, and ``score``.
        main: the metric that judges each task, and whether higher is better.
        floors: test metrics of each simple predictor.
        cost: rows_per_s, seconds, parameters, peak_memory_mb.
        wandb: the address of its W&B run.
        curves: by epoch, counted from 1: validation metrics, mean training losses, gradient conflict.
        data: what data it was tested on, in words (set when runs are put beside each other).
    """

    folder: Path
    state: str
    reason: str | None
    created: str
    order: tuple[str, int, str]
    name: str
    tags: list[str]
    seed: int | None
    split_seed: int | None
    fingerprint: str | None
    tasks: list[str]
    choices: dict[str, str]
    knows_choices: bool
    settings: dict[str, Value]
    named: list[str]
    test: dict[str, float | None]
    val: dict[str, float | None]
    main: dict[str, tuple[str, bool]]
    floors: dict[str, dict[str, float | None]]
    cost: dict[str, float | None]
    wandb: str | None
    curves: dict[str, Curve] = field(repr=False)
    data: str = ""

    @property
    def done(self) -> bool:
        """Whether it has test metrics to be compared."""
        return self.state == "done"

    def get(self, key: str) -> Value:
        """A setting by its name: a config group's member, else a key of the config."""
        return self.choices[key] if key in self.choices else self.settings.get(key)

    def value(self, metric: str) -> float | None:
        """A test metric or ``val/score``, None where the run is not done or it is not defined."""
        if not self.done:
            return None
        return self.val.get("score") if metric == SCORE else self.test.get(metric)


def read_run(folder: Path) -> Run:
    """Reads run.json and the epochs' lines of metrics.jsonl.

    Raises:
        RunError: there is no run, or its record is damaged.
    """
    record = _record(folder)
    config = record.get("config") if isinstance(record.get("config"), dict) else {}
    assert isinstance(config, dict)
    overrides = record.get("overrides")
    if not isinstance(overrides, list):
        overrides = _older_overrides(folder)
    choices = chosen(record, overrides)
    settings = flatten(config)
    tasks = tasks_of(config)
    settings["tasks"] = f"[{', '.join(tasks)}]"
    state = str(record["state"])
    if state == "running" and not alive(folder):
        state = "killed"
    curves = read_curves(folder / "metrics.jsonl")
    sweep = record.get("sweep") or {}
    created = str(record.get("created", ""))
    return Run(
        folder=folder.absolute(),
        state=state,
        reason=record.get("reason"),
        created=created,
        order=(str(sweep.get("folder", "")), int(sweep.get("number", -1)), created),
        name=str(config.get("name", "")),
        tags=[str(tag) for tag in record.get("tags") or []],
        seed=record.get("seed", config.get("seed")),
        split_seed=settings.get("data.split.seed"),  # type: ignore[arg-type]
        fingerprint=record.get("fingerprint"),
        tasks=tasks,
        choices=choices,
        knows_choices=isinstance(record.get("choices"), dict),
        settings=settings,
        named=named(overrides),
        test=_numbers(record.get("test")),
        val=_at_best(record.get("best") or {}, curves),
        main={
            task: (main["metric"], bool(main["higher_is_better"]))
            for task, main in (record.get("main_metrics") or {}).items()
        },
        floors={name: _numbers(values) for name, values in (record.get("floors") or {}).items()},
        cost={
            "rows_per_s": _number(record.get("rows_per_s")),
            "seconds": _number(record.get("seconds")),
            "parameters": _number(record.get("parameters")),
            "peak_memory_mb": _memory(record.get("peak_memory_mb")),
        },
        wandb=(record.get("wandb") or {}).get("url"),
        curves=curves,
    )


def read_runs(folders: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """All runs that can be read, in their order, and a sentence for each that cannot."""
    runs, notes = [], []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except RunError as error:
            notes.append(f"left out: {error}")
        except (TypeError, ValueError, KeyError, AttributeError):
            notes.append(
                f"left out: {folder / 'run.json'} is not a run's record: some of it is of no kind that runs write"
            )
    return sorted(runs, key=lambda run: run.order), notes


def read_curves(path: Path) -> dict[str, Curve]:
    """Values by name and epoch, epochs counted from 1; an absent file has none.

    Only lines of a whole epoch are looked at, so that a file of a million steps costs little. A resumed run repeats
    some: the later line of an epoch counts. A torn line, and a value that is not finite, are left out.

    Args:
        path: metrics.jsonl.
    """
    try:
        text = path.read_bytes()
    except OSError:
        return {}
    found: dict[str, dict[int, float]] = {}
    for line in text.splitlines():
        if b'"epoch": null' in line[:80] or b'"epoch":' not in line:
            continue
        try:
            row = json.loads(line)
            epoch = row["epoch"]
        except (ValueError, KeyError, TypeError):
            continue
        if not isinstance(epoch, int):
            continue
        for name, value in row.items():
            if "/" in name and isinstance(value, int | float) and math.isfinite(value) and not name.startswith("test/"):
                found.setdefault(name, {})[epoch + 1] = value
    return {name: sorted(values.items()) for name, values in found.items()}


def _record(folder: Path) -> dict[str, Any]:
    file = folder / "run.json"
    try:
        record = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder} is no run folder: it has no run.json") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read ({error})") from None
    if not isinstance(record, dict) or not isinstance(record.get("state"), str):
        raise RunError(f"{file} is not a run's record: it has no state")
    return record


def _older_overrides(folder: Path) -> list[str]:
    """The command line of a run whose record lacks it, as Hydra wrote it down."""
    file = folder / ".hydra" / "overrides.yaml"
    if not file.is_file():
        return []
    import yaml

    try:
        overrides = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return []
    return [str(override) for override in overrides] if isinstance(overrides, list) else []


def _at_best(best: Mapping[str, Any], curves: Mapping[str, Curve]) -> dict[str, float | None]:
    """Validation metrics at the best epoch: of all tasks, or each task's own where they share nothing."""
    values: dict[str, float | None] = {}
    epochs = {unit: found.get("epoch") for unit, found in best.items()}
    for name, curve in curves.items():
        parts = name.split("/")
        if parts[0] == "val" and len(parts) == 3:
            epoch = epochs.get(parts[1], epochs.get("all"))
            values[f"{parts[1]}/{parts[2]}"] = dict(curve).get(epoch + 1) if isinstance(epoch, int) else None
    scores = [_number(found.get("score")) for found in best.values()]
    known = [score for score in scores if score is not None]
    if known and len(known) == len(scores):
        values["score"] = sum(known) / len(known)
    return values


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _numbers(values: Any) -> dict[str, float | None]:
    return {name: _number(value) for name, value in (values or {}).items()}


def _memory(values: Any) -> float | None:
    """Of the accelerators where there are any, else of the host."""
    if not isinstance(values, dict):
        return _number(values)
    known = {name: number for name, value in values.items() if (number := _number(value)) is not None}
    devices = [number for name, number in known.items() if name != "host"]
    return max(devices) if devices else known.get("host")
