"""The runs command: lists, picks, tags, prunes and deletes run folders."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from taskloom.config.compose import composer
from taskloom.errors import ConfigError, RunError
from taskloom.managing.deletion import Target, remove, targets, unsent
from taskloom.managing.found_run import FoundRun
from taskloom.managing.listing import Found, find
from taskloom.managing.problems import shown
from taskloom.managing.pruning import Waste, checkpoints, leftovers, prune
from taskloom.managing.quantities import show_bytes
from taskloom.managing.selection import is_named, select
from taskloom.managing.settings import Settings, read_settings
from taskloom.managing.tags import change_tags

OK, FAILED = 0, 1
_LIMIT = 30
_OWN = tuple(field.name for field in fields(Settings))
_Item = TypeVar("_Item", Target, Waste)


def runs_command(argv: Sequence[str], conf: Path) -> int:
    """Lists runs, or does something with those that are picked.

    Args:
        argv: ``key=value`` arguments; the keys are those of conf/runs.yaml.
        conf: the folder of the configs.

    Returns:
        0; 1 where something could not be done, or a person did not say yes.

    Raises:
        ConfigError: what is wrong with the command line.
    """
    settings, logs = _read(argv, conf)
    found = find(logs, settings.debug)
    selected = select(found, settings)
    if settings.add_tag or settings.remove_tag:
        return _tag(selected, settings)
    if settings.delete:
        return _delete(found, selected, settings, logs)
    if settings.prune is not None:
        return _prune(found, selected, settings, logs)
    _list(found, selected, settings, logs)
    return OK


def _read(argv: Sequence[str], conf: Path) -> tuple[Settings, Path]:
    """The settings, and the folder of logs."""
    own: dict[str, str] = {}
    others = []
    for argument in argv:
        if argument.startswith("-"):
            raise ConfigError(f"runs.py takes key=value alone, not {argument}; --help shows what can be written")
        key, sign, value = argument.partition("=")
        # Conditions, patterns and sizes hold signs that mean something to Hydra: they never reach its grammar.
        if sign and key in _OWN:
            own[key] = value
        else:
            others.append(argument)
    with composer(conf, "runs") as compose:
        composed = compose.compose(others)
    if composed.problems:
        raise ConfigError("\n".join(problem.text for problem in composed.problems))
    config: Mapping[str, Any] = composed.config
    unknown = [key for key in config if key not in (*_OWN, "command", "paths")]
    if unknown:
        raise ConfigError(f"Unknown key {unknown[0]}: --help lists the keys")
    # YAML's true is Python's True.
    defaults = {key: str(config[key]).lower() if isinstance(config[key], bool) else config[key] for key in _OWN}
    return read_settings({**defaults, **own}), Path(config["paths"]["logs"]).absolute()


def _list(found: Found, selected: Sequence[FoundRun], settings: Settings, logs: Path) -> None:
    from rich.console import Console

    from taskloom.managing.table import as_json, lines, print_lines, problem_lines, totals

    if settings.format == "json":
        print(as_json(selected, selected[: settings.limit], found))
        return
    console = Console(highlight=False, markup=False, soft_wrap=False)
    if not selected:
        _say_none(found, settings, logs)
        return
    named = any(is_named(run, pattern) and run.sweep for pattern in settings.name for run in selected)
    listed = lines(selected, found, settings.jobs or named or settings.problems)
    limit = settings.limit or (_LIMIT if console.is_terminal else len(listed))
    print_lines(listed[:limit], console)
    if len(listed) > limit:
        print(f"\n{limit} of {len(listed)} lines; limit={len(listed)} shows all, sort= and filters what matters")
    troubles = problem_lines(selected, found)
    if settings.problems or named:
        print()
        for folder, problem in troubles:
            print(f"{shown(folder)}: {problem.what}\n    {problem.advice}")
    elif troubles:
        print(f"\n! {_number(len({folder for folder, _ in troubles}), 'folder')} with something wrong: problems=true")
    for place, size in found.leftovers.items():
        print(f"{shown(place)}: left by an interrupted deletion, {show_bytes(size)}\n    prune=leftovers removes it")
    print(("" if troubles else "\n") + totals(selected, found))


def _say_none(found: Found, settings: Settings, logs: Path) -> None:
    if not found.runs:
        print(f"no run in {shown(logs)} yet: python src/train.py makes one")
        return
    hints = []
    for key in ("model", "data"):
        if getattr(settings, key):
            hints.append(f"{key}s: {', '.join(sorted({getattr(run, key) for run in found.runs} - {''}))}")
    if settings.tag:
        hints.append(f"tags: {', '.join(sorted({tag for run in found.runs for tag in run.tags})) or 'none'}")
    print(f"none of {_number(len(found.runs), 'run')} is that" + (f" ({'; '.join(hints)})" if hints else ""))


def _tag(selected: Sequence[FoundRun], settings: Settings) -> int:
    runs = [run for run in selected if run.state != "pending"]
    changed, refused = change_tags(runs, settings.add_tag, settings.remove_tag)
    words = [f"+{tag}" for tag in settings.add_tag] + [f"-{tag}" for tag in settings.remove_tag]
    print(f"{' '.join(words)}: {_number(changed, 'run')} changed of {len(selected)} picked")
    return _tell(refused)


def _delete(found: Found, selected: Sequence[FoundRun], settings: Settings, logs: Path) -> int:
    go, stay = targets(found, selected, logs)
    rows = [(target.folder, _of(target), target.bytes) for target in go]
    _show("to delete", rows, stay)
    lost = list(unsent(run for target in go for run in target.runs))
    if lost:
        print(f"W&B has not got {_number(len(lost), 'of these runs', 'of these runs')} yet: wandb sync sends them")
    return _after_asking(go, settings, "delete", "deleted", remove)


def _prune(found: Found, selected: Sequence[FoundRun], settings: Settings, logs: Path) -> int:
    assert settings.prune is not None
    stay: list[tuple[Path, str]] = []
    if settings.prune == "leftovers":
        go = leftovers(found, selected, logs)
    else:
        go, stay = checkpoints(selected, settings.prune, logs)
    rows = [
        (waste.run.folder if waste.run else waste.paths[0], ", ".join(path.name for path in waste.paths), waste.bytes)
        for waste in go
    ]
    _show("to free", rows, stay)
    if settings.prune == "checkpoints" and go:
        print("without best.ckpt a run cannot be tested again; prune=last keeps it")
    return _after_asking(go, settings, "free", "freed", prune)


def _show(title: str, rows: Sequence[tuple[Path, str, int]], stay: Sequence[tuple[Path, str]]) -> None:
    if rows:
        print(f"{title}, {show_bytes(sum(size for _, _, size in rows))}:")
    width = max((len(shown(folder)) for folder, _, _ in rows), default=0)
    for folder, what, size in rows:
        print(f"  {shown(folder).ljust(width)}  {show_bytes(size):>9}  {what}".rstrip())
    for folder, why in stay:
        print(f"left alone: {shown(folder)}: {why}")


def _of(target: Target) -> str:
    if target.folder != target.runs[0].folder:
        return f"sweep with {_number(len(target.runs), 'job')}"
    run = target.runs[0]
    tags = f"  tags {', '.join(run.tags)}" if run.tags else ""
    return " ".join([run.state, *filter(None, (run.model, run.data)), *run.settings]) + tags


def _after_asking(go: Sequence[_Item], settings: Settings, verb: str, done: str, act: Callable[[_Item], Any]) -> int:
    """Does it to each, if a person or ``yes=true`` agrees."""
    if not go:
        print(f"nothing to {verb}")
        return OK
    if not settings.yes and not _agreed(verb):
        print(f"nothing was {done}")
        return FAILED
    count, size = 0, 0
    refused: list[tuple[Path, str]] = []
    try:
        for item in go:
            try:
                if act(item) is not False:
                    count, size = count + 1, size + item.bytes
            except RunError as error:
                refused.append((Path(), str(error)))
    finally:  # an interrupt too is told how far it came
        print(f"{done} {count} of {len(go)}, {show_bytes(size)}")
    return _tell(refused)


def _agreed(verb: str) -> bool:
    """Whether a person says yes; nobody there is no mistake of ours to guess about."""
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise ConfigError(f"to {verb} asks first, and there is no terminal to ask in: add yes=true if you are sure")
    try:
        return input(f"{verb} this? Type yes: ").strip().lower() == "yes"
    except EOFError:
        print()
        return False


def _tell(refused: Sequence[tuple[Path, str]]) -> int:
    for folder, why in refused:
        print(f"{shown(folder)}: {why}" if folder.parts else why, file=sys.stderr)
    return FAILED if refused else OK


def _number(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"
