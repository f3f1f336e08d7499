"""What a processed data set is, as plain data: for the terminal, for the page, for programmes."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from taskloom.data.figures import correlations, feature_figures, history_figures, label_figures, repeats
from taskloom.data.store import Store
from taskloom.tasks import Task

MOST_CORRELATED = 24  # target columns up to which each label of a multilabel task has its own correlations
FEWEST_POSITIVES = 100  # test rows; with fewer there is no verdict on a task
MUCH_UNKNOWN = 0.5  # of the test rows
MANY_REPEATS = 0.01  # of the test rows
SPLITS = {
    "random": "Rows are dealt out by chance: comparable with published numbers, and blind to time.",
    "per_user": "Each user's rows in time: other users' later rows are in training, which leaks across users in time.",
    "leave_last": "Each user's last rows are held out: other users' later rows are in training, which leaks across "
    "users in time.",
    "global_time": "Earliest rows for training, latest for test: what a service meets, new users included.",
    "group": "Whole groups are kept together, dealt out by chance.",
    "column": "A column of the data says which part a row belongs to.",
}


def describe(
    store: Store,
    tasks: Sequence[Task],
    name: str,
    came_from: str = "",
    excluded: Mapping[str, str] | None = None,
    floors: Mapping[str, Mapping[str, float | None]] | None = None,
) -> dict[str, Any]:
    """All that is worth knowing of a data set before a model is trained on it, ready for JSON.

    Reads the columns a million rows at a time.

    Args:
        store: the processed data.
        tasks: those to describe.
        name: of the data set.
        came_from: where the raw files were got, in words.
        excluded: columns that no feature may use, with the reason.
        floors: scores of simple predictors by floor and ``task/metric``, where they are known.

    Returns:
        name, fingerprint, came_from, rows (read, refused, refusals, dropped, filtered, used), users, items, split,
        parts (of each: rows, share, span), cold (by kind of split), tables, tasks, correlation, features, history,
        negatives, repeats, excluded, floors, notes, warnings.
    """
    meta = store.meta
    found: dict[str, Any] = {
        "name": name,
        "fingerprint": store.fingerprint,
        "came_from": came_from,
        "rows": _rows(meta),
        "users": meta["users"] or None,
        "items": meta["items"] or None,
        "split": _split(meta),
        "parts": _parts(meta),
        "cold": _cold(meta),
        "tables": _tables(store),
        "tasks": [_task(task, store) for task in tasks],
        "correlation": _correlation(tasks, store),
        "features": _features(store),
        "history": _history(store),
        "negatives": meta.get("negatives"),
        "repeats": repeats(store.split("train"), store.split("test")),
        "excluded": dict(excluded if excluded is not None else meta.get("excluded", {})),
        "floors": {floor: dict(scores) for floor, scores in (floors or {}).items()},
        "notes": list(meta.get("notes", ())),
    }
    names = {task.name for task in tasks}
    # Lines about a task begin with its name; those of tasks that nobody asked for are left out.
    other = {target["task"] for target in meta["recipe"]["targets"]} - names
    said = [line for line in meta.get("warnings", ()) if line.partition(":")[0] not in other]
    found["warnings"] = list(dict.fromkeys([*said, *_warnings(found)]))
    return _plain(found)


def _rows(meta: Mapping[str, Any]) -> dict[str, Any]:
    used = sum(meta["rows"].values())
    filtered = dict(meta.get("filtered", {}))
    account = meta.get("account") or {
        "read": used + sum(filtered.values()),
        "refused": 0,
        "refusals": (),
        "dropped": {},
    }
    return {
        "read": account["read"],
        "refused": account["refused"],
        "refusals": list(account["refusals"]),
        "dropped": dict(account["dropped"]),
        "filtered": filtered,
        "used": used,
    }


def _split(meta: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("kind", "ratios", "seed", "column", "by", "n", "folds", "fold")
    given = meta["recipe"]["split"]
    said = {key: given[key] for key in kept if key in given}
    return {**said, "in_time": bool(meta.get("in_time", False)), "about": SPLITS.get(given["kind"], "")}


def _parts(meta: Mapping[str, Any]) -> list[dict[str, Any]]:
    total = max(sum(meta["rows"].values()), 1)
    found = []
    for part, rows in meta["rows"].items():
        one: dict[str, Any] = {"name": part, "rows": rows, "share": rows / total, "span": None}
        if span := meta.get("span", {}).get(part):
            one["span"] = {"first": span[0], "last": span[1], "from": date(span[0]), "to": date(span[1])}
        found.append(one)
    return found


def date(time: float) -> str:
    """A time in words where it looks like seconds or milliseconds since 1970, else as a number.

    Example:
        >>> date(881250949), date(12.5)
        ('1997-12-04 15:55', '12.5')
    """
    for unit in (1, 1000):
        if 1e8 <= time / unit < 4.2e9:  # 1973 to 2103
            return datetime.fromtimestamp(time / unit, UTC).strftime("%Y-%m-%d %H:%M")
    return f"{time:g}"


def _cold(meta: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of users and of items that training does not know, under the split that is used and under others."""
    found = []
    for kind, counts in meta.get("unseen", {}).items():
        sides = {side: counts[side] for side in ("users", "items") if side in counts}
        if sides:
            found.append(
                {"split": kind, "used": kind == meta["recipe"]["split"]["kind"], "rows": counts["rows"], **sides}
            )
    return found


def _tables(store: Store) -> dict[str, dict[str, int]]:
    """Rows of each stacked table in each part."""
    found: dict[str, dict[str, int]] = {table: {} for table in store.meta.get("tables", ())}
    for part in store.parts if found else ():
        source = store.split(part).source
        for place, table in enumerate(found):
            found[table][part] = 0 if source is None else int((source == place).sum())
    return found


