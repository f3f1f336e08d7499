"""From overrides to jobs: Hydra's own questions, preflight of every job, then the jobs themselves."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from taskloom.config.compose import VERSION_BASE, Composer, composer, plain
from taskloom.config.locate import where
from taskloom.config.preflight import preflight
from taskloom.config.report import reason, tell
from taskloom.config.schema import COLLECTIONS, NODES
from taskloom.config.values import Problem
from taskloom.errors import ConfigError
from taskloom.sweeping.jobs import common_keys, labels, list_jobs

_EXCLUDE = "hydra.job.config.override_dirname.exclude_keys"


@dataclass
class Launch:
    """What happened to the jobs of one command."""

    multirun: bool
    jobs: list[list[str]]
    started: int = 0
    failures: list[tuple[str, str, Path]] = field(default_factory=list)  # label, reason, folder
    sweep: Path | None = None
    interrupted: bool = False


def launch(command: str, argv: Sequence[str], conf: Path) -> int:
    """Runs the jobs of a command line and gives the exit code.

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
    with composer(conf, command) as compose:
        multirun, jobs = _jobs(compose, arguments.overrides, arguments.multirun)
        _check(compose, jobs, conf)
    state = Launch(multirun, jobs)
    sweep = ["-m", f"{_EXCLUDE}=[{','.join(common_keys(jobs))}]"] if multirun else []
    _run(command, [*sweep, *arguments.overrides], conf, state)
    return _finish(state)


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; --help shows what can be written")


def _jobs(compose: Composer, overrides: Sequence[str], multirun: bool) -> tuple[bool, list[list[str]]]:
    """Whether this is a multirun, and the overrides of each job."""
    parsed = compose.parse(overrides)
    multirun = multirun or any(o.key_or_group == "hydra.mode" and o.value() == "MULTIRUN" for o in parsed)
    if not multirun:
        swept = [o for o in parsed if o.is_sweep_override()]
        if swept:
            raise ConfigError(
                f"{swept[0].input_line} lists several values: add -m to run a job for each, "
                f"or write {swept[0].key_or_group}=[...] for a list"
            )
        return False, [list(overrides)]
    return True, list_jobs(parsed)


def _check(compose: Composer, jobs: Sequence[list[str]], conf: Path) -> None:
    """Preflight of all jobs.

    Raises:
        ConfigError: every mistake, one a line; those of some jobs alone say of which.
    """
    found: dict[str, list[int]] = {}
    for number, overrides in enumerate(jobs):
        try:
            sentences = list(_sentences(compose, overrides, conf))
        except ConfigError as error:
            sentences = [str(error)]
        for sentence in dict.fromkeys(sentences):
            found.setdefault(sentence, []).append(number)
    lines, names = [], labels(jobs)
    for sentence, numbers in found.items():
        which = f"job {numbers[0]} ({names[numbers[0]]}): "
        more = f" (and in {len(numbers) - 1} more)" if len(numbers) > 1 else ""
        lines.append(sentence if len(numbers) == len(jobs) else which + sentence + more)
    if lines:
        raise ConfigError("\n".join(lines))


def _sentences(compose: Composer, overrides: list[str], conf: Path) -> Iterator[str]:
    """What is wrong with one job, each with the file and line it comes from."""
    composed = compose.compose(overrides)
    yield from (problem.text for problem in composed.problems)
    if not composed.config:
        return
    keys = [override.key_or_group for override in composed.overrides]
    sections = None
    if composed.problems:
        # Targets are imported, which takes seconds: only where there may be a further mistake.
        sections = {key.split(".")[0] for key in keys} & {*NODES, *COLLECTIONS}
    for problem in preflight(composed.config, sections):
        yield problem.text + _origin(problem, keys, conf, compose.command, composed.choices)


def _origin(problem: Problem, keys: Sequence[str], conf: Path, command: str, choices: Any) -> str:
    path = problem.path
    if any(path == key or path.startswith((f"{key}.", f"{key}[")) for key in keys if key not in choices):
        return ""  # it stands in the command line
    place = where(conf, command, choices, path)
    return f" ({place})" if place else ""


def _run(command: str, argv: Sequence[str], conf: Path, state: Launch) -> None:
    """The jobs, by way of Hydra; what happens to them is written into ``state``."""

    names = labels(state.jobs)

    def job(cfg: DictConfig) -> None:
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        name = ""
        if settings.mode == RunMode.MULTIRUN:
            name = names[settings.job.num]
            state.sweep = Path(settings.sweep.dir).absolute()
            print(f"\njob {settings.job.num} ({state.started + 1} of {len(names)}): {name}", flush=True)
        state.started += 1
        try:
            from taskloom.training.job import run_job

            config = plain(cfg)
            # A run is resumed from any working directory.
            config["plugins"] = [str(Path(path).expanduser().resolve()) for path in config["plugins"]]
            if config["data"].get("source") is not None:
                config["data"]["source"] = str(Path(config["data"]["source"]).expanduser().resolve())
            run_job(config, folder)
        except Exception as error:  # the other jobs of a multirun go on
            tell(error)
            state.failures.append((name, reason(error), folder))
        except BaseException:
            state.interrupted = True
            if not state.multirun:
                print(f"interrupted; to go on: python src/{command}.py resume={folder}", file=sys.stderr)
            raise

    try:
        _hydra_main(command, argv, conf, job)
    except (KeyboardInterrupt, SystemExit):
        if not state.interrupted:
            raise


def _finish(state: Launch) -> int:
    """The table and the failures of a multirun, and the exit code."""
    if state.sweep is not None and state.multirun:
        from taskloom.sweeping.summary import print_summary

        print_summary(state.sweep)
        for name, why, folder in state.failures:
            print(f"failed: {name}: {why} ({folder})", file=sys.stderr)
        if state.failures:
            print(f"{len(state.failures)} of {len(state.jobs)} jobs failed", file=sys.stderr)
        if state.interrupted:
            print(f"interrupted in job {state.started} of {len(state.jobs)}", file=sys.stderr)
    return 130 if state.interrupted else int(bool(state.failures))


def _ask_hydra(command: str, argv: Sequence[str], conf: Path) -> int:
    """What Hydra answers itself: the config, completion, its own help."""
    from taskloom.config import resolvers

    resolvers.register(conf)
    try:
        _hydra_main(command, argv, conf, lambda cfg: None)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _hydra_main(command: str, argv: Sequence[str], conf: Path, job: Callable[[DictConfig], None]) -> None:
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
