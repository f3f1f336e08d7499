"""The example at the head of the README: three heads on one network, on the simulator and on one's own log."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from samples import tabular
from taskloom.config.compose import composer
from taskloom.config.preflight import preflight
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.training.build import make_data, make_module
from taskloom.training.job import run_job

CONF = Path(__file__).resolve().parents[2] / "conf"
#: 8,000 rows and a small network: some seconds
SMALL = ["data.reader.users=60", "data.reader.items=30", "data.reader.rows=8000", "data.source=null"]
QUICK = ["floors=[constant,bias]", "logger=none", "trainer.accelerator=cpu", "~callbacks.conflict"]


@pytest.fixture
def composed(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The resolved config of an experiment, which writes to a folder of its own."""

    def resolve(*overrides: str) -> dict[str, Any]:
        with composer(CONF, "train") as compose:
            found = compose.compose([*overrides, *QUICK, f"paths.root={tmp_path}"])
        assert not found.problems, found.problems
        assert preflight(found.config) == []
        return found.config

    return resolve


def test_it_is_one_network_with_three_heads(composed: Callable[..., dict[str, Any]], capsys: Any) -> None:
    config = composed("experiment=click_dwell_purchase", *SMALL)
    data = make_data(config)
    data.prepare_data()
    data.setup("fit")
    module = make_module(config, data)
    assert [(task.name, task.kind) for task in module.tasks] == [
        ("click", "binary"),
        ("dwell", "regression"),
        ("purchase", "binary"),
    ]
    assert isinstance(module.sharing, HardSharing)
    batch = next(iter(data.train_dataloader()))
    raw = module(batch).raw
    losses, counts = module.losses(raw, batch)
    y, n = batch.targets, len(batch)
    clicked = [row for row in range(n) if y[row, 0] == 1]
    assert counts.tolist() == [n, len(clicked), n]  # a dwell time is known of clicked rows alone
    for k in (0, 2):
        log_p, log_q = (torch.nn.functional.logsigmoid(sign * raw[k][:, 0]) for sign in (1, -1))
        torch.testing.assert_close(losses[k], -(y[:, k] * log_p + (1 - y[:, k]) * log_q).mean())
    head = module.heads[1]
    mean, std = float(head.mean), float(head.std)  # of log(1 + seconds) on training rows
    errors = [(raw[1][row, 0] * std + mean - math.log1p(y[row, 1])) / std for row in clicked]
    torch.testing.assert_close(losses[1], sum(error**2 for error in errors) / len(clicked))
    seconds = head.predict(raw[1])
    torch.testing.assert_close(seconds, ((raw[1][:, 0] * std + mean).exp() - 1).clamp_min(0))


def test_it_beats_the_constant_and_the_bias_on_every_task(
    composed: Callable[..., dict[str, Any]], tmp_path: Path, capsys: Any
) -> None:
    record = run_job(composed("experiment=click_dwell_purchase", *SMALL), tmp_path / "run")
    test, floors = record["test"], record["floors"]
    assert test["click/auc"] > floors["bias"]["click/auc"] > 0.55
    assert test["purchase/auc"] > floors["bias"]["purchase/auc"] > 0.55
    assert test["dwell/rmse"] < 0.97 * floors["constant"]["dwell/rmse"]


def test_ones_own_log_is_learnt_in_the_same_way(composed: Callable[..., dict[str, Any]]) -> None:
    own, simulated = composed("experiment=my_click_log"), composed("experiment=click_dwell_purchase")
    different = {key for key in own if own[key] != simulated[key]}
    assert different == {"data"}
    assert own["data"]["batch_size"] == simulated["data"]["batch_size"]
    for task in own["tasks"]:
        for key in ("kind", "parent", "options"):
            assert own["data"]["tasks"][task].get(key) == simulated["data"]["tasks"][task].get(key)


def test_ones_own_log_runs(composed: Callable[..., dict[str, Any]], tmp_path: Path, capsys: Any) -> None:
    own = ["experiment=my_click_log", *tabular.write(tmp_path), "method.epochs=2"]
    record = run_job(composed(*own), tmp_path / "run")
    assert {"click/auc", "dwell/rmse", "purchase/auc"} <= set(record["test"])
    said = capsys.readouterr().out
    assert "task click (binary, 400 labels" in said
    assert "task dwell (regression, 180 labels" in said  # of the clicked rows
    assert "task purchase (binary, 400 labels" in said
