"""The tasks on the data page: a card each."""

from collections.abc import Mapping
from html import escape
from typing import Any

from taskloom.data.charts import bars, count, histogram, legend, number, percent, prose, swatch, table

MOST_BARS = 30  # of one picture; what is beyond them is in the JSON
Facts = Mapping[str, Any]


def task_card(task: Facts, negatives: Facts | None) -> str:
    """What a task's labels look like in each part: a table and a picture.

    Args:
        task: one of ``describe.describe``'s tasks.
        negatives: of the same facts.
    """
    parent = f" · needs a positive {escape(task['parent'])}" if task["parent"] else ""
    about = f"<p>{prose(task['about'])}</p>" if task["about"] else ""
    picture = _picture(task)
    if negatives and negatives["task"] == task["name"]:
        said = f"All of these are positives; training draws {negatives['per_row']} items against each of them."
        about, picture = about + f'<p class="note">{said}</p>', ""
    labels = task["labels"]
    said = f"from <code>{escape(labels[0])}</code>" if len(labels) == 1 else f"{len(labels)} labels"
    head, rows = _label_table(task)
    return (
        f'<article class="task"><h3>{escape(task["name"])}<small>{escape(task["kind"])} · {said}{parent}</small></h3>'
        f'{about}<div class="two"><div>{table(head, rows)}</div>{picture}</div></article>'
    )


def _label_table(task: Facts) -> tuple[list[str], list[list[str]]]:
    """Coverage, and a few figures, of each part."""
    parts = task["parts"]
    head, keys = ["part", "labelled", "coverage"], []
    if task["kind"] == "binary":
        head += ["positives", "rate"]
    elif any("mean" in figures for figures in parts.values()):
        head += ["mean", "sd", "5%", "median", "95%"]
        keys = ["0.05", "0.5", "0.95"]
    noisy = any(figures.get("noise") for figures in parts.values())
    rows = []
    for part, figures in parts.items():
        row = [swatch(part), count(figures["labelled"]), percent(figures["coverage"])]
        if task["kind"] == "binary":
            row += [count(figures.get("positives")), percent(figures.get("rate"))]
        elif keys:
            quantiles = figures.get("quantiles", {})
            row += [number(figures.get("mean")), number(figures.get("std")), *(number(quantiles.get(k)) for k in keys)]
        rows.append([*row, number(figures.get("noise"))] if noisy else row)
    return [*head, "label noise (sd)"] if noisy else head, rows


def _picture(task: Facts) -> str:
    """How the labels are distributed."""
    parts = {part: figures for part, figures in task["parts"].items() if figures["labelled"]}
    if not parts:
        return ""
    some = {part: parts[part] for part in ("train", "test") if part in parts} or parts
    first = next(iter(some.values()))
    if task["kind"] == "binary":
        rows = [(part, {part: (figures["rate"], percent(figures["rate"]))}) for part, figures in parts.items()]
        return f"<figure><figcaption>Positive rate</figcaption>{bars(rows)}</figure>"
    if task["kind"] == "multilabel":
        order = sorted(range(len(task["labels"])), key=lambda k: -first["rate"][k])[:MOST_BARS]
        shares = {task["labels"][k]: {p: f["rate"][k] for p, f in some.items()} for k in order}
        return _share_bars("Rate of each label", shares, len(task["labels"]) - len(order))
    if "classes" in first:
        values = sorted({value for figures in some.values() for value in figures.get("classes", {})}, key=float)
        shares = {
            value: {p: f.get("classes", {}).get(value, 0) / f["labelled"] for p, f in some.items()}
            for value in values[:MOST_BARS]
        }
        return _share_bars("Share of each value", shares, len(values) - len(shares))
    if "histogram" not in first:
        return ""
    part = next(iter(some))
    drawn = histogram(**first["histogram"], title=f"Histogram of {task['name']} on {part} rows", part=part)
    caption = f"Distribution on {escape(part)} rows; the outer bars hold what is beyond the 0.5% and 99.5% quantile"
    return f"<figure><figcaption>{caption}</figcaption>{drawn}</figure>"


def _share_bars(caption: str, shares: Mapping[str, Mapping[str, float]], more: int) -> str:
    rows = [(label, {part: (x, percent(x)) for part, x in each.items()}) for label, each in shares.items()]
    parts = list(next(iter(shares.values())))
    rest = f'<p class="note">and {more} more in the JSON below</p>' if more else ""
    return f"<figure><figcaption>{caption}</figcaption>{legend(parts)}{bars(rows)}{rest}</figure>"
