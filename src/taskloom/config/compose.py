"""Composing configs with Hydra, and saying plainly what a command line got wrong."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from taskloom.config import resolvers
from taskloom.config.suggest import nearest, unknown_key
from taskloom.config.values import Problem
from taskloom.errors import ConfigError

VERSION_BASE = "1.3"
_COMPOSITION = (HydraException, ValueError)  # what Hydra raises for a config that does not compose
Choices = Mapping[str, str | None]


@dataclass(frozen=True)
class Composed:
    """A job's config as plain data.

    Args:
        config: resolved.
        choices: the member chosen in each group.
        problems: overrides that had to be left out, and why.
        overrides: those that are in it.
    """

    config: dict[str, Any]
    choices: Choices
    problems: Sequence[Problem]
    overrides: Sequence[Override]


@contextmanager
def composer(conf: Path, command: str) -> Iterator["Composer"]:
    """A Composer for the root config of a command, ready within the ``with`` block."""
    resolvers.register(conf)
    with initialize_config_dir(config_dir=str(conf.resolve()), version_base=VERSION_BASE, job_name=command):
        yield Composer(command, GlobalHydra.instance().config_loader())


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config without Hydra's part as plain containers, all references resolved.

    Raises:
        ConfigError: a reference to nothing, or a value that must be given and is not.
    """
    with open_dict(cfg):
        cfg.pop("hydra", None)
    try:
        container = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key, cause = error.full_key or "the config", str(error).splitlines()[0]
        if "Missing mandatory value" in cause:
            raise ConfigError(f"{key} must be given: add {key}=<value>") from None
        raise ConfigError(f"{key}: {cause}") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


