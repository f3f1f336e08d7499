"""A data set's facts for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from taskloom.data.charts import count, number, percent

MANY_FEATURES = 40  # what is beyond them is on the page
MANY_LABELS = 12
Facts = Mapping[str, Any]


def facts_tables(facts: Facts) -> Group:
    """Rows, tasks, correlations, features and what to look at twice, as tables for ``rich``.

    Args:
        facts: of ``describe.describe``.
    """
    tables: dict[str, RenderableType | None] = {
        f"Rows, split {facts['split']['kind']}": _rows(facts),
        "Tasks": _tasks(facts),
        "Labels": _labels(facts),
        "Correlation of the training labels (rows with both)": _correlation(facts),
        "Features": _features(facts),
    }
    titled = [Group(Text(title, style="bold"), table) for title, table in tables.items() if table is not None]
    return Group(_head(facts), *titled, *_lines(facts))


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(Text(name), justify="left" if place < left else "right", overflow="fold")
    return table


def _head(facts: Facts) -> Text:
    who = "".join(f" · {count(facts[side])} {side}" for side in ("users", "items") if facts[side])
    first = f"{facts['name']} · {count(facts['rows']['used'])} rows{who} · fingerprint {facts['fingerprint']}"
    second = f"raw data: {facts['came_from']}" if facts["came_from"] else ""
    return Text("\n".join(line for line in (first, second) if line))


def _rows(facts: Facts) -> RenderableType:
    used: Facts = next((cold for cold in facts["cold"] if cold["used"]), {})
    sides = [side for side in ("users", "items") if side in used]
    spans = any(part["span"] for part in facts["parts"])
    table = _table("part", "rows", *(f"of new {side}" for side in sides), *(["time"] * spans))
    for part in facts["parts"]:
        name, n = part["name"], part["rows"]
        cold = [
            "–" if name == "train" or not n else f"{count(used[s][name])} ({percent(used[s][name] / n)})" for s in sides
        ]
        time = [f"{part['span']['from']} to {part['span']['to']}" if part["span"] else "–"] if spans else []
        table.add_row(name, count(n), *cold, *time)
    rows = facts["rows"]
    gone = {**rows["dropped"], **rows["filtered"]} | ({"malformed": rows["refused"]} if rows["refused"] else {})
    said = [f"{count(rows['read'])} rows read, {count(rows['used'])} in use"]
    said += [f"  left out {count(n)}: {rule}" for rule, n in gone.items()]
    said += [f"    {refusal}" for refusal in rows["refusals"][:5]]
    return Group(table, Padding(Text("\n".join(said)), (0, 0, 1, 0)))


def _tasks(facts: Facts) -> Table:
    table = _table("task", "kind", "part", "labelled", "coverage", "labels", left=3)
    for task in facts["tasks"]:
        for place, (part, figures) in enumerate(task["parts"].items()):
            first = (task["name"], task["kind"]) if not place else ("", "")
            table.add_row(*first, part, count(figures["labelled"]), percent(figures["coverage"]), _said(task, figures))
        table.add_section()
    return table


def _said(task: Facts, figures: Facts) -> str:
    """The labels of one part in a few figures."""
    if not figures["labelled"]:
        return "–"
    if task["kind"] == "binary":
        return f"{percent(figures['rate'])}, {count(figures['positives'])} positive"
    if task["kind"] == "multilabel":
        return f"{len(figures['rate'])} labels, {number(sum(figures['rate']))} a row"
    if "mean" in figures:
        middle = ", ".join(number(figures["quantiles"][share]) for share in ("0.05", "0.5", "0.95"))
        return f"mean {number(figures['mean'])} ± {number(figures['std'])}, 5/50/95% {middle}"
    shares = [f"{value}: {percent(n / figures['labelled'])}" for value, n in figures["classes"].items()]
    return " ".join(shares[:MANY_LABELS]) + (" …" if len(shares) > MANY_LABELS else "")


def _labels(facts: Facts) -> Table | None:
    """The labels of multilabel tasks, one a line."""
    several = [task for task in facts["tasks"] if task["kind"] == "multilabel"]
    if not several:
        return None
    parts = [part["name"] for part in facts["parts"]]
    table = _table("task", "label", *(f"rate, {part}" for part in parts), left=2)
    for task in several:
        for k, label in enumerate(task["labels"][:MANY_LABELS]):
            rates = [percent(task["parts"][p]["rate"][k]) if task["parts"][p]["labelled"] else "–" for p in parts]
            table.add_row(task["name"], label, *rates)
        if len(task["labels"]) > MANY_LABELS:
            table.add_row(task["name"], f"and {len(task['labels']) - MANY_LABELS} more", *[""] * len(parts))
    return table


def _correlation(facts: Facts) -> Table | None:
    """Every pair, or the closest ones where there are many."""
    found = facts["correlation"]
    names, value, rows = found["names"], found["value"], found["rows"]
    if not value:
        return None
    pairs = [(i, j) for i in range(len(names)) for j in range(i) if value[i][j] is not None or len(names) <= 3]
    pairs.sort(key=lambda pair: -abs(value[pair[0]][pair[1]] or 0))
    table = _table("task", "task", "correlation", "rows", left=2)
    for i, j in pairs[:MANY_LABELS]:
        r = value[i][j]
        table.add_row(names[j], names[i], "–" if r is None else f"{r:+.2f}", count(rows[i][j]))
    if len(pairs) > MANY_LABELS:
        table.add_row(f"and {len(pairs) - MANY_LABELS} weaker", "", "", "")
    return table


def _features(facts: Facts) -> Table:
    parts = [part["name"] for part in facts["parts"]]
    table = _table("feature", "kind", "side", "values", "mean ± sd", *(f"unknown, {part}" for part in parts), left=3)
    for feature in facts["features"][:MANY_FEATURES]:
        size = "–" if feature["values"] is None else count(feature["values"])
        size += f" × {feature['width']}" if feature["width"] > 1 else ""
        scale = "–" if feature["mean"] is None else f"{number(feature['mean'])} ± {number(feature['std'])}"
        unknown = [percent(feature["unknown"][part]) for part in parts]
        table.add_row(feature["name"], feature["kind"], feature["side"], size, scale, *unknown)
    if len(facts["features"]) > MANY_FEATURES:
        table.add_row(f"and {len(facts['features']) - MANY_FEATURES} more", *[""] * (4 + len(parts)))
    return table


def _lines(facts: Facts) -> list[Text]:
    """What is said in words."""
    found = []
    if history := facts["history"]:
        lengths = ", ".join(f"{part} {number(f['mean'])}" for part, f in history["parts"].items())
        said = (
            f"the last {history['length']} {' and '.join(history['of'])} of {history['seen']}; mean length: {lengths}"
        )
        found.append(f"history: {said}")
    found += [f"left out on purpose: {name}: {why}" for name, why in facts["excluded"].items()]
    for floor, scores in facts["floors"].items():
        found.append(f"floor {floor}: " + ", ".join(f"{metric} {number(value)}" for metric, value in scores.items()))
    found += [f"note: {line}" for line in facts["notes"]]
    lines = [Text(line) for line in found]
    return lines + [Text(f"warning: {line}", style="yellow") for line in facts["warnings"]]
