"""Which runs were tested on the same rows and labels, so that their metrics may be put side by side."""

import json
from collections.abc import Mapping, Sequence

from taskloom.comparing.reading import Run
from taskloom.comparing.settings import Value, show

#: keys of the data section that change what is learnt from the rows, and neither the rows nor their labels
_SAME_ROWS = ("data.features.", "data.floors", "data.tasks.", "data.ranking")
_SAME_ROWS_KEYS = {
    "data._target_",
    "data.source",
    "data.split.seed",
    "data.default_tasks",
    "data.batch_size",
    "data.eval_batch_size",
    "data.first_batch",
    "data.device_resident",
    "data.block",
}


def name_data(runs: Sequence[Run]) -> list[str]:
    """Gives each run the name of its data, one for all runs whose metrics may be put side by side.

    Data are the same where reader, tasks' definitions, negatives and kind of split are; the seed of the split, features
    and sizes of batches may differ. Where the same settings gave different fingerprints, the raw files differ, and each
    fingerprint is data of its own.

    Returns:
        Notes for a reader.
    """
    kinds: dict[str, list[Run]] = {}
    for run in runs:
        kinds.setdefault(json.dumps(_rows_and_labels(run.settings), sort_keys=True), []).append(run)
    notes: list[str] = []
    worlds: list[tuple[dict[str, Value], list[Run]]] = []
    for kind in kinds.values():
        rows = _rows_and_labels(kind[0].settings)
        prints: dict[str, set[str]] = {}
        for run in kind:
            if run.fingerprint:
                prints.setdefault(json.dumps(_all_data(run), sort_keys=True), set()).add(run.fingerprint)
        if all(len(found) == 1 for found in prints.values()):
            worlds.append((rows, kind))
            continue
        # The same options and other rows: the raw files are not the same.
        for fingerprint in dict.fromkeys(run.fingerprint for run in kind):
            some = [run for run in kind if run.fingerprint == fingerprint]
            worlds.append((rows | {"fingerprint": fingerprint}, some))
        notes.append("the same data settings gave different data (other raw files, or another version): kept apart")
    names = {key for rows, _ in worlds for key in rows}
    apart = [key for key in sorted(names) if len({json.dumps(rows.get(key)) for rows, _ in worlds}) > 1]
    for rows, some in worlds:
        name = str(rows.get("data.name") or some[0].choices.get("data", "data"))
        same_name = [other for other, _ in worlds if other.get("data.name") == rows.get("data.name")]
        words = [
            f"{key.removeprefix('data.')}={show(rows.get(key))}"
            for key in apart
            if key != "data.name" and len({json.dumps(other.get(key)) for other in same_name}) > 1
        ]
        for run in some:
            run.data = f"{name} ({', '.join(words[:3])})" if words else name
    if len(worlds) > 1:
        each = dict.fromkeys(run.data for run in runs)
        notes.append(f"metrics on different data are not put against each other: {'; '.join(each)}")
    return notes


def _rows_and_labels(settings: Mapping[str, Value]) -> dict[str, Value]:
    """The data settings that decide which rows there are to be tested on, and what their labels mean."""
    found = {}
    for key, value in settings.items():
        if not key.startswith("data.") or key in _SAME_ROWS_KEYS:
            continue
        definition = key.startswith("data.tasks.") and not key.endswith((".weight", ".about"))
        if definition or not key.startswith(_SAME_ROWS):
            found[key] = value
    return found


def _all_data(run: Run) -> dict[str, Value]:
    """All that shapes the data but the raw files."""
    left = {"data.source", "data.eval_batch_size", "data.device_resident", "data.batch_size", "data.block"}
    found = {key: value for key, value in run.settings.items() if key.startswith("data.") and key not in left}
    return found | {"tasks": run.settings.get("tasks")}
