"""SearchSettings: the keys of ``hydra.sweeper`` that say how a search is run."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from taskloom.errors import ConfigError
from taskloom.tracking.run_folder import plain

SAMPLERS = ("tpe", "nsga2", "random")
PRUNERS = ("none", "median", "halving", "hyperband")
#: the study's file in the sweep's folder
JOURNAL = "study.journal"
_SECTION = "hydra.sweeper"


@dataclass(frozen=True)
class SearchSettings:
    """How a search is run; conf/hydra/sweeper/optuna.yaml says what each key is and has the defaults.

    Raises:
        ConfigError: a value that no search can be run with.
    """

    params: Mapping[str, Any]
    n_trials: int
    objectives: tuple[str, ...]
    sampler: str
    seed: int
    pruner: str
    n_jobs: int
    storage: str | None
    study: str | None
    save_as: str | None

    def __post_init__(self) -> None:
        for key, least in (("n_trials", 1), ("n_jobs", 1), ("seed", 0)):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"{_SECTION}.{key} must be a whole number >= {least}, got {value!r}")
        for key, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            if getattr(self, key) not in known:
                hint = "; every combination is what hydra/sweeper=grid runs" if getattr(self, key) == "grid" else ""
                raise ConfigError(
                    f"{_SECTION}.{key} must be one of {', '.join(known)}, got {getattr(self, key)!r}{hint}"
                )
        for key in ("storage", "study", "save_as"):
            value = getattr(self, key)
            if value is not None and (not isinstance(value, str) or not value):
                raise ConfigError(f"{_SECTION}.{key} must be a name or null, got {value!r}")
        if self.storage is not None and "://" not in self.storage:
            raise ConfigError(
                f"{_SECTION}.storage must be an address such as sqlite:///study.db, got {self.storage!r}; "
                "null keeps the study in the sweep's folder"
            )
        if self.save_as is not None and not self.save_as.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(f"{_SECTION}.save_as must be letters, digits, _ and -, got {self.save_as!r}")
        self._check_objectives()

    def _check_objectives(self) -> None:
        if not self.objectives:
            raise ConfigError(f"{_SECTION}.objectives must name at least one value, such as [val/score]")
        for name in self.objectives:
            if name.startswith("test/"):
                raise ConfigError(
                    f"{_SECTION}.objectives: {name} is measured on test rows, and what is chosen by them is no longer "
                    f"tested by them; take val/{name.removeprefix('test/')}"
                )
            if not name.startswith("val/"):
                raise ConfigError(
                    f"{_SECTION}.objectives: {name!r} is not a validation value; take val/score or val/<task>/<metric>"
                )
        if len(set(self.objectives)) < len(self.objectives):
            raise ConfigError(f"{_SECTION}.objectives names a value twice: {', '.join(self.objectives)}")
        if self.pruner != "none" and len(self.objectives) > 1:
            raise ConfigError(
                f"{_SECTION}.pruner={self.pruner} goes with one objective: a trial that is worse in one of several may "
                "be better in another; take pruner=none, or a single objective such as [val/score]"
            )


def read_settings(section: Mapping[str, Any]) -> SearchSettings:
    """The settings of a search.

    Args:
        section: ``hydra.sweeper`` of a composed config.

    Raises:
        ConfigError: an unknown key, or a value that no search can be run with.
    """
    values = {key: value for key, value in plain(section).items() if key != "_target_"}
    known = {field.name for field in fields(SearchSettings)}
    unknown = [key for key in values if key not in known]
    if unknown:
        raise ConfigError(f"Unknown key {_SECTION}.{unknown[0]}: there are {', '.join(sorted(known))}")
    objectives = values["objectives"]
    if isinstance(objectives, str):
        objectives = [objectives]
    return SearchSettings(
        **values | {"params": values["params"] or {}, "objectives": tuple(str(name) for name in objectives or ())}
    )
