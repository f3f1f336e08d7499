"""From overrides to jobs: Hydra's own questions, preflight of every job, then the one run or the sweep."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from taskloom.config.check import check
from taskloom.config.compose import VERSION_BASE, Composer, composer, plain
from taskloom.config.origin import origin
from taskloom.config.report import tell
from taskloom.errors import ConfigError


def launch(command: str, argv: Sequence[str], conf: Path) -> int:
    """Runs the run or the sweep of a command line and gives the exit code.

    Raises:
        ConfigError: what is wrong with any job, before any of them has begun.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    # Flags may stand anywhere; Hydra's own parser wants all overrides in one place.
    arguments = parser.parse_intermixed_args(list(argv))
    if arguments.cfg or arguments.info or arguments.shell_completion or arguments.hydra_help:
        return _ask_hydra(command, argv, conf)
    if arguments.config_name or arguments.config_path or arguments.config_dir or arguments.experimental_rerun:
        raise ConfigError("the configs are those in conf/: put your own members there, or changes in conf/experiment/")
    if command != "train":
        raise ConfigError(f"name the run: python src/{command}.py run=<run folder>, or run=last")
    if arguments.multirun:
        from taskloom.config.sweep import sweep

        return sweep(arguments.overrides, conf)
    with composer(conf, command) as compose:
        _refuse_several(compose, arguments.overrides)
        check(compose, [list(arguments.overrides)], conf)
    return _run(command, arguments.overrides, conf)


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; --help shows what can be written")


def _refuse_several(compose: Composer, overrides: Sequence[str]) -> None:
    """Raises:
    ConfigError: overrides that want several runs.
    """
    for override in compose.parse(overrides):
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line} lists several values: add -m to run a job for each, "
                f"or write {override.key_or_group}=[...] for a list"
            )
        if override.key_or_group == "hydra.mode" and override.value() == "MULTIRUN":
            raise ConfigError("hydra.mode=MULTIRUN: write -m instead")
        if override.key_or_group == "sweep" and override.value() is not None:
            raise ConfigError(f"{override.input_line} is for several runs: add -m")


def _run(command: str, argv: Sequence[str], conf: Path) -> int:
    """One run, by way of Hydra."""
    code = 0

    def job(cfg: DictConfig) -> None:
        nonlocal code
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        try:
            from taskloom.training.job import run_job

            config = plain(cfg)
            run_job(config, folder, origin(config, argv, settings.runtime.choices))
        except Exception as error:
            tell(error)
            code = 1
        except BaseException:
            print(f"interrupted; to go on: python src/{command}.py resume={folder}", file=sys.stderr)
            code = 130

    hydra_main(command, argv, conf, job)
    return code


def _ask_hydra(command: str, argv: Sequence[str], conf: Path) -> int:
    """What Hydra answers itself: the config, completion, its own help."""
    from taskloom.config import resolvers

    resolvers.register(conf)
    try:
        hydra_main(command, argv, conf, lambda cfg: None)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def hydra_main(command: str, argv: Sequence[str], conf: Path, job: Callable[[DictConfig], Any]) -> None:
    """Hydra's main for a root config, with arguments of ours."""
    with _arguments(argv):
        hydra.main(config_path=str(conf.resolve()), config_name=command, version_base=VERSION_BASE)(job)()


@contextmanager
def _arguments(argv: Sequence[str]) -> Iterator[None]:
    """Hydra reads its arguments from sys.argv alone."""
    before = sys.argv
    sys.argv = [before[0], *argv]
    try:
        yield
    finally:
        sys.argv = before
