"""What is best, what is no worse than noise, what was gained: marks on the points of a comparison."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from taskloom.comparing.deltas import baseline_of, baselines, delta_m, gains
from taskloom.comparing.fronts import front
from taskloom.comparing.points import Design
from taskloom.comparing.reading import SCORE
from taskloom.comparing.statistics import LEVEL, difference_p, holm, mean_of

Values = dict[object, float]
#: the model that Δm is against where nobody says otherwise
BASELINE = "single_task"
_DECIMALS = 4  # as tables show: what looks the same is equally good


def mark_best(
    found: Sequence[dict[str, Any]],
    design: Design,
    known: Mapping[str, Mapping[str, Any]],
    values: Mapping[int, Mapping[str, Values]],
) -> None:
    """The best mean of each metric, and what is not told apart from it."""
    for metric, about in known.items():
        if about["higher_is_better"] is None:
            continue
        for rivals in _rivals(found, design, metric):
            sign = 1 if about["higher_is_better"] else -1
            if len(rivals) < 2:
                continue
            best = max(rivals, key=lambda point: sign * point["metrics"][metric]["mean"])
            digits = decimals([point["metrics"][metric]["mean"] for point in rivals])
            top = round(best["metrics"][metric]["mean"], digits)
            others = [point for point in rivals if point is not best]
            raised = holm([difference_p(values[best["id"]][metric], values[each["id"]][metric]) for each in others])
            best["metrics"][metric]["best"] = True
            for point, p in zip(others, raised, strict=True):
                own = point["metrics"][metric]
                own["best"] = round(own["mean"], digits) == top
                own["compared"] = True
                own["p"], own["within_noise"] = p, p is not None and p >= LEVEL and not own["best"]


def _rivals(found: Sequence[dict[str, Any]], design: Design, metric: str) -> list[list[dict[str, Any]]]:
    """Points whose values of a metric mean the same: on the same data; of ``val/score``, with the same tasks."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for entry, point in zip(found, design.points, strict=True):
        if metric in entry["metrics"]:
            tasks = ",".join(point.done[0].tasks) if metric == SCORE else ""
            groups.setdefault((point.data, tasks), []).append(entry)
    return list(groups.values())


def mark_gains(
    found: Sequence[dict[str, Any]],
    design: Design,
    known: Mapping[str, Mapping[str, Any]],
    values: Mapping[int, Mapping[str, Values]],
    spec: str | None,
) -> list[str]:
    """Gains over the baseline and Δm."""
    several = len(design.points) > 1
    candidates, own, notes = baselines(design.points, spec or BASELINE, asked=spec is not None)
    scores = {entry["id"]: entry["metrics"][SCORE]["mean"] for entry in found if SCORE in entry["metrics"]}
    for point in candidates:
        found[point.id]["baseline"] = True
    others: dict[str, list[str]] = {}
    for entry, point in zip(found, design.points, strict=True):
        if point in candidates or not point.done:
            continue
        base, differing = baseline_of(point, candidates, own, scores)
        if base is None:
            continue
        if differing:
            others.setdefault(found[base.id]["label"], []).append(entry["label"])
        by_task = []
        for metric, about in known.items():
            up = about["higher_is_better"]
            if metric == SCORE or up is None or metric not in entry["metrics"]:
                continue
            gained = gains(values[point.id][metric], values[base.id][metric], up)
            if gained:
                entry["metrics"][metric]["delta"] = mean_of(list(gained.values())).mean
            if about["main"]:
                by_task.append(gained)
        total = delta_m(by_task)
        entry["baseline_point"] = base.id
        entry["delta_m"] = {"mean": total.mean, "se": total.se, "n": total.n} if total else None
    for base_label, labels in others.items():
        few = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
        notes.append(f"no baseline has the settings of {few}: held against {base_label}, the best by val/score")
    return notes if several and (spec or "model" in design.keys) else []


def mark_fronts(found: Sequence[dict[str, Any]], known: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The front of each pair of main metrics, on each data set."""
    main = [metric for metric, about in known.items() if about["main"]]
    fronts = []
    for x, y in itertools.combinations(main, 2):
        for data in dict.fromkeys(entry["data"] for entry in found):
            those = {
                entry["id"]: (entry["metrics"][x]["mean"], entry["metrics"][y]["mean"])
                for entry in found
                if entry["data"] == data and x in entry["metrics"] and y in entry["metrics"]
            }
            best = front(those, (known[x]["higher_is_better"], known[y]["higher_is_better"]))
            if best:
                fronts.append({"x": x, "y": y, "data": data, "points": best})
            for place in those:
                found[place]["front"][f"{x}|{y}"] = place in best
    return fronts


def decimals(values: Sequence[float]) -> int:
    """Digits after the point with which a metric's values are shown: four, more where all of them are tiny.

    Example:
        >>> decimals([0.81, 0.8]), decimals([0.0002, 0.0011]), decimals([12345.6])
        (4, 5, 1)
    """
    largest = max((abs(value) for value in values if value), default=1.0)
    if largest >= 1000:
        return 1
    digits = _DECIMALS
    while largest < 0.1 ** (digits - 2) and digits < 9:
        digits += 1
    return digits
