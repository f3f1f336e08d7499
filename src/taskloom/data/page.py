"""The data page: what a data set is, in one HTML file that needs nothing else."""

import base64
import json
from collections.abc import Mapping
from html import escape
from typing import Any

from taskloom.data.charts import count, matrix, number, percent, prose, spans, stack, swatch, table
from taskloom.data.page_style import STYLE
from taskloom.data.page_tasks import task_card

MANY_FEATURES = 30  # more are folded away
Facts = Mapping[str, Any]


def page(facts: Facts) -> str:
    """A data set's facts as one HTML page, with the facts themselves to download.

    Args:
        facts: of ``describe.describe``.

    Returns:
        the whole file: no script, no address, no other file; for light and dark, wide and narrow screens.
    """
    sections = (_warnings, _tasks, _correlation, _rows, _cold, _features, _history, _excluded, _floors, _notes)
    name = escape(facts["name"])
    came_from = f" · raw data: {escape(facts['came_from'])}" if facts["came_from"] else ""
    body = "".join(section(facts) for section in sections)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{name} · data</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<header><h1>{name}</h1>\n"
        f'<p class="sub">fingerprint <code>{escape(facts["fingerprint"])}</code>{came_from}</p></header>\n'
        f"{_tiles(facts)}\n{body}\n{_download(facts)}</main>\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>\n" if content else ""


def _tiles(facts: Facts) -> str:
    said = [(count(facts["rows"]["used"]), "rows in use")]
    said += [(count(facts[side]), side) for side in ("users", "items") if facts[side]]
    said += [(str(len(facts["tasks"])), "task" if len(facts["tasks"]) == 1 else "tasks")]
    said += [(str(len(facts["features"])), "features")]
    tiles = "".join(f'<div class="tile"><b>{value}</b><span>{what}</span></div>' for value, what in said)
    return f'<div class="tiles">{tiles}</div>'


def _warnings(facts: Facts) -> str:
    lines = "".join(f"<li>{prose(line)}</li>" for line in facts["warnings"])
    return f'<section class="warnings"><h2>To look at twice</h2><ul>{lines}</ul></section>\n' if lines else ""


def _tasks(facts: Facts) -> str:
    return _section("Tasks", "".join(task_card(task, facts["negatives"]) for task in facts["tasks"]))


def _correlation(facts: Facts) -> str:
    found = facts["correlation"]
    if not found["value"]:
        return ""
    said = (
        "Pearson's correlation of the training labels (φ where both are 0 or 1), over the rows that have both. Tasks "
        "that are two readings of one answer come close to ±1. A dash: one of the two is the same on all these rows."
    )
    return _section(
        "How the tasks go together",
        f'<p class="note">{said}</p>{matrix(found["names"], found["value"], found["rows"])}',
    )


def _rows(facts: Facts) -> str:
    parts, split = facts["parts"], facts["split"]
    said = {key: split[key] for key in ("column", "by", "folds", "fold") if split.get(key)}
    options = "".join(f"; {key} <code>{escape(str(value))}</code>" for key, value in said.items())
    shares = stack({part["name"]: part["share"] for part in parts}, "Rows in use")
    used: Facts = next((cold for cold in facts["cold"] if cold["used"]), {})
    sides = [side for side in ("users", "items") if side in used]
    lines = [
        [
            swatch(part["name"]),
            count(part["rows"]),
            percent(part["share"]),
            *(_cold_cell(used, side, part["name"]) for side in sides),
        ]
        for part in parts
    ]
    head = ["part", "rows", "share", *(f"rows of new {side}" for side in sides)]
    when = [
        (p["name"], p["span"]["first"], p["span"]["last"], f"{p['span']['from']} to {p['span']['to']}")
        for p in parts
        if p["span"]
    ]
    time = f"<figure><figcaption>When (UTC where it is a date)</figcaption>{spans(when)}</figure>" if when else ""
    tables = "".join(
        f'<p class="note">table {escape(name)}: '
        + ", ".join(f"{escape(part)} {count(n)}" for part, n in each.items())
        + "</p>"
        for name, each in facts["tables"].items()
        if len(facts["tables"]) > 1
    )
    about = f'<p>Split <b>{escape(split["kind"])}</b>{options}. <span class="note">{escape(split["about"])}</span></p>'
    return _section("Rows", about + shares + table(head, lines) + tables + time + _account(facts["rows"]))


def _cold_cell(cold: Facts, side: str, part: str) -> str:
    if part == "train" or not cold["rows"].get(part):
        return "–"
    n = cold[side][part]
    return f"{count(n)} ({percent(n / cold['rows'][part])})"


