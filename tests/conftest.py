"""Small networks and batches that tests of every room build on."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from taskloom.backbones.mlp import MLP
from taskloom.balancers.equal import Equal
from taskloom.data.loader import ColumnLoader, Columns, ShuffledLoader
from taskloom.features import Features
from taskloom.heads import head_class
from taskloom.methods.supervised import Supervised
from taskloom.module import MultiTaskModule
from taskloom.schema import Batch, Feature, Schema
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.tasks import TargetStatistics, Task
from taskloom.training.parameter_groups import parameter_groups
from taskloom.training.schedules import constant

LIKE = Task("like", kind="binary")
RATING = Task("rating", kind="regression")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets, where there is one."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not beside the project")
    return folder


@pytest.fixture
def schema() -> Schema:
    """User and item, a bag of genres, an age; targets like and rating."""
    return Schema(
        (
            Feature("user", "categorical", "user", size=12),
            Feature("item", "categorical", "item", size=9),
            Feature("hour", "categorical", "context", size=4),
            Feature("genres", "bag", "item", size=5, width=3),
            Feature("age", "dense", "user"),
        ),
        targets=("like", "rating"),
    )


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Random rows for any schema; ``labelled`` is a rate or a mask (B, K)."""

    def make(schema: Schema, n: int = 16, labelled: Any = 1.0, seed: int = 0, n_tasks: int = 2) -> Batch:
        g = torch.Generator().manual_seed(seed)
        ids = [torch.randint(0, f.size, (n,), generator=g) for f in schema.of_kind("categorical")]
        bags = [torch.randint(0, f.size, (n, f.width), generator=g) for f in schema.of_kind("bag")]
        targets = torch.rand(n, len(schema.targets), generator=g)
        targets[:, 0] = targets[:, 0].round()
        if not isinstance(labelled, torch.Tensor):
            labelled = torch.rand(n, n_tasks, generator=g) < labelled
        return Batch(
            torch.stack(ids, 1),
            torch.cat(bags, 1) if bags else torch.empty(n, 0, dtype=torch.int64),
            torch.randn(n, schema.n_dense, generator=g),
            targets,
            labelled,
            ids[0],
            torch.arange(n),
        )

    return make


@pytest.fixture
def make_module() -> Callable[..., MultiTaskModule]:
    """A small network; every part can be replaced."""

    def make(
        schema: Schema,
        tasks: Sequence[Task] = (LIKE, RATING),
        sharing: Callable[..., nn.Module] = HardSharing,
        backbone: Callable[..., nn.Module] = partial(MLP, hidden=[6, 4]),
        balancer: Callable[..., nn.Module] = Equal,
        method: nn.Module | None = None,
        views: str = "shared",
        seed: int = 0,
        lr: float = 0.01,
        optimizer: Callable[..., Any] | None = None,
        reduction: str = "mean_labelled",
        hidden: Sequence[int] = (),
        **features: Any,
    ) -> MultiTaskModule:
        torch.manual_seed(seed)
        embedded = Features(schema, len(tasks), dim=4, views=views, **{"init_std": 0.3, **features})
        shared = sharing(partial(backbone, embedded.inputs), tasks)
        statistics = {"binary": TargetStatistics((0.4,), (0.5,), 10)}
        default = TargetStatistics((0.5,), (0.3,), 10)
        heads = [
            head_class(task)(task, statistics.get(task.kind, default), shared.width, shared.wide, hidden=hidden)
            for task in tasks
        ]
        return MultiTaskModule(
            embedded,
            shared,
            heads,
            balancer(tasks),
            method or Supervised(epochs=1),
            optimizer or partial(torch.optim.Adam, lr=lr),
            constant,
            partial(parameter_groups, patterns={}),
            reduction,
        )

    return make


class MemoryData(L.LightningDataModule):
    """Batches from memory: the same rows for training and validation."""

    def __init__(self, schema: Schema, rows: Batch, batch_size: int) -> None:
        super().__init__()
        columns = Columns(rows.categorical, rows.bags, rows.dense,
                          rows.targets.masked_fill(~rows.labelled, float("nan")), rows.group, rows.row)
        places = [[k] for k in range(rows.labelled.shape[1])]
        self.make = partial(ShuffledLoader, columns, places, batch_size, seed=1)
        self.make_plain = partial(ColumnLoader, columns, places, batch_size)

    def train_dataloader(self) -> ShuffledLoader:
        return self.make(*self.place())

    def val_dataloader(self) -> ColumnLoader:
        return self.make_plain(*self.place())

    test_dataloader = val_dataloader

    def place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


@pytest.fixture
def make_data(make_batch: Callable[..., Batch]) -> Callable[..., MemoryData]:
    """A data module of random rows in memory."""

    def make(schema: Schema, n: int = 64, batch_size: int = 16, **rows: Any) -> MemoryData:
        return MemoryData(schema, make_batch(schema, n, **rows), batch_size)

    return make
