"""Tasks against heads: does every task's kind have a head, and does that head take the task's options?"""

import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_type_hints

from taskloom.config.schema import HeadsSection
from taskloom.config.suggest import unknown_key
from taskloom.config.values import Problem, check_value
from taskloom.errors import ConfigError
from taskloom.tasks import Task

RUNTIME = ("self", "task", "statistics", "width", "wide", "sides")  # what the programme itself gives to a head


def check_heads(tasks: Collection[Task]) -> Iterator[Problem]:
    """What is wrong with the kinds and the options of tasks. Plugins that bring heads are imported by now.

    Args:
        tasks: those that are to be trained.

    Example:
        >>> tasks = [Task("like", "bnary"), Task("rating", "regression", options={"hiden": [8]})]
        >>> for problem in check_heads(tasks):
        ...     print(problem.text)
        data.tasks.like.kind: no head of kind 'bnary'; there are binary, ..., regression, ...
        Unknown key data.tasks.rating.options.hiden: did you mean hidden?
    """
    from taskloom.heads import head_class  # torch, which --help and completion do without

    for task in tasks:
        try:
            head = head_class(task)
        except ConfigError as error:
            yield Problem(f"data.tasks.{task.name}.kind", str(error))
            continue
        yield from _check_options(head, task.options, f"data.tasks.{task.name}.options")


def _check_options(head: type, options: Mapping[str, Any], path: str) -> Iterator[Problem]:
    known = _arguments(head)
    for key, value in options.items():
        if key in known:
            yield from check_value(known[key], value, f"{path}.{key}")
        else:
            yield Problem(f"{path}.{key}", unknown_key(f"{path}.{key}", known))


def _arguments(head: type) -> dict[str, Any]:
    """The annotations of all that a head can be given, its bases' too as long as it hands arguments on."""
    found: dict[str, Any] = {}
    for base in head.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        hints = get_type_hints(vars(base)["__init__"], include_extras=True)
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, hints.get(parameter.name, Any))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    ranges = get_type_hints(HeadsSection, include_extras=True)
    return {name: ranges.get(name, kind) for name, kind in found.items() if name not in RUNTIME}
