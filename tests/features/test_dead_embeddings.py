"""Dead embeddings: told where a penalty has won, and nowhere else."""

from typing import Any

import pytest
import torch

from taskloom.features import Features
from taskloom.features.dead_embeddings import dead_embeddings
from taskloom.schema import Feature, Schema

SCHEMA = Schema((Feature("user", "categorical", "user", size=40),), targets=("like", "rating"))
TASKS = ["like", "rating"]
BEGIN = "the penalty has brought most embeddings"


def features(**options: Any) -> Features:
    torch.manual_seed(0)
    return Features(SCHEMA, n_tasks=2, dim=8, **({"l2": 0.24, "init_std": 0.05} | options))


def shrink(found: Features, factor: float, views: list[int] | None = None, rows: slice = slice(None)) -> Features:
    with torch.no_grad():
        for name, weight in found.tables.named_parameters():
            if views is None or int(name.split(".")[0]) in views:
                weight[rows] *= factor
    return found


@pytest.mark.parametrize("factor", [2.0, 0.4, 0.02])
def test_small_ones_live(factor: float) -> None:
    assert dead_embeddings(shrink(features(), factor), TASKS) is None


@pytest.mark.parametrize("factor", [0.008, 1e-12, 0.0])
def test_at_nearly_zero_they_are_dead(factor: float) -> None:
    told = dead_embeddings(shrink(features(), factor), TASKS)
    assert told == f"{BEGIN} to zero, where they tell nothing: lower features.l2, which is 0.24"


def test_it_is_what_most_rows_are() -> None:
    assert dead_embeddings(shrink(features(), 0.0, rows=slice(0, 15)), TASKS) is None
    assert dead_embeddings(shrink(features(), 0.0, rows=slice(0, 25)), TASKS) is not None


def test_without_a_penalty_it_is_not_the_penalty() -> None:
    assert dead_embeddings(shrink(features(l2=0.0), 0.0), TASKS) is None


@pytest.mark.parametrize(
    ("views", "dead", "whose"),
    [
        ("per_task", [1], " of rating to zero"),
        ("per_task", [0, 1], " to zero"),
        ("both", [0, 2], " of like, all tasks to zero"),
    ],
)
def test_says_whose(views: str, dead: list[int], whose: str) -> None:
    told = dead_embeddings(shrink(features(views=views), 0.0, views=dead), TASKS)
    assert told is not None
    assert told.startswith(f"{BEGIN}{whose}, where")


def test_rows_of_several_widths() -> None:
    counts = [torch.arange(40)]
    assert dead_embeddings(features(frequency_power=1.0, counts=counts), TASKS) is None
    assert dead_embeddings(shrink(features(frequency_power=1.0, counts=counts), 0.0), TASKS) is not None


def test_a_table_of_a_million_rows_and_one_of_none() -> None:
    large = Schema((Feature("user", "categorical", "user", size=1_000_001),), targets=("like",))
    found = Features(large, n_tasks=1, dim=2, l2=0.1)
    assert dead_embeddings(found, ["like"]) is None
    assert dead_embeddings(shrink(found, 0.0), ["like"]) is not None
    dense = Schema((Feature("age", "dense", "user"),), targets=("like",))
    assert dead_embeddings(Features(dense, n_tasks=1, dim=2, l2=0.1), ["like"]) is None
