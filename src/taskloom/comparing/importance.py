"""Which settings matter: each one's share of the variance of a metric between configurations."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from taskloom.comparing.settings import Value

#: configurations below which an incomplete grid says nothing of importance
ENOUGH = 16
INTERACTIONS = "interactions"
_RANGE = 30  # a positive setting that spans more than this is looked at by its logarithm


def describe_key(name: str, values: Sequence[Value]) -> dict[str, Any]:
    """A setting's kind and values: number or category, on a logarithmic axis or not, rising or in order of appearance.

    Example:
        >>> describe_key("optimizer.lr", [0.01, 0.0001, None])
        {'key': 'optimizer.lr', 'kind': 'number', 'log': True, 'values': [0.0001, 0.01, None]}
    """
    known = [value for value in dict.fromkeys(values) if value is not None]
    numbers = [value for value in known if isinstance(value, int | float) and not isinstance(value, bool)]
    absent: list[Value] = [None] if None in values else []
    if not known or len(numbers) < len(known):
        return {"key": name, "kind": "category", "log": False, "values": known + absent}
    rising = sorted(numbers)
    log = rising[0] > 0 and rising[-1] / rising[0] >= _RANGE
    return {"key": name, "kind": "number", "log": log, "values": rising + absent}


def importance(
    settings: Sequence[Mapping[str, Value]], values: Sequence[Mapping[object, float]], blocks: Sequence[str]
) -> tuple[list[dict[str, Any]], str]:
    """Shares of the variance between configurations, the largest first, and how they were found.

    On a full grid they are the sums of squares of an analysis of variance: exact, and what is left is the settings'
    acting together. Elsewhere a forest estimates them, see ``forest.permutation_shares``.

    Args:
        settings: of each configuration with values, the settings that are to be judged.
        values: of each, the metric by seed.
        blocks: of each, the data it was tested on; differences between data are not counted.

    Returns:
        Rows of ``key``, ``share`` and ``se`` (over seeds on a grid, over trees in a forest; None where it is not
        known); and a sentence: the method, or why there are none.
    """
    keys = [key for key in (settings[0] if settings else {}) if len({row[key] for row in settings}) > 1]
    if len(keys) < 2:
        return [], "importance takes two settings that differ"
    means = [_mean(row) for row in values]
    if _is_rounding(sum(value * value for value in _within(means, blocks)), means):
        return [], "all configurations are equally good, or one has diverged"
    if _is_grid(settings, keys, blocks):
        return _by_variance(settings, values, blocks, keys), "by analysis of variance of the full grid"
    if len(settings) < max(ENOUGH, 3 * len(keys)):
        wanted = max(ENOUGH, 3 * len(keys))
        return [], f"importance takes a full grid, or {wanted} configurations; there are {len(settings)}"
    return _by_forest(settings, values, blocks, keys), "by a forest on the means of the configurations"


def _by_variance(
    settings: Sequence[Mapping[str, Value]],
    values: Sequence[Mapping[object, float]],
    blocks: Sequence[str],
    keys: Sequence[str],
) -> list[dict[str, Any]]:
    shares = _shares(settings, [_mean(row) for row in values], blocks, keys)
    seeds = list(values[0])
    spread: dict[str, float] = {}
    if len(seeds) > 1 and all(set(row) == set(seeds) for row in values):  # the jackknife, a seed left out at a time
        left_out = [
            _shares(settings, [_mean({k: v for k, v in row.items() if k != seed}) for row in values], blocks, keys)
            for seed in seeds
        ]
        n = len(seeds)
        for key in shares:
            each = [found.get(key, 0.0) for found in left_out]
            mean = sum(each) / n
            spread[key] = math.sqrt((n - 1) / n * sum((share - mean) ** 2 for share in each))
    rows: list[dict[str, Any]] = [{"key": key, "share": share, "se": spread.get(key)} for key, share in shares.items()]
    last = [row for row in rows if row["key"] == INTERACTIONS]
    return sorted((row for row in rows if row not in last), key=lambda row: -row["share"]) + last


def _shares(
    settings: Sequence[Mapping[str, Value]], means: Sequence[float], blocks: Sequence[str], keys: Sequence[str]
) -> dict[str, float]:
    y = _within(means, blocks)
    total = sum(value * value for value in y)
    if _is_rounding(total, means):
        return {}
    shares = {}
    for key in keys:
        levels: dict[Value, list[float]] = {}
        for row, value in zip(settings, y, strict=True):
            levels.setdefault(row[key], []).append(value)
        explained = sum(sum(level) * (sum(level) / len(level)) for level in levels.values())
        shares[key] = explained / total
    shares[INTERACTIONS] = max(0.0, 1 - sum(shares.values()))
    return shares


def _by_forest(
    settings: Sequence[Mapping[str, Value]],
    values: Sequence[Mapping[object, float]],
    blocks: Sequence[str],
    keys: Sequence[str],
) -> list[dict[str, Any]]:
    import numpy as np

    from taskloom.comparing.forest import permutation_shares

    columns: list[list[float]] = []
    groups: list[list[int]] = []
    for key in keys:
        known = describe_key(key, [row[key] for row in settings])
        start = len(columns)
        if known["kind"] == "number":
            place = {value: rank for rank, value in enumerate(known["values"]) if value is not None}
            columns.append([float(place.get(row[key], -1)) for row in settings])
        if known["kind"] == "category" or None in known["values"]:
            levels = known["values"] if known["kind"] == "category" else [None]
            columns += [[float(row[key] == level) for row in settings] for level in levels]
        groups.append(list(range(start, len(columns))))
    y = np.array(_within([_mean(row) for row in values], blocks))
    shares = permutation_shares(np.array(columns).T, y, groups)
    means, errors = shares.mean(0), shares.std(0, ddof=1) / math.sqrt(len(shares))
    rows: list[dict[str, Any]] = [
        {"key": key, "share": max(0.0, float(means[place])), "se": float(errors[place])}
        for place, key in enumerate(keys)
    ]
    return sorted(rows, key=lambda row: -row["share"])


def _within(means: Sequence[float], blocks: Sequence[str]) -> list[float]:
    """Centred within each data set; where there are several, also scaled to one spread."""
    found = list(means)
    for block in dict.fromkeys(blocks):
        places = [place for place, each in enumerate(blocks) if each == block]
        centre = sum(means[place] for place in places) / len(places)
        spread = math.hypot(*(means[place] - centre for place in places)) / math.sqrt(len(places))
        several = len(set(blocks)) > 1
        for place in places:
            found[place] = (means[place] - centre) / (spread if several and spread else 1.0)
    return found


def _is_grid(settings: Sequence[Mapping[str, Value]], keys: Sequence[str], blocks: Sequence[str]) -> bool:
    levels = [list(dict.fromkeys(row[key] for row in settings)) for key in keys]
    wanted = set(itertools.product(dict.fromkeys(blocks), *levels))
    there = [(block, *(row[key] for key in keys)) for row, block in zip(settings, blocks, strict=True)]
    return len(there) == len(wanted) and set(there) == wanted


def _is_rounding(squares: float, means: Sequence[float]) -> bool:
    """Whether a sum of squares is no more than floats' own error, or too large for one."""
    return not math.isfinite(squares) or squares <= len(means) * (1e-12 * max(map(abs, means))) ** 2


def _mean(values: Mapping[object, float]) -> float:
    return sum(values.values()) / len(values)
