"""What the floors reach on a public table, on its official parts."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from taskloom.config.compose import composer
from taskloom.outcome import Outcome
from taskloom.training.build import make_data, make_module
from taskloom.training.floors import Floors

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.mark.slow
def test_census_income_as_published(shared_data, tmp_path):
    """AUC of income and never_married, to a thousandth of what is known of them."""
    with composer(CONF, "train") as compose:
        config = compose.compose(
            [
                "data=census_income",
                f"data.source={shared_data / 'census-income'}",
                f"paths.root={tmp_path}",
                "backbone=mlp",
            ]
        ).config
    data = make_data(config)
    data.prepare_data()
    data.setup()
    columns = data.store.split("test")
    assert len(columns) == 99_762
    targets = [columns.targets[:, place[0]] for place in data.task_columns]
    labelled = torch.ones(len(columns), 2, dtype=torch.bool)
    outcome = Outcome([torch.zeros(len(columns))] * 2, targets, labelled, columns.group, columns.row)
    others = [name for name in ("lightgbm", "xgboost") if find_spec(name)]
    names = ["linear", "boosting", *others]
    scores = Floors(names, data, make_module(config, data)).score(outcome)
    auc = {name: (found["income/auc"], found["never_married/auc"]) for name, found in scores.items()}
    assert auc["linear"] == pytest.approx((0.946, 0.994), abs=1e-3)
    assert auc["boosting"] == pytest.approx((0.955, 0.995), abs=1e-3)
    for name in others:
        assert auc[name][0] > 0.954
        assert auc[name][1] > 0.994
