"""Pareto fronts: properties over any points."""

from hypothesis import given
from hypothesis import strategies as st

from taskloom.comparing.comparison import compare
from taskloom.comparing.fronts import front

NUMBER = st.integers(0, 6).map(float)
POINTS = st.dictionaries(st.integers(0, 20), st.tuples(NUMBER, NUMBER), min_size=1, max_size=12)
WAYS = st.tuples(st.booleans(), st.booleans())


def beats(a: tuple[float, float], b: tuple[float, float], higher: tuple[bool, bool]) -> bool:
    signed = [(x - y) * (1 if up else -1) for x, y, up in zip(a, b, higher, strict=True)]
    return min(signed) >= 0 and max(signed) > 0


@given(POINTS, WAYS)
def test_nobody_beats_the_front_and_the_front_beats_everybody_else(points, higher) -> None:
    kept = front(points, higher)
    assert kept
    assert not any(beats(points[other], points[place], higher) for place in kept for other in points)
    for place in points.keys() - set(kept):
        assert any(beats(points[best], points[place], higher) for best in kept)


@given(POINTS, WAYS)
def test_along_the_front_one_metric_pays_for_the_other(points, higher) -> None:
    kept = [points[place] for place in front(points, higher)]
    distinct = list(dict.fromkeys(kept))
    assert [x for x, _ in distinct] == sorted(x for x, _ in distinct)
    rising = [y for _, y in distinct] == sorted(y for _, y in distinct)
    falling = [y for _, y in distinct] == sorted((y for _, y in distinct), reverse=True)
    assert falling if higher[0] == higher[1] else rising


@given(POINTS, WAYS, st.integers(0, 3))
def test_a_point_that_is_worse_changes_nothing(points, higher, which: int) -> None:
    kept = front(points, higher)
    x, y = points[kept[which % len(kept)]]
    worse = (x - 1 if higher[0] else x + 1, y - 1 if higher[1] else y + 1)
    assert front({**points, 99: worse}, higher) == kept


def test_of_a_comparison(make_run) -> None:
    scores = {"fm": (0.8, 0.9), "mlp": (0.7, 0.95)}
    folders = [make_run(b, f"backbone={b}", auc=auc, rmse=rmse) for b, (auc, rmse) in scores.items()]
    folders.append(make_run("wide", "backbone=fm", settings={"features.dim": 8}, auc=0.7, rmse=0.8))
    found = compare(folders)
    (only,) = found["fronts"]
    names = {point["id"]: point["label"] for point in found["points"]}
    assert (only["x"], only["y"]) == ("like/auc", "rating/rmse")
    assert [names[place] for place in only["points"]] == ["fm · dim=8", "fm · dim=64"]
    assert [point["front"]["like/auc|rating/rmse"] for point in found["points"]].count(True) == 2
