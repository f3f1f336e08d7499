"""Values against annotations: is what a config says what a class asks for?

Only plain kinds are judged: numbers, text, true or false, null, literals, lists, mappings, dataclasses,
unions of them, and ranges (:mod:`taskloom.ranges`). Anything else, a module for instance, passes: no config
can spell it.
"""

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from taskloom.config.suggest import nearest, unknown_key

_PLAIN: dict[Any, tuple[str, str]] = {
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    bool: ("true or false", "true or false"),
    None: ("null", "null"),
    type(None): ("null", "null"),
    Path: ("a path", "paths"),
}
_LISTS = (list, tuple, set, frozenset, Sequence, Iterable)
_MAPPINGS = (dict, Mapping)
_RANGES = {
    "greater_than_equal": (">=", "ge"),
    "greater_than": (">", "gt"),
    "less_than_equal": ("<=", "le"),
    "less_than": ("<", "lt"),
}


@dataclass(frozen=True)
class Problem:
    """One mistake in a config.

    Args:
        path: the config path it concerns, such as ``model.strength``.
        text: the whole sentence.
    """

    path: str
    text: str


def check_value(annotation: Any, value: Any, path: str) -> list[Problem]:
    """What is wrong with a value, judged by an annotation; empty where nothing is.

    Args:
        annotation: a type, with ranges in ``Annotated``; unknown kinds pass.
        value: plain data from a config. One with a ``_target_`` passes: an object will take its place.
        path: its config path, for the sentences.

    Example:
        >>> from taskloom.ranges import NonNegative
        >>> [problem.text for problem in check_value(NonNegative, -1, "model.strength")]
        ['model.strength must be >= 0, got -1']
        >>> [problem.text for problem in check_value(list[int] | None, [8, "x"], "backbone.hidden")]
        ["backbone.hidden[1] must be an integer, got 'x'"]
    """
    kind, *constraints = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    if isinstance(value, dict) and "_target_" in value:
        return []
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return check_value(Annotated[(*get_args(kind), *constraints)], value, path)
    if origin in (Union, types.UnionType):
        return _check_union(arguments, value, path)
    if origin is Literal:
        return [] if any(value == a and type(value) is type(a) for a in arguments) else [_wrong(kind, value, path)]
    if kind in _PLAIN:
        return _check_plain(annotation, kind, value, path)
    if is_dataclass(kind) and isinstance(kind, type):
        return list(check_fields(kind, value, path))
    if (origin or kind) in _LISTS:
        return _check_list(kind, value, path) or _check_constraints(list, constraints, value, path)
    if (origin or kind) in _MAPPINGS:
        if not isinstance(value, dict):
            return [_wrong(kind, value, path)]
        inner = arguments[1] if arguments else Any
        return [problem for key, item in value.items() for problem in check_value(inner, item, f"{path}.{key}")]
    return []


def check_fields(cls: type, value: Any, path: str) -> Iterator[Problem]:
    """What is wrong with a mapping that should hold the fields of a dataclass: unknown, missing, wrong."""
    if not isinstance(value, dict):
        yield _wrong(cls, value, path)
        return
    known: dict[str, Field[Any]] = {field.name: field for field in fields(cls)}
    hints = get_type_hints(cls, include_extras=True)
    prefix = f"{path}." if path else ""
    meant = set()  # a misspelt key is not missing as well
    for key, item in value.items():
        if key in known:
            yield from check_value(hints[key], item, f"{prefix}{key}")
        else:
            meant.add(nearest(str(key), known))
            yield Problem(f"{prefix}{key}", unknown_key(f"{prefix}{key}", known))
    for name, field in known.items():
        optional = field.default is not MISSING or field.default_factory is not MISSING
        if name not in value and name not in meant and not optional:
            path = f"{prefix}{name}"
            yield Problem(path, f"{path} is missing: add {path}=<{_word(hints[name])}>")