class Composer:
    """Composes configs without running anything.

    Args:
        command: the root config's name.
        loader: Hydra's.
    """

    def __init__(self, command: str, loader: ConfigLoader) -> None:
        self.command, self.loader = command, loader
        self._parser = OverridesParser.create(config_loader=loader)

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """The overrides, understood.

        Raises:
            ConfigError: one that is not of the form ``key=value``.
        """
        parsed = []
        for override in overrides:
            try:
                parsed += self._parser.parse_overrides([override])
            except OverrideParseException:
                raise ConfigError(self._unreadable(override)) from None
            if parsed[-1].key_or_group == "sweep" and parsed[-1].value() == "wandb":
                raise ConfigError(
                    "sweep=wandb: the settings of that sweep are picked by W&B's server, so W&B's own commands run it: "
                    "wandb sweep conf/sweep/wandb.yaml, then wandb agent <the id it prints>"
                )
        return parsed

    def compose(self, overrides: Sequence[str]) -> Composed:
        """The config of one job; what is wrong with its overrides is in ``problems``.

        Raises:
            ConfigError: an override that cannot be read, or a config that does not compose.
        """
        parsed = self.parse(overrides)
        problems: list[Problem] = []
        try:
            cfg = self._compose(parsed)
        except _COMPOSITION as error:
            problems, good = self._diagnose(parsed)
            if not problems:
                raise ConfigError(_one_line(error)) from None
            parsed = good
            try:
                cfg = self._compose(parsed)
            except _COMPOSITION:
                return Composed({}, {}, problems, parsed)
        choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
        assert isinstance(choices, dict)
        return Composed(plain(cfg), {str(k): v for k, v in choices.items()}, problems, parsed)

    def hydra(self, overrides: Sequence[str]) -> DictConfig:
        """Hydra's own part of the config of some overrides: its sweeper, its launcher, where jobs go.

        Raises:
            ConfigError: what is wrong with them.
        """
        parsed = self.parse(overrides)
        try:
            return self._compose(parsed).hydra
        except _COMPOSITION as error:
            problems, _ = self._diagnose(parsed)
            raise ConfigError("\n".join(problem.text for problem in problems) or _one_line(error)) from None

    def _compose(self, overrides: Sequence[Override]) -> DictConfig:
        lines = [override.input_line or "" for override in overrides]
        try:
            cfg = compose(config_name=self.command, overrides=lines, return_hydra_config=True)
        except MarkedYAMLError as error:
            raise ConfigError(_bad_yaml(error)) from None
        with open_dict(cfg):
            cfg.hydra.runtime.output_dir = "<run folder>"  # known when the job starts
        HydraConfig.instance().set_config(cfg)
        return cfg

    def _diagnose(self, overrides: Sequence[Override]) -> tuple[list[Problem], list[Override]]:
        """What is wrong with the overrides, and those with which nothing is."""
        problems: list[Problem] = []
        good: list[Override] = []
        values: list[Override] = []
        suspended: set[str] = set()  # groups whose member is unknown: so are their keys
        for override in overrides:
            group = override.key_or_group
            members = self._members(group)
            value = override.value() if members else None
            if members and value is None and not override.is_delete():
                problems.append(Problem(group, _unknown_member(group, "null", members)))
            elif not members or not isinstance(value, str) or override.is_delete():
                (good if members else values).append(override)
            elif value in members or "/" in value:  # Hydra itself looks into subfolders
                good.append(override)
            else:
                suspended.add(group)
                problems.append(Problem(group, _unknown_member(group, value, members)))
        try:
            base = self._compose(good)
        except _COMPOSITION as error:
            return problems or [Problem("", _one_line(error))], []
        for override in values:
            problem = None if override.is_add() or override.is_force_add() else self._unknown_key(base, override)
            if problem is None:
                good.append(override)
            elif override.key_or_group.split(".")[0] not in suspended:
                problems.append(problem)
        return problems, good

    def _members(self, group: str) -> list[str]:
        return sorted(self.loader.get_group_options(group, ObjectType.CONFIG)) if "." not in group else []

    def _groups(self) -> list[str]:
        return [group for group in self.loader.get_group_options("", ObjectType.GROUP) if group != "hydra"]

    def _unknown_key(self, base: DictConfig, override: Override) -> Problem | None:
        """The sentence for a key that the config does not have; None where it has it."""
        key = override.key_or_group
        node: Any = base
        walked: list[str] = []
        for part in (part for part in re.split(r"[.\[\]]", key) if part):
            walked.append(part)
            here = ".".join(walked)
            if isinstance(node, ListConfig) and part.isdigit() and int(part) < len(node):
                node = node._get_node(int(part))
            elif isinstance(node, DictConfig) and part in node.keys():  # noqa: SIM118 ("in node" hides nulls)
                node = node._get_node(part)
            elif isinstance(node, DictConfig) and node._value() is not None:
                names = [str(name) for name in node.keys() if name != "hydra"]  # noqa: SIM118
                if node is base:
                    names = sorted({*names, *self._groups()})
                if here in base.hydra.runtime.choices:
                    return Problem(here, f"Unknown {here} {override.value()!r}: there are none in conf/{here}/ yet")
                text = unknown_key(here, names, () if len(walked) > 1 else _paths(base))
                add = f"; to add it: +{override.input_line}" if len(walked) > 1 and "mean" not in text else ""
                return Problem(here, text + add)
            else:
                parent = ".".join(walked[:-1])
                return Problem(here, f"Unknown key {here}: {parent} is a single value; write {parent}=<value>")
        value = override.value()
        if isinstance(node, DictConfig) and node._value() is not None and isinstance(value, dict):
            new = [str(name) for name in value if str(name) not in node.keys()]  # noqa: SIM118
            if new:
                return Problem(key, f"{key} has no {' and no '.join(new)} yet; to add it: +{override.input_line}")
        return None

    def _unreadable(self, text: str) -> str:
        if "=" not in text:
            for group in self._groups():
                member = nearest(text, self._members(group))
                if member:
                    return f"Cannot read {text!r}: write key=value; did you mean {group}={member}?"
            return f"Cannot read {text!r}: write key=value, such as model=soft_sharing; --help lists the keys"
        key, _, value = text.partition("=")
        return (
            f"Cannot read {text!r}: a value with spaces, commas, brackets or = needs quotes of its own, "
            f"such as {key}='\"{value}\"'"
        )


def _bad_yaml(error: MarkedYAMLError) -> str:
    """What is wrong in a file that is no YAML, and where."""
    mark, problem = error.problem_mark or error.context_mark, error.problem or "it cannot be read"
    where = f"{mark.name}, line {mark.line + 1}" if mark else "a config"
    if problem.startswith("found duplicate key "):
        return f"{where}: the key {problem.removeprefix('found duplicate key ')} is in its section twice; rename one"
    return f"{where}: this is no YAML ({problem}); mend the line, or the one before it"


def _unknown_member(group: str, name: str, members: Sequence[str]) -> str:
    near = nearest(name, members)
    guess = f"did you mean {near}? (there are {', '.join(members)})" if near else f"there are {', '.join(members)}"
    return f"Unknown {group} {name!r}: {guess}"


def _paths(cfg: DictConfig) -> list[str]:
    """The config paths of all values outside Hydra's own part."""
    found: list[str] = []

    def walk(node: Any, path: str) -> None:
        if isinstance(node, DictConfig) and node._value() is not None and not node._is_interpolation():
            for key in node.keys():  # noqa: SIM118
                if path or key != "hydra":
                    walk(node._get_node(key), f"{path}.{key!s}" if path else str(key))
        elif path:
            found.append(path)

    walk(cfg, "")
    return found


def _one_line(error: BaseException) -> str:
    parts = [str(error)]
    if error.__cause__ is not None:
        parts.append(str(error.__cause__))
    return "; ".join(line.strip() for part in parts for line in part.splitlines() if line.strip())
