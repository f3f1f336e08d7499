"""The answer of a comparison in a few sentences: what is best on each task, and how sure that is."""

from collections.abc import Mapping, Sequence
from typing import Any

#: points from which on the best of them is flattered by having been chosen
MANY = 10
NAMED = 3  # more within noise than these are counted, not named
Point = Mapping[str, Any]
Floor = Mapping[str, Any]


def answer(comparison: Mapping[str, Any]) -> list[str]:
    """What the numbers say, a sentence or two a task; ``**`` around what is to be emphasised.

    Args:
        comparison: of ``comparing.comparison``.

    Example:
        >>> def point(label, mean, best, near):
        ...     own = {"mean": mean, "se": 0.001, "best": best, "within_noise": near, "p": None if best else 0.6}
        ...     return {"label": label, "baseline": False, "delta_m": None, "metrics": {"like/auc": own}}
        >>> points = [point("soft", 0.8049, True, False), point("hard", 0.8045, False, True)]
        >>> metrics = {"like/auc": {"task": "like", "metric": "auc", "higher_is_better": True, "main": True}}
        >>> answer({"metrics": metrics, "points": points, "floors": []})[0]
        '**soft** is best on like/auc (0.8049 ± 0.0010); hard is within noise.'
    """
    points = comparison.get("points") or []
    if not any(point["metrics"] for point in points):
        return ["No run has a score yet, so there is nothing to compare."]
    lines = []
    sets = list(dict.fromkeys(point.get("data") for point in points))
    for data in sets:
        own = [point for point in points if point.get("data") == data]
        floors = [floor for floor in comparison.get("floors") or [] if floor.get("data") == data]
        where = f" of {data}" if len(sets) > 1 else ""
        for name, kind in comparison["metrics"].items():
            if kind["main"] and kind["higher_is_better"] is not None:
                lines += _on_metric(name, where, kind["higher_is_better"], own, floors)
        main = {name: kind["higher_is_better"] for name, kind in comparison["metrics"].items() if kind["main"]}
        lines += _on_all_tasks(own, where, comparison.get("baseline") or "single_task", main)
    if len(points) >= MANY:
        lines.append(
            f"The best of {len(points)} points was picked by these very test rows, which flatters it: "
            "run it again with other seeds before relying on its lead."
        )
    return lines


def _on_metric(name: str, where: str, up: bool, points: Sequence[Point], floors: Sequence[Floor]) -> list[str]:
    own = {point["label"]: point["metrics"][name] for point in points if name in point["metrics"]}
    if not own:
        return []
    if len(own) == 1:
        ((label, score),) = own.items()
        return [f"**{label}** has {name}{where} {_score(score)}.{_floor(name, up, score['mean'], floors)}"]
    best = [label for label, score in own.items() if score["best"]]
    if not best:
        return []
    leads = " and ".join(f"**{label}**" for label in best)
    said = f"{leads} {'is' if len(best) == 1 else 'are'} best on {name}{where} ({_score(own[best[0]])})"
    others = {label: score for label, score in own.items() if label not in best}
    return [f"{said}{_nearness(others)}.{_floor(name, up, own[best[0]]['mean'], floors)}"]


def _nearness(others: Mapping[str, Mapping[str, Any]]) -> str:
    """What is not told from the best, and what nobody can tell; after a semicolon."""
    near = [label for label, score in others.items() if score["within_noise"]]
    untold = [label for label, score in others.items() if score["p"] is None and not score["within_noise"]]
    said = []
    if near and len(near) == len(others) > 1:
        said.append(f"all {len(others)} others are within noise of it")
    elif len(near) > NAMED:
        said.append(f"{len(near)} of {len(others)} others are within noise of it")
    elif near:
        said.append(f"{_listed(near)} {'is' if len(near) == 1 else 'are'} within noise")
    if untold and len(untold) == len(others):
        said.append("too few seeds to tell its lead from noise")
    elif untold:
        said.append(f"of {_listed(untold) if len(untold) <= NAMED else f'{len(untold)} others'} too few seeds to tell")
    if others and not said:
        said.append(
            "the other one is behind by more than noise"
            if len(others) == 1
            else "the others are behind by more than noise"
        )
    return "".join(f"; {each}" for each in said)


def _listed(labels: Sequence[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _floor(name: str, up: bool, best: float, floors: Sequence[Floor]) -> str:
    sign = 1 if up else -1
    known = {floor["name"]: floor["metrics"][name]["mean"] for floor in floors if floor["metrics"].get(name)}
    known = {floor: mean for floor, mean in known.items() if mean is not None and sign * mean >= sign * best}
    if not known:
        return ""
    floor = max(known, key=lambda each: sign * known[each])
    return f" The floor {floor} is at {known[floor]:.4f}: no model is worth its parameters there."


def _on_all_tasks(points: Sequence[Point], where: str, baseline: str, main: Mapping[str, bool | None]) -> list[str]:
    known = [point for point in points if point.get("delta_m")]
    if not known:
        return []
    top = max(known, key=lambda point: point["delta_m"]["mean"])
    gain = top["delta_m"]
    spread = f" ± {gain['se']:.2f}" if gain["se"] is not None else ""
    number = f"Δm {gain['mean']:+.2f}{spread} %".replace("-", "−")
    baselines = [point for point in points if point["baseline"]]
    better = ""
    if len(baselines) > 1:  # a large gain over a poor baseline is no good score
        baseline += " with the same other settings"
        above = [point["label"] for point in baselines if _better(point, top, main)]
        if above:
            verb = "is" if len(above) == 1 else "are"
            better = f" Yet {_listed(above)} {verb} better on every task: its baseline is poor."
    if gain["mean"] <= 0:
        return [f"Over all tasks{where} nothing gains on {baseline}; **{top['label']}** loses least: {number}.{better}"]
    return [f"Over all tasks{where} **{top['label']}** gains most on {baseline}: {number}.{better}"]


def _better(one: Point, other: Point, main: Mapping[str, bool | None]) -> bool:
    """Whether a point's mean is better than another's on each task that the other has."""
    pairs = [
        (one["metrics"][name]["mean"], other["metrics"][name]["mean"], up)
        for name, up in main.items()
        if up is not None and name in one["metrics"] and name in other["metrics"]
    ]
    return bool(pairs) and all(mine > its if up else mine < its for mine, its, up in pairs)


def _score(score: Mapping[str, Any]) -> str:
    return f"{score['mean']:.4f} ± {score['se']:.4f}" if score["se"] is not None else f"{score['mean']:.4f}"
