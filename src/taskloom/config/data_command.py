"""The data command: prepares a data set and describes it, or writes a first config for a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser

from taskloom.atomic import file_beside
from taskloom.config.compose import Composer, composer
from taskloom.config.plugins import load_plugins
from taskloom.config.preflight import check_data
from taskloom.errors import ConfigError, RunError
from taskloom.tracking.run_folder import RunFolder

_INIT = "init="


def data_command(argv: Sequence[str], conf: Path) -> int:
    """Prepares and describes, or writes a first config where ``init=<file>`` is among the arguments.

    Raises:
        ConfigError: what is wrong with the command line or the config.
        DataError: what is wrong with the data.
    """
    given = [argument.removeprefix(_INIT) for argument in argv if argument.startswith(_INIT)]
    if given and given[-1] != "null":
        others = [argument for argument in argv if not argument.startswith(_INIT)]
        if others:
            raise ConfigError(f"init={given[-1]} takes nothing beside it, got {' '.join(others)}")
        return _init(Path(given[-1]).expanduser(), conf)
    parser = get_args_parser()
    arguments = parser.parse_intermixed_args(list(argv))
    if arguments.multirun:
        raise ConfigError("data.py describes one data set at a time; leave -m out")
    with composer(conf, "data") as compose:
        config = _checked(compose, arguments.overrides)
    _describe(config)
    return 0


def _checked(compose: Composer, overrides: Sequence[str]) -> dict[str, Any]:
    composed = compose.compose(list(overrides))
    problems = [problem.text for problem in composed.problems]
    if composed.config:
        load_plugins([str(path) for path in composed.config.get("plugins") or []])
        problems += [problem.text for problem in check_data(composed.config)]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    return composed.config


def _describe(config: dict[str, Any]) -> None:
    import importlib

    from rich.console import Console

    from taskloom.data.describe import describe
    from taskloom.data.facts_table import facts_tables
    from taskloom.data.page import page

    # By name: the making of objects from a config belongs to training, and torch is not needed until here.
    data = importlib.import_module("taskloom.training.build").make_data(config)
    data.prepare_data()
    data.setup()
    logs = Path(config["paths"]["logs"])
    floors = _measured_floors(logs, data.fingerprint)
    facts = describe(data.store, data.tasks, data.title, data.came_from, data.excluded, floors)
    folder = Path(config["out"] or logs / "data" / f"{data.title}-{data.fingerprint}")
    console = Console()
    (console if console.is_terminal else Console(width=110)).print(facts_tables(facts))
    for name, text in (("data.json", _json(facts)), ("data.html", page(facts))):
        with file_beside(folder / name) as path:
            path.write_text(text, encoding="utf-8")
    print(f"as JSON  {folder / 'data.json'}\nas page  {folder / 'data.html'}")


def _measured_floors(logs: Path, fingerprint: str) -> dict[str, Any]:
    """What runs on the same data measured of the simple predictors: those of the latest such run."""
    found: dict[str, Any] = {}
    latest = ""
    for file in [*logs.glob("train/runs/*/run.json"), *logs.glob("train/multiruns/*/*/run.json")]:
        try:
            record = RunFolder(file.parent).read()
        except RunError:
            continue
        if record.get("fingerprint") == fingerprint and record.get("floors") and str(record.get("created")) > latest:
            found, latest = record["floors"], str(record.get("created"))
    return found


def _json(facts: dict[str, Any]) -> str:
    import json

    return json.dumps(facts, indent=1, ensure_ascii=False)


def _init(file: Path, conf: Path) -> int:
    from taskloom.data.init import write_first_config

    written = write_first_config(file, conf / "data")
    print(f"wrote {written}: read it, mend what it doubts, then\n  python src/data.py data={written.stem}")
    print(f"  python src/train.py data={written.stem}")
    return 0
