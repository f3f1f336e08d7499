"""The best configuration as a file that repeats it."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskloom.config.compose import Composed, Composer, composer
from taskloom.config.help import members
from taskloom.sweeping.best_config import best_config

CONF = Path(__file__).resolve().parents[2] / "conf"
SEARCH = """# @package _global_
# A search that fixes some values for all of its trials.
defaults:
  - override /backbone: mlp
  - override /hydra/sweeper: optuna

method:
  epochs: 3
hydra:
  sweeper:
    params:
      optimizer.lr: interval(0, 1)
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of the configs, with a search of its own in it."""
    folder = tmp_path / "conf"
    shutil.copytree(CONF, folder)
    (folder / "sweep").mkdir(exist_ok=True)
    (folder / "sweep" / "own.yaml").write_text(SEARCH, encoding="utf-8")
    return folder


@pytest.fixture
def open_composer(conf: Path) -> Iterator[Composer]:
    with composer(conf, "train") as made:
        yield made


def composed(compose: Composer, overrides: Sequence[str]) -> Composed:
    made = compose.compose(overrides)
    assert not made.problems, made.problems
    return made


def record(made: Composed) -> dict[str, Any]:
    """What run.json says of a job."""
    choices = {group: member for group, member in made.choices.items() if "/" not in group and member is not None}
    return {"config": made.config, "choices": choices}


def repeated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("paths", "logger")}


def again(compose: Composer, conf: Path, text: str) -> dict[str, Any]:
    (conf / "experiment" / "again.yaml").write_text(text, encoding="utf-8")
    return composed(compose, ["experiment=again"]).config


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["model=hard_sharing", "optimizer.lr=1e-05"],
        ["sweep=own", "model=single_task", "optimizer.lr=0.123456789012345", "backbone.hidden=[64,32]"],
        ["experiment=tuned_single_task", "features.l2=0.5"],
        ["experiment=census_income", "data.source='/a folder/census, 1.csv'", "optimizer.lr=0.01"],
        ["debug=overfit", "seed=7", "tasks=[like]", "plugins=['/my plugins/own.py']"],
        ["+optimizer.eps=1e-10", "name=it", "callbacks.best.patience=null", "trainer=cpu", "paths.root=/elsewhere"],
        ["data=tabular", "data.source=/t.csv", "+data.tasks={y: {kind: binary, target: 'a > 3'}}", "name='1e-3'"],
        ["name='costs \\${5}'", "optimizer=sgd", "scheduler=constant", "logger=none"],
    ],
)
def test_composed_again_it_is_the_run_itself(open_composer: Composer, conf: Path, overrides: list[str]) -> None:
    wanted = composed(open_composer, overrides)
    made = best_config(record(wanted), open_composer.compose, ["The best of them.", "It is trial 3."])
    assert repeated(again(open_composer, conf, made.text)) == repeated(wanted.config)
    assert made.deletions == ()


def test_it_holds_what_differs_and_no_more(open_composer: Composer, conf: Path) -> None:
    wanted = composed(open_composer, ["model=hard_sharing", "optimizer.lr=0.5", "paths.root=/x", "logger=none"])
    made = best_config(record(wanted), open_composer.compose, ["The best of them."])
    lines = made.text.splitlines()
    assert lines[:2] == ["# @package _global_", "# The best of them."]
    assert yaml.safe_load(made.text) == {
        "defaults": [{"override /model": "hard_sharing"}],
        "optimizer": {"lr": 0.5},
    }
    again(open_composer, conf, made.text)
    assert ("again", "The best of them") in list(members(conf / "experiment"))


def test_what_no_file_can_take_away_is_told(open_composer: Composer, conf: Path) -> None:
    wanted = composed(open_composer, ["~callbacks.throughput", "seed=3"])
    made = best_config(record(wanted), open_composer.compose, ["The best of them."])
    assert made.deletions == ("~callbacks.throughput",)
    assert "together with ~callbacks.throughput." in made.text
    (conf / "experiment" / "again.yaml").write_text(made.text, encoding="utf-8")
    whole = composed(open_composer, ["experiment=again", *made.deletions]).config
    assert repeated(whole) == repeated(wanted.config)
