"""The key ``floors`` in a config: what it may hold is said before anything runs."""

from pathlib import Path

import pytest

from taskloom.config.compose import composer
from taskloom.config.preflight import preflight
from taskloom.floors import floor as floor_module

CONF = Path(__file__).resolve().parents[2] / "conf"


def problems(*overrides):
    with composer(CONF, "train") as compose:
        composed = compose.compose(list(overrides))
    assert composed.problems == []
    return [problem.text for problem in preflight(composed.config) if problem.path.startswith("floors")]


@pytest.mark.parametrize("chosen", ["floors=null", "floors=[]", "floors=[constant,bias,factorisation,linear,boosting]"])
def test_ratings_may_have_every_floor(chosen):
    assert problems(chosen) == []


@pytest.mark.parametrize("chosen", ["floors=null", "floors=[constant,linear,boosting]"])
def test_a_table_may_have_those_of_tables(chosen):
    assert problems(chosen, "data.floors=null") == []


def test_ratings_floors_need_ratings():
    (text,) = problems("floors=[linear,bias]", "data.floors=null")
    assert text.startswith("floors: bias is fitted to ratings, and the data names no user, item and target for it;")
    assert text.endswith("take floors=[constant,linear,boosting]")


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_those_of_other_libraries_too(name):
    pytest.importorskip(name)
    assert problems(f"floors=[{name}]") == []


def test_an_absent_package_is_told_before_the_run(monkeypatch):
    monkeypatch.setattr(floor_module, "find_spec", lambda package: None)
    (text,) = problems("floors=[xgboost]")
    assert "xgboost needs the package xgboost" in text


def test_a_list_is_wanted():
    (text,) = problems("floors=linear")
    assert text.startswith("floors must be a list of")
