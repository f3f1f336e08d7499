"""The lines about its data that a run begins with."""

from collections.abc import Mapping, Sequence

from taskloom.data.store import Store
from taskloom.tasks import Task


def summary_lines(
    name: str, store: Store, tasks: Sequence[Task], came_from: str, excluded: Mapping[str, str]
) -> list[str]:
    """Rows, features, tasks, and what each split asks of a model.

    Args:
        name: of the data set.
        store: its processed form.
        tasks: those that are trained.
        came_from: where the raw files were got.
        excluded: columns that no feature may use, with the reason.
    """
    meta = store.meta
    used = meta["recipe"]["split"]["kind"]
    rows = " · ".join(f"{part} {count:,}" for part, count in meta["rows"].items())
    who = "".join(f"{mark} {meta[side]:,} {side}" for mark, side in ((";", "users"), (",", "items")) if meta[side])
    lines = [f"data {name}, fingerprint {store.fingerprint}, from {came_from}", f"  split {used}: {rows} rows{who}"]
    lines += _accounts(store)
    shapes = []
    for feature in store.schema.features:
        size = "dense" if feature.kind == "dense" else f"{feature.size:,}"
        shapes.append(f"{feature.name} {size}" + (f" (bag of {feature.width})" if feature.kind == "bag" else ""))
    lines.append("  features: " + ", ".join(shapes))
    if "history" in meta:
        history = meta["history"]
        lines.append(f"  history: the last {history['length']} {' and '.join(history['of'])} of {history['seen']}")
    if excluded:
        lines.append(f"  left out, for they would tell: {', '.join(excluded)}")
    for task in tasks:
        statistics = store.statistics(task.name)
        if len(task.targets) > 1:
            centre = f"{len(task.targets)} labels, mean rate {sum(statistics.mean) / len(statistics.mean):.3f}"
        elif task.kind == "binary":
            centre = f"base rate {statistics.mean[0]:.3f}"
        else:
            centre = f"mean {statistics.mean[0]:.3f} sd {statistics.std[0]:.3f}"
        about = f": {task.about}" if task.about else ""
        lines.append(f"  task {task.name} ({task.kind}, {statistics.n:,} labels, {centre}){about}")
    for kind, counts in meta["unseen"].items():
        if "users" not in counts or "items" not in counts:
            continue
        n, users, items = (counts[key]["test"] for key in ("rows", "users", "items"))
        marker = " (used)" if kind == used else ""
        lines.append(
            f"  test rows unseen in training, split {kind}{marker}: "
            f"users {users:,} of {n:,} ({_percent(users, n)}), items {items:,} ({_percent(items, n)})"
        )
    names = {task.name for task in tasks}
    warnings = [line for line in meta["warnings"] if line.partition(":")[0] in names | {"split"}]
    return lines + [f"  warning: {line}" for line in warnings] + [f"  note: {line}" for line in meta["notes"]]


def _accounts(store: Store) -> list[str]:
    """What became of raw rows that are in no part; nothing where all are."""
    account = store.meta["account"]
    gone = {**account["dropped"], **store.meta["filtered"]}
    if account["refused"]:
        gone["malformed"] = account["refused"]
    if not gone:
        return []
    said = ", ".join(f"{count:,} {rule}" for rule, count in gone.items())
    lines = [f"  left out of {account['read']:,} rows read: {said}"]
    return lines + [f"    {refusal}" for refusal in account["refusals"][:3]]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "no rows"
