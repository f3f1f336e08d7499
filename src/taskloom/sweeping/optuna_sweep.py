"""A search over hyper-parameters with Optuna: checked before it begins, and run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override

from taskloom.errors import ConfigError
from taskloom.sweeping.ledger import Ledger
from taskloom.sweeping.objectives import SCORE, higher_is_better
from taskloom.sweeping.read_space import read_space
from taskloom.sweeping.search import Search
from taskloom.sweeping.search_settings import SearchSettings, read_settings
from taskloom.sweeping.space import Space
from taskloom.tracking.run_folder import plain

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study


def representatives(hydra: Mapping[str, Any], overrides: Sequence[Override]) -> list[list[str]]:
    """Command lines of jobs that stand for all trials of a search, to be checked before it begins.

    Args:
        hydra: Hydra's part of the composed config: its ``sweeper`` and ``runtime.choices``.
        overrides: the command line, understood by Hydra's parser.

    Returns:
        The first point of the space, then one with each choice and with each end of an interval.

    Raises:
        ConfigError: settings that no search can be run with, or a space that cannot be searched.
    """
    settings = read_settings(hydra["sweeper"])
    fixed = fixed_overrides(overrides)
    return [fixed + lines for lines in read_space(settings.params, overrides, hydra["runtime"]["choices"]).samples()]


def check_search(
    hydra: Mapping[str, Any],
    overrides: Sequence[Override],
    configs: Sequence[Mapping[str, Any]],
    base: Mapping[str, Any],
    conf: Path,
    ledger: Ledger | None,
) -> None:
    """What can be judged of a search once the jobs that stand for its trials are composed.

    Args:
        hydra: Hydra's part of the composed config.
        overrides: the command line, understood by Hydra's parser.
        configs: of those jobs.
        base: composed from what the command line sets for all trials.
        conf: the folder of the configs.
        ledger: of the search that is to go on; None for a new one.

    Raises:
        ConfigError: an objective that some trial would not have, a file that would be written over, or a study that
            cannot be opened or is another one's.
    """
    from taskloom.sweeping.study import check_free

    settings = read_settings(hydra["sweeper"])
    for config in configs:
        higher_is_better(config, settings.objectives)
    if ledger is not None:
        space = read_space(settings.params, overrides, hydra["runtime"]["choices"])
        open_search(settings, space, fixed_overrides(overrides), base, ledger)
        return
    check_free(settings.storage, settings.study)
    if settings.save_as is not None:
        names = [settings.save_as] if len(settings.objectives) == 1 else [f"{settings.save_as}_{k}" for k in range(99)]
        for file in (conf / "experiment" / f"{name}.yaml" for name in names):
            if file.exists():
                raise ConfigError(f"hydra.sweeper.save_as={settings.save_as}: {file} is there already; name another")


def fixed_overrides(overrides: Sequence[Override]) -> list[str]:
    """What a command line sets for all trials alike."""
    ours = (o for o in overrides if not o.key_or_group.startswith(("hydra.", "hydra/")))
    return [o.input_line or "" for o in ours if not o.is_sweep_override()]


def search(
    settings: Mapping[str, Any], arguments: Sequence[str], config: Mapping[str, Any], launcher: Any, ledger: Ledger
) -> None:
    """Runs trials until there are ``n_trials`` finished ones, also those that an earlier process began.

    A trial that was killed goes on under its own number, a finished one whose result had not been told is told. Any
    number of processes may search at once. What the search came to is said by `conclude`.

    Args:
        settings: ``hydra.sweeper``.
        arguments: the command line.
        config: composed from what the command line sets for all trials.
        launcher: ours, which take a trial whenever a worker is free, or any other of Hydra's, which take batches.
        ledger: the sweep's.

    Raises:
        ConfigError: the study is another one than these settings describe.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(arguments))
    read = read_settings(settings)
    space = read_space(read.params, parsed, config["hydra"]["runtime"]["choices"])
    fixed = fixed_overrides(parsed)
    study, storage = open_search(read, space, fixed, config, ledger)
    Search(read, space, fixed, study, storage, launcher, ledger).run()


def open_search(
    settings: SearchSettings, space: Space, fixed: Sequence[str], config: Mapping[str, Any], ledger: Ledger
) -> "tuple[Study, BaseStorage]":
    """The study of a search, made where it is not there yet.

    Args:
        settings: of the search.
        space: its parameters.
        fixed: overrides that all trials have.
        config: composed from those.
        ledger: the sweep's.

    Raises:
        ConfigError: the study that is there is another one.
    """
    from taskloom.sweeping.study import open_study

    part = {} if set(settings.objectives) == {SCORE} else plain({key: config[key] for key in ("data", "tasks")})
    epochs = plain(config["method"]).get("epochs") if "method" in config else None
    facts = {
        "objectives": list(settings.objectives),
        "sampler": settings.sampler,
        "pruner": settings.pruner,
        "epochs": epochs if isinstance(epochs, int) else None,
        "space": str(space),
        "fixed": list(fixed),
        "sweep": ledger.path.name,
    }
    name = settings.study or ledger.path.name
    higher = higher_is_better(part, settings.objectives)
    return open_study(ledger.path, settings.storage, name, facts, higher, settings.seed)
