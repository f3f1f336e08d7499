"""read_space: the space that a file of conf/sweep and a command line describe together, in Hydra's own notation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from taskloom.errors import ConfigError
from taskloom.sweeping.domain import Numbers, listed_values, read_domain, written
from taskloom.sweeping.space import WHERE, Condition, Parameter, Space, bare


def read_space(params: Mapping[str, Any], overrides: Sequence[Override], choices: Mapping[str, Any]) -> Space:
    """The space that a sweeper's ``params`` and a command line describe together.

    An override that lists values or an interval is a parameter; one that sets a key takes it out of ``params``.

    Args:
        params: of ``hydra.sweeper``: a key of the config and its values in Hydra's notation, or a condition
            ``key=value,value`` and the same again, for parameters that exist under that condition alone.
        overrides: of the command line, understood by Hydra's parser.
        choices: the member chosen in each group, for conditions on groups that are not searched.

    Raises:
        ConfigError: a parameter that cannot be read or has no values, or a condition on what is not known.
    """
    given = {bare(override.key_or_group): override for override in overrides if not _of_hydra(override)}
    found: list[tuple[str, tuple[Condition, ...], Override]] = [
        (o.get_key_element(), (), o) for o in given.values() if o.is_sweep_override()
    ]
    found += [each for each in _read_section(params, (), WHERE) if bare(each[0]) not in given]
    fixed = {str(group): written(member) for group, member in choices.items()}
    fixed |= {key: _one_value(o) for key, o in given.items() if not o.is_sweep_override() and not o.is_delete()}
    found.sort(key=lambda each: len(each[1]))  # what others depend on comes first
    several = {key for key, _, _ in found if sum(other == key for other, _, _ in found) > 1}
    parameters: list[Parameter] = []
    for key, conditions, override in found:
        still_open = _still_open(conditions, parameters, fixed)
        if still_open is not None:
            name = bare(key) + (f" [{' '.join(map(str, conditions))}]" if key in several and conditions else "")
            parameters.append(Parameter(name, key, read_domain(override), still_open))
    if not parameters:
        raise ConfigError(
            "There is nothing to search: choose a search with sweep=<name>, or name values such as "
            "'optimizer.lr=tag(log, interval(1e-4, 1e-1))'"
        )
    space = Space(parameters)
    space.samples()
    return space


def _read_section(
    section: Mapping[str, Any], conditions: tuple[Condition, ...], where: str
) -> Iterator[tuple[str, tuple[Condition, ...], Override]]:
    for key, value in section.items():
        path = f"{where}.{key}"
        if "=" in key:
            if not isinstance(value, Mapping):
                raise ConfigError(f"{path}: a condition has parameters under it, got {value!r}")
            yield from _read_section(value, (*conditions, _condition(key, path)), path)
        elif not isinstance(value, str):
            raise ConfigError(
                f"{path}: {value!r} names no values to search; write choice(..), range(..), interval(..) or "
                "tag(log, interval(..)), or take it out and set the key itself"
            )
        else:
            yield key, conditions, _understood(f"{key}={value}", path)


def _understood(line: str, path: str) -> Override:
    """An override that lists values.

    Raises:
        ConfigError: it cannot be read, or it does not.
    """
    key, _, text = line.partition("=")
    try:
        override = OverridesParser.create().parse_overrides([line])[0]
        if override.is_sweep_override() and override.is_discrete_sweep():
            list(override.sweep_string_iterator())
    except HydraException as error:
        raise ConfigError(
            f"{path}: cannot read {text!r} ({str(error).splitlines()[0]}); write choice(a,b), range(1,8), "
            "interval(0.1,0.9), int(interval(1,8)) or tag(log, interval(1e-4,1e-1))"
        ) from None
    if not override.is_sweep_override():
        raise ConfigError(
            f"{path}: {text} is one value; write choice(..) of several, or take it out and set {bare(key)} itself"
        )
    return override


def _condition(text: str, path: str) -> Condition:
    try:
        override = OverridesParser.create().parse_overrides([text])[0]
    except HydraException:
        raise ConfigError(f"{path}: cannot read the condition; write key=value or key=value,value") from None
    key = override.key_or_group
    if not override.is_sweep_override():
        return Condition(key, (_one_value(override),))
    if not override.is_discrete_sweep():
        raise ConfigError(f"{path}: a condition names values, one or several: key=value,value")
    return Condition(key, tuple(written(value) for value in listed_values(override)))


def _still_open(
    conditions: Sequence[Condition], parameters: Sequence[Parameter], fixed: Mapping[str, str]
) -> tuple[Condition, ...] | None:
    """The conditions that hold for some trials and not for others; None where one holds for none."""
    found = []
    for condition in conditions:
        if not _settled(condition, parameters, fixed):
            found.append(condition)
        elif fixed[condition.key] not in condition.values:
            return None
    return tuple(found)


def _settled(condition: Condition, parameters: Sequence[Parameter], fixed: Mapping[str, str]) -> bool:
    """Whether a condition holds or not for all trials alike.

    Raises:
        ConfigError: it is on a key that is neither searched nor a group, or on a value that the key never has.
    """
    parents = [parameter for parameter in parameters if bare(parameter.key) == condition.key]
    if not parents:
        if condition.key in fixed:
            return True
        raise ConfigError(
            f"{WHERE}: the condition {condition} is on {condition.key}, which is neither searched by then nor a "
            "group; put its own choice(..) into the params, outside of its own condition"
        )
    for parent in parents:
        if isinstance(parent.domain, Numbers):
            raise ConfigError(f"{WHERE}: the condition {condition} is on an interval; make it a choice(..)")
    known = [written(value) for parent in parents for value in parent.domain.corners()]
    for value in condition.values:
        if value not in known:
            raise ConfigError(
                f"{WHERE}: the condition {condition} never holds for {value}: {condition.key} is one of "
                f"{', '.join(dict.fromkeys(known))}"
            )
    return False


def _one_value(override: Override) -> str:
    value = override.value()
    return written(value) if value is None or isinstance(value, bool | int | float) else str(value)


def _of_hydra(override: Override) -> bool:
    return override.key_or_group.startswith(("hydra.", "hydra/"))
