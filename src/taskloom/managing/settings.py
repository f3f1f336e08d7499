"""What the command line asks for: the keys of conf/runs.yaml, read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskloom.config.suggest import nearest
from taskloom.errors import ConfigError
from taskloom.managing.condition import Condition, read_condition
from taskloom.managing.found_run import STATES
from taskloom.managing.quantities import parse_bytes, parse_seconds

_TAG = re.compile(r"[\w.+@-]+")
FORMATS = ("table", "json")
PRUNE = ("last", "checkpoints", "leftovers")
FILTERS = ("name", "state", "model", "data", "tag", "older", "newer", "larger", "where")


@dataclass(frozen=True)
class Settings:
    """The keys of conf/runs.yaml; see there. Times are in seconds, sizes in bytes, lists are any of their words."""

    name: tuple[str, ...]
    state: tuple[str, ...]
    model: tuple[str, ...]
    data: tuple[str, ...]
    tag: tuple[str, ...]
    older: float | None
    newer: float | None
    larger: int | None
    where: Condition | None
    problems: bool
    debug: bool
    jobs: bool
    sort: str
    limit: int | None
    format: str
    add_tag: tuple[str, ...]
    remove_tag: tuple[str, ...]
    prune: str | None
    delete: bool
    yes: bool

    @property
    def filtered(self) -> bool:
        """Whether anything says which runs are meant."""
        return self.problems or any(getattr(self, key) not in (None, ()) for key in FILTERS)


def read_settings(given: Mapping[str, Any]) -> Settings:
    """The keys as they stand in the config or in the command line.

    Raises:
        ConfigError: a value that its key does not take, or actions that do not go together.
    """
    text = {key: None if value is None or value in ("", "null") else str(value) for key, value in given.items()}
    settings = Settings(
        name=_words(text["name"]),
        state=tuple(_one_of("state", word, STATES) for word in _words(text["state"])),
        model=_words(text["model"]),
        data=_words(text["data"]),
        tag=_words(text["tag"]),
        older=parse_seconds("older", text["older"]) if text["older"] else None,
        newer=parse_seconds("newer", text["newer"]) if text["newer"] else None,
        larger=parse_bytes("larger", text["larger"]) if text["larger"] else None,
        where=read_condition(text["where"]) if text["where"] else None,
        problems=_yes_or_no("problems", text["problems"]),
        debug=_yes_or_no("debug", text["debug"]),
        jobs=_yes_or_no("jobs", text["jobs"]),
        sort=text["sort"] or "time",
        limit=_count("limit", text["limit"]),
        format=_one_of("format", text["format"] or "table", FORMATS),
        add_tag=_tags("add_tag", text["add_tag"]),
        remove_tag=_tags("remove_tag", text["remove_tag"]),
        prune=_one_of("prune", text["prune"], PRUNE) if text["prune"] else None,
        delete=_yes_or_no("delete", text["delete"]),
        yes=_yes_or_no("yes", text["yes"]),
    )
    _check_actions(settings)
    return settings


def _check_actions(settings: Settings) -> None:
    tags = bool(settings.add_tag or settings.remove_tag)
    asked = {"delete=true": settings.delete, f"prune={settings.prune}": settings.prune is not None}
    actions = [name for name, wanted in asked.items() if wanted]
    if len(actions) + tags > 1:
        raise ConfigError(
            f"{' and '.join([*actions, *(['tags'] if tags else [])])}: one thing at a time; leave one out"
        )
    if not actions and not tags:
        if settings.yes:
            raise ConfigError("yes=true has nothing to agree to: add delete=true or prune=..., or leave it out")
        return
    action = actions[0] if actions else "a tag"
    if settings.limit is not None:
        raise ConfigError(f"limit shortens a list, not what {action} is for: leave it out, and pick by name=, ...")
    if settings.format != "table":
        raise ConfigError(f"format={settings.format} is for listing; leave it out beside {action}")
    if settings.prune != "leftovers" and not settings.filtered:
        raise ConfigError(f"{action} needs to know which runs: name=, state=, older=, ...; name='*' is all of them")


def _words(text: str | None) -> tuple[str, ...]:
    if text and "," in text and text.startswith("[") and text.endswith("]"):
        text = text[1:-1]  # how lists are written elsewhere; without a comma it is a pattern
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _tags(key: str, text: str | None) -> tuple[str, ...]:
    for word in _words(text):
        if not _TAG.fullmatch(word):
            raise ConfigError(f"{key}: a tag is a word of letters, digits and . + @ _ -, got {word!r}")
    return _words(text)


def _one_of(key: str, word: str, choices: tuple[str, ...]) -> str:
    if word in choices:
        return word
    near = nearest(word, choices)
    guess = f": did you mean {near}?" if near else ""
    raise ConfigError(f"{key} must be {', '.join(choices[:-1])} or {choices[-1]}, got {word!r}{guess}")


def _yes_or_no(key: str, text: str | None) -> bool:
    value = (text or "false").lower()
    if value not in ("true", "false"):
        raise ConfigError(f"{key} must be true or false, got {text!r}")
    return value == "true"


def _count(key: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{key} must be a whole number >= 1, or null, got {text!r}")
    return int(text)
