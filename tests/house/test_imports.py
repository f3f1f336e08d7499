"""Which room may import which, and where the frameworks are named."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ROOT / "src" / "taskloom"

# Beside itself, errors, atomic and locks; CONTRIBUTING.md has the same table for people.
MAY_IMPORT = {
    "errors": set(),
    "atomic": set(),
    "locks": set(),
    "ranges": set(),
    "distributed": set(),
    "dropout": set(),
    "place": set(),
    "tasks": set(),
    "schema": {"tasks"},
    "metrics": set(),
    "features": {"schema", "distributed", "dropout", "ranges"},
    "backbones": {"dropout", "features", "schema", "ranges"},
    "sharing": {"backbones", "dropout", "features", "tasks", "ranges"},
    "heads": {"backbones", "metrics", "schema", "tasks", "ranges"},
    "balancers": {"tasks", "distributed", "ranges"},
    "methods": {"module", "schema", "ranges", "tasks"},  # module for its type alone: see below
    "outcome": {"distributed", "metrics", "schema", "tasks"},
    "floors": {"metrics", "ranges", "schema", "tasks"},
    "data": {"schema", "tasks", "ranges"},
    "tracking": set(),
    "sweeping": {"heads", "metrics", "tasks", "tracking"},  # a search asks which way a metric is better
    "managing": {"config", "sweeping", "tracking"},
    "comparing": {"config", "managing", "sweeping", "tracking"},
    "config": {
        *("comparing", "data", "features", "floors", "heads", "managing", "place", "ranges", "schema", "sweeping"),
        *("tasks", "tracking", "training"),
    },
}
JOINERS = {"module", "training"}  # they join the rooms, so they may import most of them
TRAINING_IS_CALLED_FROM = {
    "config/command.py",
    "config/data_command.py",
    "config/existing_run.py",
    "config/launch.py",
    "config/sweep_job.py",
}
FRAMEWORKS = {
    "hydra": {"config", "sweeping", "training/build.py"},
    "omegaconf": {"config", "sweeping"},
    "wandb": {
        *("comparing/wandb_report.py", "tracking/wandb_mode.py", "tracking/wandb_ranks.py", "tracking/wandb_run.py"),
    },
    "wandb_workspaces": {"comparing/wandb_panels.py", "comparing/wandb_report.py"},
    "optuna": {"sweeping"},
    "joblib": {"sweeping"},
    "lightning": {"module.py", "data/datamodule.py", "tracking", "training"},
    "pooch": {"data/download.py"},
    "duckdb": {"data/readers/yelp_ties.py", "data/text_reading.py", "data/text_sources.py", "data/text_table.py"},
    "sklearn": {"data/text.py", "floors"},
    "matplotlib": {"tracking/curves.py"},
    "torchmetrics": {"metrics"},
}
FILES = sorted(HOUSE.rglob("*.py"))


@cache
def imports(file: Path) -> tuple[tuple[str, bool], ...]:
    """Dotted names that a file imports, wherever it does, and whether only type checkers see it."""
    return tuple(_walk(ast.parse(file.read_text(encoding="utf-8")), types=False))


def _walk(node: ast.AST, types: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((name.name, types) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from ((f"{child.module}.{name.name}", types) for name in child.names)
        elif isinstance(child, ast.Constant) and str(child.value).startswith("taskloom.training"):
            yield str(child.value), types  # by name, for importlib
        only_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        yield from _walk(child, types or only_types)


def room(file: Path) -> str:
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


def rooms_of(file: Path) -> set[str]:
    """Other rooms that a file imports."""
    names = (name.split(".") for name, _ in imports(file))
    found = {parts[1] for parts in names if parts[0] == "taskloom" and len(parts) > 1}
    return found - {room(file), "errors", "atomic", "locks", "__version__"}


def test_every_room_is_listed() -> None:
    assert {room(file) for file in FILES} == {*MAY_IMPORT, *JOINERS, "__init__"}


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(name: str) -> None:
    found = {str(file.relative_to(HOUSE)): rooms_of(file) - MAY_IMPORT[name] for file in FILES if room(file) == name}
    assert found, f"{name} has no file"
    assert {file: rooms for file, rooms in found.items() if rooms} == {}


def test_methods_see_the_module_as_a_type_alone() -> None:
    named = [i for file in FILES if room(file) == "methods" for i in imports(file) if "module" in i[0].split(".")]
    assert named
    assert all(only_types for _, only_types in named)


def test_training_is_started_from_few_places() -> None:
    callers = {
        str(file.relative_to(HOUSE)) for file in FILES if "training" in rooms_of(file) and room(file) != "training"
    }
    assert callers == TRAINING_IS_CALLED_FROM


def test_the_module_knows_neither_data_nor_config() -> None:
    assert rooms_of(HOUSE / "module.py").isdisjoint({"data", "config", "tracking", "training", "floors"})


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_is_named_where_it_belongs(framework: str) -> None:
    places = {
        str(file.relative_to(HOUSE))
        for file in FILES
        if any(name.split(".")[0] == framework for name, _ in imports(file))
    }
    assert places, f"{framework} is imported nowhere"
    allowed = FRAMEWORKS[framework]
    assert {place for place in places if not {place, place.split("/")[0]} & allowed} == set()


@pytest.mark.parametrize("entry", sorted((ROOT / "src").glob("*.py")), ids=lambda path: path.name)
def test_an_entry_point_imports_nothing_heavy_at_its_top(entry: Path) -> None:
    lines = entry.read_text(encoding="utf-8").splitlines()
    top = [n for n in ast.parse("\n".join(lines)).body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert {ast.unparse(node) for node in top} <= {"import sys", "from pathlib import Path"}
    assert len(lines) <= 20
