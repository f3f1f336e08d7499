"""Open nodes: is what stands beside a ``_target_`` what its class or function takes?"""

import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from taskloom.config.suggest import nearest, unknown_key
from taskloom.config.values import Problem, check_value, shown
from taskloom.ranges import Fraction, NonNegative

SPECIAL = ("_target_", "_partial_", "_args_", "_convert_", "_recursive_")
# What torch's optimisers say of their arguments when they are made, which is after the data is read.
OPTIMISER_RANGES: dict[str, Any] = {
    "lr": NonNegative,
    "weight_decay": NonNegative,
    "momentum": NonNegative,
    "eps": NonNegative,
    "betas": tuple[Fraction, Fraction],
}
ALLOWED = ("taskloom.", "torch.optim.", "torch.nn.", "torchmetrics.", "lightning.pytorch.")


def check_nodes(value: Any, path: str, plugins: Sequence[str] = (), runtime: Collection[str] = ()) -> Iterator[Problem]:
    """What is wrong with the nodes in a part of a config, at any depth.

    Args:
        value: plain data; every mapping with a ``_target_`` in it is a node.
        path: its config path.
        plugins: module names of the user's own files, allowed as targets besides :data:`ALLOWED`.
        runtime: arguments that the programme itself gives to the outermost node.

    Example:
        >>> node = {"_target_": "torch.optim.Adam", "_partial_": True, "lrr": 0.1}
        >>> [problem.text for problem in check_nodes(node, "optimizer", runtime=["params"])]
        ['Unknown key optimizer.lrr: did you mean lr?']
    """
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from check_nodes(item, f"{path}[{i}]", plugins)
    if not isinstance(value, dict):
        return
    odd = {key for key in value if _looks_special(key)}
    for key in sorted(odd):
        yield Problem(f"{path}.{key}", unknown_key(f"{path}.{key}", SPECIAL))
    if "_target_" in value:
        yield from _check_node({k: v for k, v in value.items() if k not in odd}, path, plugins, runtime)
    for key, item in value.items():
        if key not in SPECIAL and key not in odd:
            yield from check_nodes(item, f"{path}.{key}", plugins)


def locate(target: str) -> Any:
    """The object of a dotted name; its modules are imported.

    Raises:
        ImportError: no such module, or the module has no such name; the sentence says which.

    Example:
        >>> locate("torch.optim.Adam").__name__
        'Adam'
    """
    parts = target.split(".")
    for n in range(len(parts), 0, -1):
        name = ".".join(parts[:n])
        try:
            found: Any = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise  # a module that the target itself imports
            continue
        for depth in range(n, len(parts)):
            here = ".".join(parts[:depth])
            if not hasattr(found, parts[depth]):
                near = nearest(parts[depth], (key for key in dir(found) if not key.startswith("_")))
                raise ImportError(f"{here} has no {parts[depth]}" + (f": did you mean {near}?" if near else ""))
            found = getattr(found, parts[depth])
        return found
    raise ImportError(f"there is no module {parts[0]}")


def _looks_special(key: Any) -> bool:
    return (
        isinstance(key, str)
        and key not in SPECIAL
        and (key.startswith("_") or key.endswith("_"))
        and nearest(key, SPECIAL) is not None
    )


def _check_node(node: dict[str, Any], path: str, plugins: Sequence[str], runtime: Collection[str]) -> Iterator[Problem]:
    where = f"{path}._target_"
    target = node["_target_"]
    if not isinstance(target, str):
        yield Problem(where, f"{where} must be the dotted name of a class or function, got {shown(target)}")
        return
    own = target.split(".")[0] in plugins
    if not own and not target.startswith(ALLOWED):
        yield Problem(where, _refused(where, target, plugins))
        return
    try:
        callee = locate(target)
    except Exception as error:
        reason = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        yield Problem(where, f"{where}: cannot import {target}: {reason}")
        return
    origin = f"{getattr(callee, '__module__', None) or 'builtins'}.{getattr(callee, '__qualname__', target)}"
    if not own and not origin.startswith(ALLOWED):  # os reached by way of a module that imports it
        yield Problem(where, _refused(where, origin, plugins))
    elif not callable(callee):
        yield Problem(where, f"{where}: {target} cannot be called; name a class or a function")
    else:
        yield from _check_arguments(callee, node, path, runtime)


def _refused(where: str, name: str, plugins: Sequence[str]) -> str:
    allowed = ", ".join([*ALLOWED, *(f"{plugin}." for plugin in plugins)])
    return f"{where}: {name} is not allowed; allowed are {allowed}; to use your own code: plugins=[file.py]"


def _check_arguments(
    callee: Callable[..., Any], node: dict[str, Any], path: str, runtime: Collection[str]
) -> Iterator[Problem]:
    try:
        parameters = dict(inspect.signature(callee).parameters)
    except (TypeError, ValueError):  # written in C, without a signature
        return
    positional = [p.name for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    given = dict(zip(positional, node.get("_args_", ()), strict=False))
    given |= {key: value for key, value in node.items() if key not in SPECIAL}
    catch_all = [p.name for p in parameters.values() if p.kind is p.VAR_KEYWORD]
    named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    meant: set[str | None] = set()  # a misspelt argument is not missing as well
    for key, value in given.items():
        if key in runtime:
            yield Problem(f"{path}.{key}", f"{path}.{key} is given by the programme itself: leave it out")
        elif key in named:
            # Any default is right, whatever the annotation says of it (x: int = None).
            if value is None and named[key].default is None:
                continue
            yield from check_value(_annotation(callee, named[key]), value, f"{path}.{key}")
        elif not catch_all:
            meant.add(nearest(key, named))
            yield Problem(f"{path}.{key}", unknown_key(f"{path}.{key}", set(named) - set(runtime)))
    if node.get("_partial_") and not runtime:
        return  # whoever calls the partial knows what is still to come
    for name, parameter in named.items():
        if parameter.default is parameter.empty and name not in {*given, *meant, *runtime}:
            who = getattr(callee, "__name__", node["_target_"])
            yield Problem(f"{path}.{name}", f"{path}.{name} is missing: {who} needs it")


def _annotation(callee: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The annotation as an object; Any where there is none or it cannot be evaluated here."""
    if str(getattr(callee, "__module__", "")).startswith("torch.optim.") and parameter.name in OPTIMISER_RANGES:
        return OPTIMISER_RANGES[parameter.name]
    if parameter.annotation is parameter.empty:
        return Any
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    function: Any = inspect.unwrap(callee.__init__ if inspect.isclass(callee) else callee)
    try:
        return eval(parameter.annotation, dict(getattr(function, "__globals__", {})))
    except Exception:  # a name that is imported for type checkers alone
        return Any
