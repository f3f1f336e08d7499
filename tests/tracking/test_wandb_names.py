"""What runs are called in W&B: seeds share a group and nothing else does, and nothing is longer than W&B takes."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskloom.tracking.wandb_names import (
    LONGEST_GROUP,
    LONGEST_TAG,
    group_name,
    keys_of_agent,
    run_id,
    shown_config,
    tags_of,
)

RECORD = {
    "choices": {"model": "soft_sharing", "backbone": "fm", "data": "movielens_100k"},
    "overrides": [
        "data.source=/somewhere/else",
        "+optimizer.eps=1e-8",
        "model=soft_sharing",
        "seed=3",
        "paths.root=/a",
    ],
    "created": "2025-01-01",
}


def config(**changes: Any) -> dict[str, Any]:
    return {
        "name": "soft_sharing",
        "seed": 1,
        "data": {"name": "movielens_100k", "split": {"kind": "random", "seed": 0}},
        "optimizer": {"lr": 1e-3},
        "callbacks": {"progress": {"_target_": "a"}, "best": {"patience": 5}},
        "logger": {"wandb": {"project": "p"}},
        "paths": {"root": "/a"},
        **changes,
    }


def test_a_group_is_named_after_what_was_asked_for_without_seeds_and_folders() -> None:
    name, _, digest = group_name(config(), RECORD).partition(" · ")
    assert name == "model=soft_sharing backbone=fm optimizer.eps=1e-8"
    assert len(digest) == 8


@pytest.mark.parametrize(
    "same",
    [
        {"seed": 2},
        {"data": {"split": {"seed": 9, "kind": "random"}, "name": "movielens_100k"}},
        {"paths": {"root": "/b"}},
        {"name": "mine", "logger": {}},
        {"callbacks": {"best": {"patience": 5}}},
    ],
)
def test_repetitions_of_a_configuration_share_a_group(same: dict[str, Any]) -> None:
    assert group_name(config(**same), RECORD) == group_name(config(), RECORD)


@pytest.mark.parametrize(
    "other",
    [
        {"optimizer": {"lr": 1e-2}},
        {"data": {"name": "movielens_100k", "split": {"kind": "leave_last", "seed": 0}}},
        {"callbacks": {"best": {"patience": 3}}},
    ],
)
def test_another_configuration_has_another_group_even_if_nobody_asked_for_it(other: dict[str, Any]) -> None:
    assert group_name(config(**other), RECORD) != group_name(config(), RECORD)


def test_what_sets_the_jobs_of_a_sweep_apart_comes_first() -> None:
    overrides = ["method.epochs=7", "model.strength=0.1", "seed=1"]
    record = {"overrides": overrides, "sweep": {"folder": "/logs/night", "label": "model.strength=0.1 seed=1"}}
    assert group_name(config(), record).startswith("model.strength=0.1 method.epochs=7 · ")


@given(st.lists(st.text(min_size=1, max_size=200), max_size=8))
@example(["optimizer.lr=" + "1" * 300])
def test_no_name_is_longer_than_w_and_b_takes(overrides: list[str]) -> None:
    record = {"overrides": overrides, "sweep": {"folder": "/logs/" + "x" * 200, "label": " ".join(overrides)}}
    assert len(group_name(config(), record)) <= LONGEST_GROUP
    found = tags_of(config(), record, overrides)
    assert all(0 < len(tag) <= LONGEST_TAG for tag in found)
    assert len(set(found)) == len(found)


def test_a_run_of_before_that_knows_no_overrides_has_a_group_too() -> None:
    assert group_name(config(), {}).startswith("soft_sharing · ")
    assert group_name({}, {}).startswith("run · ")


def test_tags_are_the_data_the_model_the_name_the_sweep_and_ones_own() -> None:
    record = {**RECORD, "sweep": {"folder": "/logs/train/multiruns/night"}}
    assert tags_of(config(name="mine"), record, ["movielens_100k", "first"]) == [
        "movielens_100k",
        "soft_sharing",
        "mine",
        "night",
        "first",
    ]


def test_two_runs_of_one_config_have_two_ids(tmp_path: Path) -> None:
    ids = {
        run_id(tmp_path / "a", config(), RECORD),
        run_id(tmp_path / "b", config(), RECORD),
        run_id(tmp_path / "a", config(seed=2), RECORD),
        run_id(tmp_path / "a", config(), {"created": "2025-01-02"}),
    }
    assert len(ids) == 4
    assert run_id(tmp_path / "a", config(), RECORD) == run_id(tmp_path / "a", config(paths={}), RECORD)


def test_the_config_that_is_shown_has_what_was_chosen_and_no_paths() -> None:
    shown = shown_config(config(), {**RECORD, "sweep": {"folder": "/logs/night"}})
    assert "paths" not in shown
    assert shown["choices"] == RECORD["choices"]
    assert shown["sweep"] == "night"
    assert shown["optimizer"] == {"lr": 1e-3}


def test_what_an_agent_has_set_is_left_to_it(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "wandb_version: 1\n\nmodel:\n  value: soft_sharing\nmodel.strength:\n  value: 0.1\nseed:\n  value: 3\n"
    )
    keys = keys_of_agent({"WANDB_SWEEP_PARAM_PATH": str(file)})
    assert keys == ["model", "model.strength", "seed"]
    section = {"_target_": "a.B", "strength": 0.1, "inner": {"rate": 1}}
    shown = shown_config(config(model=section), RECORD, keys)
    assert not set(keys) & set(shown)
    assert {key: value for key, value in shown.items() if key.startswith("model")} == {
        "model._target_": "a.B",
        "model.inner.rate": 1,
    }


@pytest.mark.parametrize("text", [None, "- a\n", "a: [\n"])
def test_no_agent_or_a_file_of_another_kind_sets_nothing(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "config.yaml"
    if text is not None:
        file.write_text(text)
    assert keys_of_agent({"WANDB_SWEEP_PARAM_PATH": str(file)}) == []
    assert keys_of_agent({}) == []
