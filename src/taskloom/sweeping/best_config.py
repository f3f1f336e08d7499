"""best_config: a run's config as a file of conf/experiment that repeats it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from omegaconf import OmegaConf

from taskloom.tracking.run_folder import plain

#: groups whose member is no part of what a run computes, or is in the values that it leads to
_NOT_REPEATED = ("hydra", "paths", "logger", "experiment", "debug", "sweep")
#: sections and keys that say where a run writes, not what it is
_ELSEWHERE = ("paths", "logger", "resume", "command")


class Composed(Protocol):
    """A config as plain data, and the member chosen in each group."""

    @property
    def config(self) -> dict[str, Any]:
        """Resolved."""

    @property
    def choices(self) -> Mapping[str, str | None]:
        """By group."""


@dataclass(frozen=True)
class BestConfig:
    """A file of conf/experiment.

    Args:
        text: of the file.
        deletions: overrides that take away what no file can take away; empty but for runs that had such overrides.
    """

    text: str
    deletions: tuple[str, ...]


def best_config(
    record: Mapping[str, Any], compose: Callable[[Sequence[str]], Composed], comments: Sequence[str]
) -> BestConfig:
    """A run's config as a diff over the defaults: the groups that it chose, then every value that still differs.

    Composed again, it gives the run's config, less where the run wrote: whatever set a value (an override, a search's
    own file, an experiment, a plugin) it is in the file.

    Args:
        record: the run's run.json.
        compose: a command line to its config.
        comments: first lines, without their ``#``; the first is what --help shows.
    """
    defaults = compose([]).choices
    groups = {
        group: member
        for group, member in (record.get("choices") or {}).items()
        if group in defaults and group not in _NOT_REPEATED and member != defaults[group]
    }
    base = plain(compose([f"{group}={member}" for group, member in groups.items()]).config)
    values, deletions = _difference(base, record["config"])
    for key in _ELSEWHERE:
        values.pop(key, None)
    deletions = [path for path in deletions if path.split(".")[0] not in _ELSEWHERE]
    lines = ["# @package _global_", *(f"# {comment}" for comment in comments)]
    if deletions:
        lines.append(f"# It repeats the run together with {' '.join(f'~{path}' for path in deletions)}.")
    if groups:
        lines += ["defaults:", *(f"  - override /{group}: {member}" for group, member in groups.items()), ""]
    body = OmegaConf.to_yaml(OmegaConf.create(_literal(values))) if values else ""
    return BestConfig("\n".join(lines) + "\n" + body, tuple(f"~{path}" for path in deletions))


def _difference(base: Mapping[str, Any], wanted: Mapping[str, Any], path: str = "") -> tuple[dict[str, Any], list[str]]:
    """What must be set over ``base`` to give ``wanted``, and the keys that must go."""
    values: dict[str, Any] = {}
    gone = [f"{path}{key}" for key in base if key not in wanted]
    for key, value in wanted.items():
        before = base.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner, deeper = _difference(before, value, f"{path}{key}.")
            gone += deeper
            if inner:
                values[key] = inner
        elif key not in base or value != before or type(value) is not type(before):
            values[key] = value
    return values, gone


def _literal(value: Any) -> Any:
    """The same value with the sign of a reference written so that it is none."""
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value
