"""Pareto fronts between tasks: the points that no other point beats on one task without losing on the other."""

from collections.abc import Mapping


def front(points: Mapping[int, tuple[float, float]], higher: tuple[bool, bool]) -> list[int]:
    """The points that no other dominates, by their means alone, along the first metric.

    A point dominates another where it is at least as good on both metrics and better on one. Points that are equal on
    both stand or fall together.

    Args:
        points: both metrics of each point.
        higher: whether higher is better, of each metric.

    Example:
        >>> front({0: (0.8, 0.9), 1: (0.7, 0.8), 2: (0.7, 1.0)}, (True, False))  # AUC and RMSE
        [1, 0]
    """
    signs = [1.0 if up else -1.0 for up in higher]
    good = {place: (signs[0] * x, signs[1] * y) for place, (x, y) in points.items()}
    kept = [
        place
        for place, (x, y) in good.items()
        if not any(a >= x and b >= y and (a > x or b > y) for a, b in good.values())
    ]
    return sorted(kept, key=lambda place: (points[place], place))
