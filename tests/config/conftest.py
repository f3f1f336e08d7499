"""A project of a few lines, with the real root configs and toy members, that needs no torch."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskloom.config.help import read_root

CONF = Path(__file__).resolve().parents[2] / "conf"

TOYS = """
from typing import Annotated, Literal
from annotated_types import Ge
from taskloom.ranges import Fraction, NonNegative, PositiveInt

class Data:
    def __init__(self, tasks: dict, batch_size: PositiveInt, first_batch: bool = False, *,
                 raw_dir, processed_dir, selected=None, seed: int = 42): ...

class Model:
    def __init__(self, backbone, tasks, strength: NonNegative, kind: Literal["wide", "deep"] = "wide",
                 inner=None, sizes: list[PositiveInt] | None = None): ...

class Inner:
    def __init__(self, rate: Fraction, extra: dict | None = None): ...

class Backbone:
    def __init__(self, inputs, dropout: Fraction = 0.0): ...

class Balancer:
    def __init__(self, tasks): ...

class Method:
    def __init__(self, epochs: PositiveInt): ...

class Best:
    def __init__(self, patience: PositiveInt | None, *, folder): ...

def optimizer(params, lr: NonNegative, betas: tuple[float, float] = (0.9, 0.99)): ...

def scheduler(optimizer, total_steps: int): ...

def logger(folder, config, project: str): ...
"""

NODES = {
    "data": "_target_: toys.Data\nbatch_size: 8\ntasks: {like: {kind: binary}, rating: {kind: regression}}\n",
    "model": "_target_: toys.Model\nstrength: 1\nkind: wide\nsizes: null\n"
    "inner:\n  _target_: toys.Inner\n  rate: 0.5\n",
    "backbone": "_target_: toys.Backbone\ndropout: 0.0\n",
    "balancer": "_target_: toys.Balancer\n",
    "method": "_target_: toys.Method\nepochs: 1\n",
    "optimizer": "_target_: toys.optimizer\n_partial_: true\nlr: 0.1\n",
    "scheduler": "_target_: toys.scheduler\n_partial_: true\n",
    "callbacks": "best:\n  _target_: toys.Best\n  patience: 2\n",
    "logger": "main:\n  _target_: toys.logger\n  project: toys\n",
}


@pytest.fixture
def conf(tmp_path: Path) -> Iterator[Path]:
    """The conf folder of a toy project, with models ``near`` (the default), ``far`` and ``farther``."""
    folder = tmp_path / "conf"
    shutil.copytree(CONF / "hydra", folder / "hydra")
    shutil.copytree(CONF / "paths", folder / "paths")
    shutil.copytree(CONF / "trainer", folder / "trainer")
    text = (CONF / "train.yaml").read_text(encoding="utf-8")
    for group in read_root(CONF / "train.yaml")[1]:
        if group.name in NODES:
            text = text.replace(f"- {group.name}: {group.value}", f"- {group.name}: near")
            (folder / group.name).mkdir()
            (folder / group.name / "near.yaml").write_text(f"# The nearest {group.name}.\n{NODES[group.name]}")
    for name in ("far", "farther"):
        (folder / "model" / f"{name}.yaml").write_text(f"# A {name} one.\n{NODES['model']}")
    (folder / "logger" / "none.yaml").write_text("# Nowhere.\n{}\n")
    (folder / "train.yaml").write_text(text.replace("plugins: []", "plugins: ['${project_root:}/toys.py']"))
    shutil.copy(CONF / "evaluate.yaml", folder)
    (tmp_path / "toys.py").write_text(textwrap.dedent(TOYS))
    yield folder
    sys.modules.pop("toys", None)


class FakeJob(ModuleType):
    """Stands for taskloom.training.job: writes a run.json and keeps what it was called with."""

    def __init__(self) -> None:
        super().__init__("taskloom.training.job")
        self.calls: list[tuple[str, Any]] = []
        self.failing: Any = lambda config: None

    def run_job(self, config: dict[str, Any], folder: Path, origin: Mapping[str, Any] | None = None) -> dict[str, Any]:
        from taskloom.tracking.run_folder import RunFolder

        self.calls.append(("run", config))
        run = RunFolder.create(folder, {"config": config, "seed": config["seed"], **(origin or {})})
        return self._train(run)

    def _train(self, run: Any) -> dict[str, Any]:
        config = run.read()["config"]
        try:
            self.failing(config)
        except BaseException as error:
            run.fail(error)
            raise
        base = {"near": 0.7, "far": 0.6, "farther": 0.5}[config["name"]]
        run.update(
            state="done",
            test={"like/auc": base + config["seed"] / 100, "like/log_loss": 0.5, "rating/rmse": 1.5 - base},
            floors={"constant": {"like/auc": 0.5, "rating/rmse": 1.1}},
            main_metrics={
                "like": {"metric": "auc", "higher_is_better": True},
                "rating": {"metric": "rmse", "higher_is_better": False},
            },
            best={"all": {"score": base, "epoch": 1}},
        )
        return run.read()

    def resume_job(self, folder: Path) -> dict[str, Any]:
        from taskloom.tracking.run_folder import RunFolder

        self.calls.append(("resume", folder))
        run = RunFolder(folder)
        return self._train(run) if "name" in run.read().get("config", {}) else {}

    def evaluate_job(self, folder: Path) -> None:
        self.calls.append(("evaluate", folder))


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> FakeJob:
    """The stand-in for training."""
    fake = FakeJob()
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return fake
