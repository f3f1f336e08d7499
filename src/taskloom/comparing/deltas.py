r"""The gain over a baseline, paired by seed, and Δm, its mean over tasks.

.. math:: \Delta m = \frac{1}{K} \sum_k (-1)^{l_k} \frac{M_{k} - B_{k}}{\lvert B_{k} \rvert}

with M the model's main metric of task k on the test rows, B that of the baseline on the same rows with the same seeds,
and l = 1 where lower is better, so that + is always better.

Source: Maninis, Radosavovic & Kokkinos 2019, "Attentive single-tasking of multiple tasks". Deviations: in per cent, and
|B| below, because a metric such as R² may be negative.
"""

from collections.abc import Mapping, Sequence

from taskloom.comparing.points import Point
from taskloom.comparing.settings import show
from taskloom.comparing.statistics import Mean, mean_of
from taskloom.config.suggest import nearest
from taskloom.errors import ConfigError

Values = Mapping[object, float]


def gain(value: float, baseline: float, higher_is_better: bool) -> float:
    """How much better than the baseline, in per cent of it; + is better.

    Example:
        >>> round(gain(0.88, 0.80, True), 6), round(gain(0.9, 1.0, False), 6)
        (10.0, 10.0)
    """
    difference = value - baseline if higher_is_better else baseline - value
    return 100 * difference / abs(baseline) if baseline else float("nan")


def gains(values: Values, baseline: Values, higher_is_better: bool) -> dict[object, float]:
    """The gain of each seed that both have; that of the means, under the key None, where they have none in common."""
    common = [key for key in values if key in baseline]
    if common:
        found = {key: gain(values[key], baseline[key], higher_is_better) for key in common}
    elif values and baseline:
        means = [mean_of(list(each.values())).mean for each in (values, baseline)]
        found = {None: gain(means[0], means[1], higher_is_better)}
    else:
        return {}
    return {key: value for key, value in found.items() if value == value}


def delta_m(by_task: Sequence[Mapping[object, float]]) -> Mean | None:
    """Δm over the seeds that all tasks have, in per cent.

    Args:
        by_task: the gains of each task by seed, from `gains`.

    Example:
        >>> found = delta_m([{1: 2.0, 2: 4.0}, {1: -1.0, 2: 1.0}])
        >>> found.mean, round(found.se, 2), found.n
        (1.5, 1.0, 2)
    """
    if not by_task or not all(by_task):
        return None
    common = [key for key in by_task[0] if all(key in other for other in by_task)]
    if common:
        return mean_of([sum(task[key] for task in by_task) / len(by_task) for key in common])
    means = [mean_of(list(task.values())).mean for task in by_task]
    return Mean(sum(means) / len(means), None, None, None, None, 1)


def baselines(points: Sequence[Point], spec: str, asked: bool) -> tuple[list[Point], list[str], list[str]]:
    """The points that are a baseline, the settings that say so, and what to tell where there is none.

    Args:
        points: all.
        spec: a model's name, or ``key=value`` pairs with commas or spaces between them.
        asked: whether a person named it, so that its absence is a mistake.

    Raises:
        ConfigError: there is none, and it was asked for.
    """
    pairs = [word.partition("=") for word in spec.replace(",", " ").split()]
    wanted = [(key, value) if sign else ("model", key) for key, sign, value in pairs]
    found = [
        point
        for point in points
        if all(show(point.runs[0].get(key)) == show_text(value) for key, value in wanted) and wanted
    ]
    if found or not asked:
        notes = [] if found else [f"no run is {spec}: without that baseline there is no Δm"]
        return found, [key for key, _ in wanted], notes
    models = sorted({str(point.runs[0].get("model")) for point in points})
    near = nearest(spec, models)
    hint = f"did you mean {near}?" if near else f"the models are {', '.join(models)}; or write key=value"
    raise ConfigError(f"baseline={spec}: no run is that; {hint}")


def show_text(value: str) -> str:
    """A value from a command line as `show` writes it.

    Example:
        >>> show_text("1e-3"), show_text("true"), show_text("fm")
        ('0.001', 'true', 'fm')
    """
    try:
        return show(float(value)) if not value.lstrip("-").isdigit() else value
    except ValueError:
        return value.lower() if value.lower() in ("true", "false") else value


def baseline_of(
    point: Point, candidates: Sequence[Point], own: Sequence[str], scores: Mapping[int, float]
) -> tuple[Point | None, list[str]]:
    """The baseline to hold a point against: the one with its other settings, else the best one on validation rows.

    Args:
        point: which.
        candidates: the baseline's points.
        own: the settings that make a point a baseline.
        scores: ``val/score`` by point.

    Returns:
        The baseline's point, None where there is none on the same data; and the settings in which it differs from the
        point beside its own.
    """
    there = [each for each in candidates if each.data == point.data and each.done]
    if not there:
        return None, []

    def differing(other: Point) -> list[str]:
        pairs = [(key, point.settings[key], other.settings.get(key)) for key in point.settings if key not in own]
        # A setting that one of the two does not have at all, such as a penalty's strength, cannot be the same.
        return [key for key, mine, its in pairs if mine is not None and its is not None and mine != its]

    same = [each for each in there if not differing(each)] or there
    best = max(same, key=lambda each: scores.get(each.id, float("-inf")))
    return best, differing(best)
