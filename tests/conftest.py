"""Small networks and batches that tests of every room build on."""

import signal
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
from taskloom.config.compose import composer
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


def pytest_configure() -> None:
    """Listens to Ctrl-C, as all that is started here then does too.

    A shell has what it starts in the background (``make test &``) ignore it, and Python keeps to that: commands under
    test would never end.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
            **beside(schema, n, g, torch.stack(ids, 1)),
        )

    return make


def beside(schema: Schema, n: int, g: torch.Generator, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """History and prior of n rows, where the schema has them; a row's history has 0 to 4 events."""
    names = [feature.name for feature in schema.of_kind("categorical")]
    extras = {}
    if schema.history:
        sizes = [next(f.size for f in schema.features if f.name == name) for name in schema.history]
        extras["history"] = torch.stack([torch.randint(1, size, (n, 4), generator=g) for size in sizes], 2)
        extras["history_mask"] = torch.arange(4) >= torch.randint(0, 5, (n, 1), generator=g)
        extras["history"][~extras["history_mask"]] = 0
    if schema.prior:
        extras["prior"] = ids[:, [names.index(name) for name in schema.prior]]
    return extras


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
        columns = Columns(
            rows.categorical,
            rows.bags,
            rows.dense,
            rows.targets.masked_fill(~rows.labelled, float("nan")),
            rows.group,
            rows.row,
        )
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


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in MovieLens-100K's layout: 60 users, 40 films, 1,200 ratings that follow from two factors."""
    folder = tmp_path_factory.mktemp("films")
    g = torch.Generator().manual_seed(0)
    user, film = torch.randn(60, 2, generator=g), torch.randn(40, 2, generator=g)
    stars = (3 + user @ film.T).round().clamp(1, 5).long()
    pairs = torch.randperm(60 * 40, generator=g)[:1200].tolist()
    rows = [(p // 40, p % 40, 880_000_000 + 5_000 * n) for n, p in enumerate(pairs)]
    (folder / "u.data").write_text("".join(f"{u + 1}\t{i + 1}\t{stars[u, i]}\t{t}\n" for u, i, t in rows))
    (folder / "u.user").write_text(
        "".join(f"{u}|{18 + u}|{'MF'[u % 2]}|{['artist', 'writer'][u % 2]}|{u % 7}0210\n" for u in range(1, 61))
    )
    flags = ["|".join("1" if g in (i % 19, (3 * i) % 19) else "0" for g in range(19)) for i in range(41)]
    (folder / "u.item").write_text(
        "".join(f"{i}|Film {i} ({1950 + i})|01-Jan-{1950 + i}||http://x|{flags[i]}\n" for i in range(1, 41)),
        encoding="latin-1",
    )
    return folder


CONF = Path(__file__).resolve().parents[1] / "conf"


@pytest.fixture(scope="session")
def small_run(films: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that make a command train on `films` for a few seconds and write outside the project."""
    root = tmp_path_factory.mktemp("root")
    return [
        f"data.source={films}",
        f"paths.root={root}",
        "data.batch_size=64",
        "method.epochs=2",
        "features.dim=8",
        "backbone.hidden=[8]",
        "floors=[constant,bias]",
        "logger=none",
        "trainer.accelerator=cpu",
    ]


@pytest.fixture
def compose(small_run: list[str]) -> Callable[..., dict[str, Any]]:
    """The resolved config of a command line, with `small_run` before it."""

    def resolve(*overrides: str) -> dict[str, Any]:
        with composer(CONF, "train") as compose:
            composed = compose.compose([*small_run, *overrides])
        assert not composed.problems, composed.problems
        return composed.config

    return resolve