def _account(rows: Facts) -> str:
    """What became of every raw row."""
    lines = [["read from the files", count(rows["read"])]]
    lines += [[f"left out: {escape(rule)}", count(n)] for rule, n in {**rows["dropped"], **rows["filtered"]}.items()]
    lines += [["refused as malformed", count(rows["refused"])]] if rows["refused"] else []
    lines += [["<b>in use</b>", f"<b>{count(rows['used'])}</b>"]]
    refusals = "".join(f"<li>{escape(line)}</li>" for line in rows["refusals"])
    first = f'<details><summary>the first refused lines</summary><ul class="plain">{refusals}</ul></details>'
    caption = "<figcaption>What became of each row</figcaption>"
    return f"<figure style='margin-top:16px'>{caption}{table(['', 'rows'], lines)}</figure>{first if refusals else ''}"


def _cold(facts: Facts) -> str:
    """What each way of splitting would ask of a model."""
    if len(facts["cold"]) < 2:
        return ""
    lines = []
    for cold in facts["cold"]:
        mark = ' <span class="mark">used</span>' if cold["used"] else ""
        test = [_cold_cell(cold, side, "test") if side in cold else "–" for side in ("users", "items")]
        lines.append([escape(cold["split"]) + mark, count(cold["rows"].get("test")), *test])
    said = '<p class="note">Test rows of users and of items that no training row has, under each kind of split.</p>'
    return _section("New users and items", said + table(["split", "test rows", "of new users", "of new items"], lines))


def _features(facts: Facts) -> str:
    parts = [part["name"] for part in facts["parts"]]
    lines = []
    for feature in facts["features"]:
        size = count(feature["values"]) if feature["values"] is not None else "–"
        size += f" × {feature['width']}" if feature["width"] > 1 else ""
        scale = f"{number(feature['mean'])} ± {number(feature['std'])}" if feature["mean"] is not None else "–"
        name = f"{escape(feature['name'])}" + (' <span class="mark">constant</span>' if feature["constant"] else "")
        lines.append(
            [
                name,
                escape(feature["kind"]),
                escape(feature["side"]),
                f"<code>{escape(feature['from'])}</code>" if feature["from"] != feature["name"] else "",
                size,
                scale,
                *(percent(feature["unknown"].get(part)) for part in parts),
            ]
        )
    head = ["feature", "kind", "side", "from", "values", "mean ± sd", *(f"unknown, {part}" for part in parts)]
    drawn = table([escape(text) for text in head], lines, left=4, wrap=(3,), wide=True)
    said = (
        '<p class="note">Values: ids that training knows (× places of a bag). Unknown: missing, too rare, or never '
        "seen in training; of a number, missing; of a bag, empty.</p>"
    )
    if len(lines) > MANY_FEATURES:
        drawn = f"<details><summary>all {len(lines)} features</summary>{drawn}</details>"
    return _section("Features", said + drawn)


def _history(facts: Facts) -> str:
    found = facts["history"]
    if not found:
        return ""
    said = (
        f"The last {found['length']} {' and '.join(map(escape, found['of']))} of {escape(found['seen'])}; "
        f"{count(found['events'])} events in all."
    )
    lines = [
        [swatch(part), number(f["mean"]), number(f["median"]), count(f["most"]), percent(f["none"]), percent(f["full"])]
        for part, f in found["parts"].items()
    ]
    head = ["part", "mean length", "median", "most there are", "rows without one", "rows with a full one"]
    return _section("Histories", f"<p>{said}</p>{table(head, lines)}")


def _excluded(facts: Facts) -> str:
    lines = [[f"<code>{escape(name)}</code>", prose(why)] for name, why in facts["excluded"].items()]
    said = '<p class="note">Columns that no feature may use, for they would tell the outcome or the future.</p>'
    return _section("Left out on purpose", said + table(["column", "why"], lines, left=2, wrap=(1,))) if lines else ""


def _floors(facts: Facts) -> str:
    if not facts["floors"]:
        return ""
    metrics = list(dict.fromkeys(metric for scores in facts["floors"].values() for metric in scores))
    lines = [
        [escape(metric), *(number(scores.get(metric)) for scores in facts["floors"].values())] for metric in metrics
    ]
    said = '<p class="note">Simple predictors on the same test rows: what a model has to beat.</p>'
    return _section("Floors", said + table(["", *map(escape, facts["floors"])], lines))


def _notes(facts: Facts) -> str:
    lines = "".join(f"<li>{prose(line)}</li>" for line in facts["notes"])
    again = facts["repeats"]
    if again and (again["train"] or again["test"]):
        lines += (
            f"<li>{count(again['train'])} training rows repeat another one in every input and label; "
            f"{count(again['test'])} test rows repeat a training row.</li>"
        )
    return _section("Notes", f'<ul class="plain">{lines}</ul>' if lines else "")


def _download(facts: Facts) -> str:
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False).encode()
    address = "data:application/json;base64," + base64.b64encode(text).decode()
    name = escape(f"{facts['name']}-{facts['fingerprint']}.json")
    return f'<p><a class="button" download="{name}" href="{address}">All of this as JSON</a></p>\n'
