"""What the columns of an unknown table may be: guesses by name and by content, each with its doubt in words."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from taskloom.data.column_names import (
    CODES,
    FIRST,
    GROUP,
    ID,
    ITEM,
    LATER,
    LEVELS,
    OUTCOME,
    PART,
    PAST,
    TIME,
    USER,
    says,
    slug,
    sql,
    words,
)

YES = ("yes", "y", "true", "t", "1", "male")
SEPARATORS = ("|", ";", ",")
MOST_LEVELS = 11
ENOUGH = 50  # rows below which shares say nothing
Options = dict[str, Any]


@dataclass
class Guess:
    """What a table seems to be.

    Args:
        rows: that were looked at.
        user, item, time, group, part: columns; None where there is none.
        unit: of a time in numbers: s or ms.
        features: name to its options.
        tasks: name to its options.
        excluded: column to why no feature may use it.
        notes: by feature, task or section: a doubt in words.
        left_out: column to why it is no feature.
    """

    rows: int
    user: str | None = None
    item: str | None = None
    time: str | None = None
    group: str | None = None
    part: str | None = None
    unit: str = "s"
    features: dict[str, Options] = field(default_factory=dict)
    tasks: dict[str, Options] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def guess(frame: pl.DataFrame) -> Guess:
    """What the columns seem to be.

    Args:
        frame: the first rows of a table.

    Example:
        >>> frame = pl.DataFrame({"user_id": [1, 1, 2, 3] * 20, "price": [0.5, 2] * 40, "clicked": [0, 1, 1, 0] * 20})
        >>> found = guess(frame)
        >>> found.user, found.features["price"], found.tasks["clicked"]["kind"]
        ('user_id', {'kind': 'dense', 'side': 'context'}, 'binary')
    """
    found = Guess(frame.height)
    free = list(frame.columns)
    for name in frame.columns:
        if frame[name].n_unique() <= 1:
            found.left_out[name] = "one value only"
            free.remove(name)
    found.time, found.unit = _time(frame, free)
    found.part = _part(frame, free)
    free = [name for name in free if name not in (found.time, found.part)]
    found.user = _who(frame, free, USER)
    found.item = _who(frame, [name for name in free if name != found.user], ITEM)
    free = [name for name in free if name not in (found.user, found.item)]
    found.group = next((n for n in free if says(n, GROUP) and _repeats(frame[n]) and not _real(frame[n])), None)
    free = [name for name in free if name != found.group]
    _tasks(frame, free, found)
    free = [name for name in free if name not in found.notes.get(" targets", "").split("\0")]
    found.notes.pop(" targets", None)
    for who, side in ((found.user, "user"), (found.item, "item")):
        if who is not None:
            _add(found, who, {"kind": "categorical", "side": side})
    for name in free:
        _feature(frame, name, found)
    if found.time is not None:
        parts = ["hour", "weekday"] if _clock(frame[found.time], found.unit) else ["weekday"]
        options = {"kind": "time", "side": "context", "column": found.time, "parts": parts}
        _add(found, "when", options | ({"unit": "ms"} if found.unit == "ms" else {}))
    if found.group is not None:
        _add(found, "group", {"kind": "group", "column": found.group}, "what grouped metrics go by")
    if not any(options["kind"] != "group" for options in found.features.values()):
        _rescue(frame, found)
    return found


def _add(found: Guess, name: str, options: Options, note: str = "") -> None:
    column = options.get("column", name)
    key = slug(name, found.features)
    found.features[key] = options if key == column else {**options, "column": column}
    if note:
        found.notes[key] = note


def _rescue(frame: pl.DataFrame, found: Guess) -> None:
    """A table without any feature cannot run: what was left out for its content is better than nothing."""
    doubtful = {name: why for name, why in found.excluded.items() if why.startswith("tells ")}
    doubtful |= {name: why for name, why in found.left_out.items() if why != "one value only"}
    for name, why in doubtful.items():
        found.excluded.pop(name, None)
        found.left_out.pop(name, None)
        _add(
            found, name, {"kind": "dense" if frame[name].dtype.is_numeric() else "categorical", "side": "context"}, why
        )


def _real(column: pl.Series) -> bool:
    return column.dtype.is_float() and not bool((column.drop_nulls() % 1 == 0).all())


def _repeats(column: pl.Series) -> bool:
    return column.n_unique() < 0.9 * len(column)


def _who(frame: pl.DataFrame, free: list[str], vocabulary: str) -> str | None:
    """The column of ids that a vocabulary means, the one that repeats most plainly first."""
    fits = [name for name in free if says(name, vocabulary) and _ids(frame[name])]
    # user_id before user_type: an id has no other word than the vocabulary's and those of ids
    plain = set(vocabulary.split()) | set(ID.split())
    fits.sort(key=lambda name: (len(set(words(name)) - plain), not says(name, ID)))
    return fits[0] if fits and not set(words(fits[0])) - plain else None


def _ids(column: pl.Series) -> bool:
    """Whether values may be names of things that come again."""
    if _real(column) or _long(column) or not (column.dtype.is_numeric() or column.dtype == pl.String):
        return False
    return 2 < column.n_unique() < len(column)


def _long(column: pl.Series) -> bool:
    """Whether texts are sentences."""
    if column.dtype != pl.String:
        return False
    return float(column.drop_nulls().str.split(" ").list.len().mean() or 0) >= 4  # type: ignore[arg-type]


def _dates(column: pl.Series) -> bool:
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return True
    if column.dtype != pl.String:
        return False
    texts = column.drop_nulls()
    return len(texts) > 0 and bool(
        texts.str.contains(r"^\s*\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}.*)?\s*$").all()
    )


def _clock(column: pl.Series, unit: str) -> bool:
    """Whether times tell the hour."""
    if column.dtype == pl.Date:
        return False
    if column.dtype == pl.String:
        return bool(column.drop_nulls().str.contains(":").any())
    if column.dtype.is_numeric():
        return bool((column.drop_nulls() % (86_400_000 if unit == "ms" else 86_400) != 0).any())
    return True


def _time(frame: pl.DataFrame, free: list[str]) -> tuple[str | None, str]:
    """The column that says when a row was; it has a value in every row."""
    whole = [name for name in free if frame[name].null_count() == 0]
    dates = [name for name in whole if _dates(frame[name])]
    named = [name for name in dates if says(name, TIME)]
    for name in whole:
        if says(name, TIME) and frame[name].dtype.is_numeric():
            low, high = float(frame[name].min()), float(frame[name].max())  # type: ignore[arg-type]
            if low > 3e8 and high < 5e9:  # 1979 to 2128
                return name, "s"
            if low > 3e11 and high < 5e12:
                return name, "ms"
    chosen = named or (dates if len(dates) == 1 else [])
    return (chosen[0] if chosen else None), "s"


def _part(frame: pl.DataFrame, free: list[str]) -> str | None:
    """A column that tells training from test rows."""
    for name in free:
        if says(name, PART) and frame[name].dtype == pl.String:
            values = set(frame[name].drop_nulls().unique())
            if {"train", "test"} <= values and values <= {"train", "val", "test"}:
                return name
    return None


def _tasks(frame: pl.DataFrame, free: list[str], found: Guess) -> None:
    """Columns that look like outcomes, as tasks; those that cannot be one are excluded."""
    targets = []
    for name in free:
        if not says(name, OUTCOME) or says(name, PAST):
            continue
        options, note = _task(frame[name], name)
        if options is None:
            found.excluded[name] = f"looks like an outcome: {note}"
        else:
            key = slug(name, found.tasks)
            found.tasks[key] = options
            found.notes[f"task {key}"] = note
        targets.append(name)
    if not found.tasks:
        for name in [*reversed(free)]:
            options, note = _task(frame[name], name)
            if options is not None and name not in targets:
                key = slug(name)
                found.tasks[key], targets = options, [*targets, name]
                found.notes[f"task {key}"] = (
                    f"no column is called like an outcome: is this what you want to predict? {note}"
                )
                break
    found.notes[" targets"] = "\0".join(targets)
    _parents(frame, targets, found)


def _task(column: pl.Series, name: str) -> tuple[Options | None, str]:
    """A task of a column, with a note; None where it cannot be one."""
    values = column.drop_nulls().unique()
    if column.dtype == pl.Boolean or (column.dtype.is_numeric() and set(values) == {0, 1}):
        return {"kind": "binary", "target": name}, ""
    if len(values) == 2 and column.dtype in (pl.String, pl.Int64, pl.Float64):
        first, second = sorted(values, key=lambda value: (str(value).lower() in YES, str(value)))
        said = f"'{second}'".replace("''", "'") if column.dtype == pl.String else f"{second:g}"
        return {"kind": "binary", "target": f"{sql(name)} = {said}"}, f"the other value is {first!r}: right way round?"
    if not column.dtype.is_numeric():
        return None, f"it holds {len(values)} texts; make tasks of it by comparing, as in {sql(name)} = '...'"
    if not bool(column.drop_nulls().is_finite().all() if column.dtype.is_float() else True):
        return None, "it holds numbers that are not finite"
    if says(name, LEVELS) and len(values) <= MOST_LEVELS:
        return {"kind": "ordinal", "target": name}, "or kind: regression"
    if _skewed(column):
        return {
            "kind": "regression",
            "target": name,
            "options": {"transform": "log1p"},
        }, "learnt as log1p: it is skewed"
    return {"kind": "regression", "target": name}, ""


def _skewed(column: pl.Series) -> bool:
    """Whether numbers from 0 on have a long tail."""
    values = column.drop_nulls().cast(pl.Float64).drop_nans()
    if len(values) == 0 or float(values.min()) < 0:  # type: ignore[arg-type]
        return False
    middle, high = float(values.quantile(0.5) or 0), float(values.max())  # type: ignore[arg-type]
    return high > 20 * max(middle, 1e-9) and high > 10


def _parents(frame: pl.DataFrame, targets: list[str], found: Guess) -> None:
    """A purchase needs a click: where the rows agree, the later task names the earlier one."""
    first = next(
        (k for k, o in found.tasks.items() if says(k, FIRST) and o["kind"] == "binary" and o["target"] in targets), None
    )
    if first is None:
        return
    there = frame[found.tasks[first]["target"]].cast(pl.Float64) == 1
    for name, options in found.tasks.items():
        if name == first or not says(name, LATER) or options["target"] not in frame.columns:
            continue
        happened = frame[options["target"]].cast(pl.Float64).fill_null(0) != 0
        if float((happened & ~there.fill_null(False)).sum()) <= 0.001 * float(happened.sum()):
            options["parent"] = first
            found.notes[f"task {name}"] = f"only where {first} in the rows looked at; " + found.notes[f"task {name}"]


def _feature(frame: pl.DataFrame, name: str, found: Guess) -> None:
    """A column as a feature, or why it is none."""
    column, rows = frame[name], frame.height
    distinct = column.n_unique()
    side = _side(frame, name, found)
    if found.rows >= ENOUGH and (told := _tells(frame, name, found)):
        found.excluded[name] = f"tells {told} in every row looked at: known only afterwards?"
        return None
    if isinstance(column.dtype, pl.List):
        return _add(found, name, {"kind": "bag", "side": side, "width": 10})
    if _dates(column):
        note = "another date: of what?" if found.time else "not in every row, so no time to split by"
        return _add(found, name, {"kind": "time", "side": side, "parts": ["weekday", "month"]}, note)
    if column.dtype == pl.Boolean:
        return _add(found, name, {"kind": "categorical", "side": side})
    if column.dtype == pl.String:
        return _text(column, name, side, found)
    if not column.dtype.is_numeric():
        found.left_out[name] = f"it holds {column.dtype}"
        return None
    whole = not _real(column)
    if whole and rows >= ENOUGH and distinct == rows and (says(name, ID) or column.is_sorted()):
        found.left_out[name] = "another value in every row: a row number?"
        return None
    if whole and (words(name)[-1:] == ["id"] or distinct <= 5 or (distinct <= 100 and says(name, CODES))):
        return _add(found, name, {"kind": "categorical", "side": side} | _rare(distinct, rows))
    return _add(found, name, {"kind": "dense", "side": side} | ({"log": True} if _skewed(column) else {}))


def _rare(distinct: int, rows: int) -> Options:
    return {"min_count": 5} if distinct > 1000 or distinct > rows / 10 else {}


def _text(column: pl.Series, name: str, side: str, found: Guess) -> None:
    """A column of text: a sentence, several values, or one of some values."""
    texts = column.drop_nulls()
    distinct, rows = texts.n_unique(), len(column)
    for separator in SEPARATORS:
        parts = texts.str.split(separator).list.explode()
        several = float(texts.str.contains(separator, literal=True).mean() or 0)  # type: ignore[arg-type]
        if several >= 0.2 and parts.n_unique() <= max(0.5 * distinct, 20) and not _long(parts):
            return _add(found, name, {"kind": "bag", "side": side, "separator": separator, "width": 10})
    if _long(texts) and distinct > 20:
        return _add(found, name, {"kind": "text", "side": side, "words": [1, 2], "width": 32})
    if rows >= ENOUGH and distinct > 0.95 * rows:
        found.left_out[name] = "another text in nearly every row"
        return None
    return _add(found, name, {"kind": "categorical", "side": side} | _rare(distinct, rows))


def _side(frame: pl.DataFrame, name: str, found: Guess) -> str:
    """Whom a column describes: it is the user's where each user has one value, and so for items."""
    for side, key in (("user", found.user), ("item", found.item)):
        if key is not None and _repeats(frame[key]):
            values = frame.group_by(key).agg(pl.col(name).n_unique().alias("n"), pl.len().alias("rows"))
            several = values.filter(pl.col("rows") > 1)["n"]
            if len(several) and float((several == 1).mean()) >= 0.98:  # type: ignore[arg-type]
                return side
    return "context"


def _tells(frame: pl.DataFrame, name: str, found: Guess) -> str | None:
    """A task whose label each of the column's few values tells without exception."""
    if frame[name].n_unique() > 50 or isinstance(frame[name].dtype, pl.List):
        return None
    for task, options in found.tasks.items():
        target = options["target"]
        label = pl.col(target) if target in frame.columns else pl.sql_expr(target)
        labels = frame.select(label.alias("label"), pl.col(name).alias("value")).drop_nulls("label")
        each = labels.group_by("value").agg(pl.col("label").n_unique())["label"].max()
        rarer = len(labels) - labels.group_by("label").len()["len"].to_numpy().max(initial=0)
        if each == 1 and rarer >= 10 and len(labels) >= 5 * labels["value"].n_unique():  # else it may be chance
            return task
    return None
