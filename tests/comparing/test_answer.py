"""The sentences at the top of a comparison: what is best, how sure that is, and when nothing can be said."""

from taskloom.comparing.answer import answer

AUC = {"task": "like", "metric": "auc", "higher_is_better": True, "main": True}
RMSE = {"task": "rating", "metric": "rmse", "higher_is_better": False, "main": True}


def own(mean, best=False, near=False, p=0.01, se=0.001):
    p = None if best else 0.4 if near else p
    return {"mean": mean, "se": se, "best": best, "within_noise": near, "p": p}


def point(label, delta=None, **more):
    gain = None if delta is None else {"mean": delta, "se": 0.1, "n": 3}
    return {"label": label, "baseline": False, "delta_m": gain, "data": "d", **more}


def said(points, metrics=None, **more):
    return answer({"metrics": metrics or {"like/auc": AUC}, "points": points, "floors": [], **more})


def points(*scores, metric="like/auc"):
    return [point(f"p{i}", metrics={metric: score}) for i, score in enumerate(scores)]


def test_the_best_and_what_is_within_noise():
    assert said(points(own(0.8, best=True), own(0.79, near=True), own(0.5))) == [
        "**p0** is best on like/auc (0.8000 ± 0.0010); p1 is within noise."
    ]
    assert said(points(own(0.8, best=True), own(0.79, near=True), own(0.78, near=True)))[0].endswith(
        "all 2 others are within noise of it."
    )
    many = points(own(0.8, best=True), *[own(0.79, near=True)] * 4, own(0.1))
    assert said(many)[0].endswith("; 4 of 5 others are within noise of it.")
    assert said(points(own(0.8, best=True), own(0.7)))[0].endswith("; the other one is behind by more than noise.")
    assert said(points(own(0.8, best=True), own(0.7), own(0.6)))[0].endswith("others are behind by more than noise.")


def test_two_that_look_the_same_are_both_best():
    line = said(points(own(0.8, best=True), own(0.8, best=True), own(0.7)))[0]
    assert line.startswith("**p0** and **p1** are best on like/auc")


def test_one_seed_says_nothing_of_noise():
    single = {"p": None, "se": None}
    line = said(points(own(0.8, best=True, se=None), own(0.7, **single), own(0.6, **single)))[0]
    assert line == "**p0** is best on like/auc (0.8000); too few seeds to tell its lead from noise."
    line = said(points(own(0.8, best=True), own(0.7), own(0.6, **single)))[0]
    assert line.endswith("; of p2 too few seeds to tell.")


def test_a_floor_that_no_model_beats_is_named():
    floors = [
        {"name": "mean", "data": "d", "metrics": {"rating/rmse": {"mean": 0.9}}},
        {"name": "forest", "data": "d", "metrics": {"rating/rmse": {"mean": 0.85}}},
        {"name": "of other data", "data": "e", "metrics": {"rating/rmse": {"mean": 0.1}}},
    ]
    better = points(own(0.95, best=True), own(1.2), metric="rating/rmse")
    assert "The floor forest is at 0.8500" in said(better, {"rating/rmse": RMSE}, floors=floors)[0]
    worse = points(own(0.5, best=True), own(1.2), metric="rating/rmse")
    assert "floor" not in said(worse, {"rating/rmse": RMSE}, floors=floors)[0]


def test_the_gain_over_all_tasks():
    gaining = [point("a", 1.25, metrics={"like/auc": own(0.8, best=True)}), point("b", -0.5, metrics={})]
    assert said(gaining, baseline="one_task")[-1] == "Over all tasks **a** gains most on one_task: Δm +1.25 ± 0.10 %."
    losing = [point("a", -1.25, metrics={"like/auc": own(0.8, best=True)}), point("b", -0.5, metrics={})]
    assert "nothing gains on single_task; **b** loses least: Δm −0.50" in said(losing)[-1]


def test_a_gain_over_a_poor_baseline_is_told_as_that():
    single = [
        {**point(f"single · {b}", metrics={"like/auc": own(x)}), "baseline": True} for b, x in (("a", 0.5), ("b", 0.8))
    ]
    line = said([*single, point("hard · a", 50.0, metrics={"like/auc": own(0.75)})])[-1]
    assert line == (
        "Over all tasks **hard · a** gains most on single_task with the same other settings: Δm +50.00 ± 0.10 %. "
        "Yet single · b is better on every task: its baseline is poor."
    )
    assert "Yet" not in said([*single, point("hard · a", 50.0, metrics={"like/auc": own(0.81)})])[-1]


def test_each_data_set_has_a_best_of_its_own():
    one, other = points(own(0.8, best=True), own(0.7)), points(own(0.4, best=True), own(0.3))
    lines = said([*one, *({**each, "label": each["label"] + "'", "data": "e"} for each in other)])
    assert [line.split(";")[0] for line in lines] == [
        "**p0** is best on like/auc of d (0.8000 ± 0.0010)",
        "**p0'** is best on like/auc of e (0.4000 ± 0.0010)",
    ]


def test_the_best_of_many_is_flattered():
    assert "The best of 10 points" in said(points(own(0.8, best=True), *[own(0.5)] * 9))[-1]
    assert len(said(points(own(0.8, best=True), *[own(0.5)] * 8))) == 1


def test_nothing_to_compare():
    assert said([]) == ["No run has a score yet, so there is nothing to compare."]
    assert said([point("a", metrics={})]) == ["No run has a score yet, so there is nothing to compare."]
    assert said(points(own(0.8))) == ["**p0** has like/auc 0.8000 ± 0.0010."]


def test_a_metric_without_a_direction_has_no_best():
    assert said(points(own(0.8)), {"like/auc": {**AUC, "higher_is_better": None}}) == []
