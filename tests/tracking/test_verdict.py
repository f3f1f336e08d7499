"""The verdict: told where the model does not beat the best floor, withheld where there is little to judge by."""

import math

import pytest

from taskloom.tracking.table import TaskRows
from taskloom.tracking.verdict import ENOUGH, below_floor, verdict_lines

AUC = TaskRows("income", "binary", 9_000, {"log_loss": False, "auc": True}, "auc", 600)
RMSE = TaskRows("hours", "regression", 9_000, {"rmse": False, "r2": True}, "rmse", 9_000)
FLOORS = {
    "constant": {"income/auc": 0.5, "income/log_loss": 0.1, "hours/rmse": 1.4, "hours/r2": 0.9},
    "linear": {"income/auc": 0.946, "income/log_loss": 0.2, "hours/rmse": 1.1, "hours/r2": 0.1},
    "boosting": {"income/auc": 0.955, "income/log_loss": 0.3, "hours/rmse": 1.2, "hours/r2": 0.2},
}


def of(auc: float | None, rmse: float | None) -> dict[str, float | None]:
    return {"income/auc": auc, "income/log_loss": 0.2, "hours/rmse": rmse, "hours/r2": 0.5}


@pytest.mark.parametrize(
    ("auc", "rmse", "expected"),
    [
        (0.96, 1.0, {}),
        (0.95, 1.0, {"income": "boosting"}),
        (0.96, 1.15, {"hours": "linear"}),  # an error: the least is the best
        (0.4, 1.5, {"income": "boosting", "hours": "linear"}),
        (0.95501, 1.0, {"income": "boosting"}),  # what looks the same does not beat
        (0.9551, 1.0999, {}),
        (None, math.nan, {}),  # not defined: nobody can tell
    ],
)
def test_the_best_floor_is_the_one_to_beat(auc: float | None, rmse: float | None, expected: dict[str, str]) -> None:
    assert below_floor(of(auc, rmse), FLOORS, [AUC, RMSE]) == expected


def test_a_difference_that_the_table_does_not_show_is_none() -> None:
    floors = {"linear": {"income/auc": 0.95504}}
    assert below_floor(of(0.955, None), floors, [AUC]) == below_floor(of(0.95504, None), floors, [AUC])
    (line,) = verdict_lines("mmoe", of(0.95496, None), floors, [AUC])
    assert "linear 0.9550 is as good as mmoe 0.9550" in line


def test_a_line_has_both_numbers() -> None:
    assert verdict_lines("mmoe", of(0.949, 1.1), FLOORS, [AUC, RMSE]) == [
        "income: boosting 0.9550 is better than mmoe 0.9490 (AUC); the model is not worth its parameters here",
        "hours: linear 1.1000 is as good as mmoe 1.1000 (RMSE); the model is not worth its parameters here",
    ]
    assert verdict_lines("mmoe", of(0.96, 1.0), FLOORS, [AUC, RMSE]) == []


@pytest.mark.parametrize("auc", [0.4, 0.96])
def test_a_few_positive_rows_are_no_ground_for_a_verdict(auc: float) -> None:
    few, enough = AUC._replace(cases=ENOUGH - 1), AUC._replace(cases=ENOUGH)
    assert below_floor(of(auc, 1.0), FLOORS, [few]) == {}
    assert verdict_lines("mmoe", of(auc, 1.0), FLOORS, [few]) == [
        "income: no verdict on 99 positive test rows; it takes 100"
    ]
    assert bool(below_floor(of(auc, 1.0), FLOORS, [enough])) == (auc == 0.4)


def test_a_floor_without_a_number_is_none_to_beat() -> None:
    floors = {"bias": {"hours/rmse": None, "income/auc": math.nan}, "constant": {"income/auc": 0.5}}
    assert below_floor(of(0.6, 9.0), floors, [AUC, RMSE]) == {}
    assert below_floor(of(0.5, 9.0), floors, [AUC, RMSE]) == {"income": "constant"}
    assert verdict_lines("mmoe", of(0.4, 9.0), {}, [AUC, RMSE]) == []