def _task(task: Task, store: Store) -> dict[str, Any]:
    places = store.schema.columns_of(task)
    texts = {target["name"]: target["expression"] for target in store.meta["recipe"]["targets"]}
    parts = {part: label_figures(store.split(part).targets[:, places], task.kind) for part in store.parts}
    for part, figures in parts.items():
        noise = store.split(part).noise
        if noise is not None and figures["labelled"]:
            known = noise[:, places]
            known = known[~known.isnan()]
            figures["noise"] = float(known.double().mean()) if len(known) else None
    return {
        "name": task.name,
        "kind": task.kind,
        "about": task.about,
        "parent": task.parent,
        "weight": task.weight,
        "labels": [texts.get(target, target) for target in task.targets],
        "parts": parts,
    }


def _correlation(tasks: Sequence[Task], store: Store) -> dict[str, Any]:
    targets = store.split("train").targets
    drawn = (store.meta.get("negatives") or {}).get("task")  # all its labels in the store are positive
    tasks = [task for task in tasks if task.name != drawn]
    names, places, logs = [], [], []
    texts = {target["name"]: target["expression"] for target in store.meta["recipe"]["targets"]}
    several = sum(len(task.targets) for task in tasks) <= MOST_CORRELATED
    for task in tasks:
        logged = task.options.get("transform") == "log1p"
        for target, place in zip(task.targets, store.schema.columns_of(task), strict=True):
            if len(task.targets) == 1 or several:
                names.append(task.name + (" (log1p)" if logged else "") if len(task.targets) == 1 else texts[target])
                places.append(place)
                logs.append(logged)
    if len(places) < 2:
        return {"names": names, "value": [], "rows": []}
    # A column at a time where few of many are asked for would read the file as often.
    value, rows = correlations(targets if places == list(range(targets.shape[1])) else targets[:, places], logs)
    return {"names": names, "value": value.tolist(), "rows": rows.tolist()}


def _features(store: Store) -> list[dict[str, Any]]:
    # Each part is mapped anew, so that no more of the files than one part's stays in memory.
    figures = {part: feature_figures(store.schema, store.split(part)) for part in store.parts}
    found = []
    for encoding in store.encodings:
        feature, name = encoding.feature, encoding.name
        found.append(
            {
                "name": name,
                "kind": getattr(encoding, "made", "") or encoding.kind,
                "side": encoding.side,
                "from": encoding.expression,
                "values": None if encoding.kind == "dense" else feature.size - 1,
                "width": feature.width,
                "mean": encoding.mean if encoding.kind == "dense" else None,
                "std": encoding.std if encoding.kind == "dense" else None,
                "unknown": {part: figures[part][name]["unknown"] for part in figures},
                "constant": not figures["train"][name]["varies"],
            }
        )
    return found


def _history(store: Store) -> dict[str, Any] | None:
    if "history" not in store.meta:
        return None
    said = {key: store.meta["history"][key] for key in ("of", "length", "events", "seen")}
    windows = {part: store.split(part).history for part in store.parts}
    parts = {part: history_figures(w, said["length"]) for part, w in windows.items() if w is not None}
    return {**said, "parts": parts}


def _warnings(facts: Mapping[str, Any]) -> list[str]:
    """What is worth a second look, in plain words."""
    found = []
    drawn = (facts["negatives"] or {}).get("task")
    for task in facts["tasks"]:
        for part, figures in task["parts"].items():
            found += _label_warnings(task, part, figures, drawn == task["name"])
    for feature in facts["features"]:
        if feature["constant"]:
            found.append(f"feature {feature['name']}: it is the same on every training row, so it says nothing")
        elif feature["unknown"].get("test", 0) > MUCH_UNKNOWN and feature["kind"] in ("categorical", "time"):
            share = f"{feature['unknown']['test']:.0%}"
            found.append(
                f"feature {feature['name']}: unknown on {share} of test rows (missing, rare, or never seen in training)"
            )
    spans = {part["name"]: part["span"] for part in facts["parts"] if part["span"]}
    if facts["split"]["kind"] == "global_time" and {"train", "test"} <= set(spans):
        last, first = spans["train"], spans["test"]
        if last["last"] > first["first"]:
            found.append(f"split: training ends {last['to']}, after the test part begins {first['from']}")
    rows = {part["name"]: part["rows"] for part in facts["parts"]}
    if facts["repeats"] and facts["repeats"]["test"] >= MANY_REPEATS * rows["test"]:
        again, n = facts["repeats"]["test"], rows["test"]
        found.append(
            f"repeats: {again:,} of {n:,} test rows ({again / n:.1%}) equal a training row in every input and label"
        )
    return found


def _label_warnings(task: Mapping[str, Any], part: str, figures: Mapping[str, Any], drawn: bool) -> list[str]:
    name, n = task["name"], figures["labelled"]
    if n == 0:
        what = "nothing is learned" if part == "train" else "nothing is measured"
        return [f"{name}: no {part} row has a label; {what} there"]
    if task["kind"] != "binary" or drawn:
        return []
    if figures["positives"] in (0, n):
        only = "positive" if figures["positives"] else "negative"
        return [f"{name}: all {n:,} labelled {part} rows are {only}; AUC is not defined there"]
    if part not in ("train", "val") and figures["positives"] < FEWEST_POSITIVES:
        return [
            f"{name}: {figures['positives']:,} positive {part} rows, fewer than {FEWEST_POSITIVES}: no verdict on it"
        ]
    return []


def _plain(value: Any) -> Any:
    """The same with what JSON knows: NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