def describe(annotation: Any, plural: bool = False) -> str:
    """What an annotation asks for, in words.

    Example:
        >>> describe(int | None), describe(list[int]), describe(Literal["cpu", "gpu", "auto"])
        ('an integer or null', 'a list of integers', 'cpu, gpu or auto')
    """
    if get_origin(annotation) is Annotated:
        return describe(get_args(annotation)[0], plural)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN:
        return _PLAIN[annotation][plural]
    if origin in (Union, types.UnionType):
        words = dict.fromkeys(describe(a, plural) for a in arguments)
        return " or ".join(words)
    if origin is Literal:
        options = [shown(a) if a is None or isinstance(a, bool) else str(a) for a in arguments]
        return " or ".join([", ".join(options[:-1]), options[-1]] if len(options) > 1 else options)
    if (origin or annotation) in _LISTS:
        inner = [a for a in arguments if a is not Ellipsis]
        of = f" of {describe(inner[0], plural=True)}" if inner and inner[0] is not Any else ""
        return ("lists" if plural else "a list") + of
    if (origin or annotation) in _MAPPINGS or is_dataclass(annotation):
        return "mappings" if plural else "a mapping"
    return getattr(annotation, "__name__", str(annotation))


def shown(value: Any) -> str:
    """A value as a person wrote it: null and true as in YAML, text in quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _word(annotation: Any) -> str:
    return describe(annotation).removeprefix("an ").removeprefix("a ")


def _wrong(annotation: Any, value: Any, path: str) -> Problem:
    text = f"{path} must be {describe(annotation)}, got {shown(value)}"
    if isinstance(value, str):
        near = nearest(value, (a for a in _literals(annotation) if isinstance(a, str)))
        text += f": did you mean {near}?" if near else ""
    if isinstance(value, str | int) and describe(annotation).startswith("a list"):
        text += f"; write {path}=[{value}]"
    return Problem(path, text)


def _literals(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) is not None:
        for argument in get_args(annotation):
            yield from _literals(argument)


def _check_union(branches: Sequence[Any], value: Any, path: str) -> list[Problem]:
    judged = [branch for branch in branches if _can_judge(branch)]
    if len(judged) < len(branches) and (not judged or isinstance(value, list | dict)):
        return []  # it may become an object that one of the other branches asks for
    branches = judged
    found = [check_value(branch, value, path) for branch in branches]
    if not all(found):
        return []
    # The branch that a person meant is the one that got further than the kind of the value itself.
    for branch, problems in zip(branches, found, strict=True):
        if problems != [_wrong(branch, value, path)]:
            return problems
    return [_wrong(Union[tuple(branches)], value, path)]  # noqa: UP007 (they are known only now)


def _can_judge(annotation: Any) -> bool:
    """Whether values of this kind can be told from others; a Tensor's, for instance, cannot."""
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    outer = get_origin(kind) or kind
    known = outer in _PLAIN or outer in (Union, types.UnionType, Literal) or outer in (*_LISTS, *_MAPPINGS)
    return known or is_dataclass(kind)


def _check_list(annotation: Any, value: Any, path: str) -> list[Problem]:
    if not isinstance(value, list | tuple):
        return [_wrong(annotation, value, path)]
    inner = get_args(annotation)
    if not inner:
        return []
    each = [inner[0]] * len(value)
    if get_origin(annotation) is tuple and Ellipsis not in inner:
        if len(value) != len(inner):
            return [Problem(path, f"{path} must have {len(inner)} entries, got {shown(value)}")]
        each = list(inner)
    pairs = enumerate(zip(each, value, strict=True))
    return [problem for i, (kind, item) in pairs for problem in check_value(kind, item, f"{path}[{i}]")]


def _check_plain(annotation: Any, kind: Any, value: Any, path: str) -> list[Problem]:
    if kind is Path:
        return [] if isinstance(value, str | Path) else [_wrong(kind, value, path)]
    if kind in (None, type(None)):
        return [] if value is None else [_wrong(kind, value, path)]
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        return [_wrong(annotation, value, path)]
    return _check_constraints(kind, getattr(annotation, "__metadata__", ()), value, path)


def _check_constraints(kind: Any, constraints: Sequence[Any], value: Any, path: str) -> list[Problem]:
    if not constraints:
        return []
    from pydantic import ValidationError

    try:
        _adapter(Annotated[(kind, *constraints)]).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        sign, limit = _RANGES.get(first["type"], ("", ""))
        wish = f"must be {sign} {first['ctx'][limit]:g}" if sign else f"is not right: {first['msg']}"
        if first["type"] == "too_short":
            least = first["ctx"]["min_length"]
            wish = f"must have at least {least} {'entry' if least == 1 else 'entries'}"
        return [Problem(path, f"{path} {wish}, got {shown(value)}")]
    return []


@lru_cache(maxsize=256)
def _adapter(annotation: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(annotation)
