"""Kept predictions of table floors: made once for the same rows and settings, and for nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from taskloom.floors.cache import TableFits
from taskloom.floors.inputs import Inputs, OneHot
from taskloom.floors.table_floor import Fitted, Part, Problem, TableFloor
from taskloom.schema import Feature, Schema
from taskloom.tasks import Task


class CountingRows(TableFloor):
    """Predicts the training mean plus the number of its setting."""

    encoder = OneHot
    fits = 0

    def __init__(self, plus=0.0):
        self.plus = plus

    @property
    def settings(self):
        return {"plus": self.plus}

    def learn(self, loss, x, y, x_val, y_val, encoder):
        type(self).fits += 1
        return Fitted(lambda rows: np.full(rows.shape[0], y.mean() + self.plus), "nothing chosen", 0.0)


CountingRows.name = "counting_rows"  # set late, so that it joins no registry
SCHEMA = Schema((Feature("job", "categorical", "user", size=4), Feature("age", "dense", "user")), ("y",))


def inputs(n, first=1):
    return Inputs((torch.arange(n)[:, None] + first) % 4, torch.zeros(n, 0, dtype=torch.int64), torch.zeros(n, 1))


PROBLEM = Problem(
    Task("y", "regression"),
    SCHEMA,
    Part(inputs(4), torch.tensor([[1.0], [2.0], [3.0], [5.0]])),
    Part(inputs(2), torch.tensor([[1.0], [2.0]])),
)
ASKED = inputs(3)


@pytest.fixture(autouse=True)
def _count_from_zero():
    CountingRows.fits = 0


def fits(folder, problem=PROBLEM, lines=None):
    return TableFits(lambda task: problem, folder, lines.append if lines is not None else lambda line: None)


def test_predictions_are_kept_and_read(tmp_path):
    folder = tmp_path / "processed" / "floors"
    first = fits(folder).predict(CountingRows(), "y", ASKED)
    lines = []
    second = fits(folder, lines=lines).predict(CountingRows(), "y", ASKED)
    assert torch.equal(first, second)
    assert first.tolist() == [[2.75]] * 3
    assert CountingRows.fits == 1
    assert lines == []
    (path,) = folder.iterdir()
    assert path.name.startswith("counting_rows-y-")


def test_one_fit_serves_several_sets_of_rows(tmp_path):
    for folder in (tmp_path, None):
        CountingRows.fits = 0
        several = fits(folder)
        assert len(several.predict(CountingRows(), "y", ASKED)) == 3
        assert len(several.predict(CountingRows(), "y", inputs(7))) == 7
        assert CountingRows.fits == 1
    assert len(list(tmp_path.iterdir())) == 2


def change(name):
    train, val = PROBLEM.train, PROBLEM.val
    return {
        "training input": replace(PROBLEM, train=Part(inputs(4, first=2), train.target)),
        "training target": replace(PROBLEM, train=Part(train.inputs, train.target + 1)),
        "validation input": replace(PROBLEM, val=Part(inputs(2, first=2), val.target)),
        "validation target": replace(PROBLEM, val=Part(val.inputs, val.target + 1)),
        "kind": replace(PROBLEM, task=Task("y", "ordinal")),
        "options": replace(PROBLEM, task=Task("y", "regression", options={"transform": "log1p"})),
        "sizes": replace(PROBLEM, schema=Schema((replace(SCHEMA.features[0], size=9), SCHEMA.features[1]), ("y",))),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "training input",
        "training target",
        "validation input",
        "validation target",
        "kind",
        "options",
        "sizes",
    ],
)
def test_anything_that_shapes_a_table_fit_makes_another(tmp_path, name):
    fits(tmp_path).predict(CountingRows(), "y", ASKED)
    fits(tmp_path, change(name)).predict(CountingRows(), "y", ASKED)
    assert CountingRows.fits == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_settings_version_and_rows_asked_for_are_part_of_the_key(tmp_path, monkeypatch):
    fits(tmp_path).predict(CountingRows(), "y", ASKED)
    assert fits(tmp_path).predict(CountingRows(plus=1.0), "y", ASKED)[0].item() == 3.75
    monkeypatch.setattr(CountingRows, "version", 99)
    fits(tmp_path).predict(CountingRows(), "y", ASKED)
    fits(tmp_path).predict(CountingRows(), "y", inputs(3, first=2))
    assert CountingRows.fits == 4


def test_a_task_without_a_problem_has_no_prediction(tmp_path):
    assert fits(tmp_path, problem=None).predict(CountingRows(), "y", ASKED) is None


def test_damaged_predictions_are_made_anew(tmp_path):
    expected = fits(tmp_path).predict(CountingRows(), "y", ASKED)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    lines = []
    assert torch.equal(fits(tmp_path, lines=lines).predict(CountingRows(), "y", ASKED), expected)
    assert "is damaged; fitting anew" in lines[0]
    assert path.read_bytes() == whole
