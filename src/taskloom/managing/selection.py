"""Which runs are meant, and in what order."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from taskloom.config.suggest import nearest
from taskloom.errors import ConfigError
from taskloom.managing.found_run import FoundRun
from taskloom.managing.listing import Found
from taskloom.managing.settings import Settings

_LOWER = ("loss", "rmse", "mae", "error", "deviance")


def select(found: Found, settings: Settings) -> list[FoundRun]:
    """The runs that every filter lets through, sorted.

    Args:
        found: what there is.
        settings: filters and order.

    Raises:
        ConfigError: a score or setting that no run has.
    """
    names = [*(settings.where.names if settings.where else ()), *_sort_name(settings)]
    _check_names(names, found.runs)
    troubled = {folder for folder, sweep in found.sweeps.items() if sweep.problems}
    tests: list[Callable[[FoundRun], bool | None]] = [
        lambda run: not settings.name or any(is_named(run, pattern) for pattern in settings.name),
        lambda run: not settings.state or run.state in settings.state,
        lambda run: _matches(run.model, settings.model),
        lambda run: _matches(run.data, settings.data),
        lambda run: not settings.tag or bool(set(settings.tag) & set(run.tags)),
        lambda run: settings.older is None or (_began(run) and run.age > settings.older),
        lambda run: settings.newer is None or (_began(run) and run.age <= settings.newer),
        lambda run: settings.larger is None or run.size.total > settings.larger,
        lambda run: not settings.problems or bool(run.problems) or run.sweep in troubled,
        lambda run: settings.where is None or settings.where.test(run),
    ]
    return ordered((run for run in found.runs if all(test(run) for test in tests)), settings.sort)


def ordered(runs: Iterable[FoundRun], sort: str) -> list[FoundRun]:
    """Runs in order: by time the newest first, by size the largest, by a score the best; those without one last."""
    newest = sorted(runs, key=lambda run: (run.created, run.name), reverse=True)
    if sort == "time":
        return newest
    values = {run.folder: run.value(sort) for run in newest}
    numbers = [run for run in newest if isinstance(values[run.folder], int | float)]
    texts = [run for run in newest if isinstance(values[run.folder], str)]
    down = sort == "size" or _higher_is_better(sort, newest)
    numbers.sort(key=lambda run: float(values[run.folder] or 0), reverse=down)
    texts.sort(key=lambda run: str(values[run.folder]))
    return [*numbers, *texts, *(run for run in newest if values[run.folder] is None)]


def is_named(run: FoundRun, pattern: str) -> bool:
    """Whether ``name=`` means a run: by its folder's name, its sweep's, both, or a path; with or without ``*``."""
    pattern = pattern.rstrip("/")
    names = [run.folder.name, run.name]
    if run.sweep is not None:
        names.append(run.sweep.name)
    if any(fnmatchcase(name, pattern) for name in names):
        return True
    path = Path(pattern).expanduser().absolute()
    return "/" in pattern and any(fnmatchcase(str(folder), str(path)) for folder in (run.folder, run.sweep) if folder)


def _matches(value: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)


def _began(run: FoundRun) -> bool:
    """A job that has not begun is neither old nor new."""
    return run.created > 0


def _sort_name(settings: Settings) -> list[str]:
    return [] if settings.sort in ("time", "size") else [settings.sort]


def _check_names(names: Sequence[str], runs: Sequence[FoundRun]) -> None:
    if not names or not runs:
        return
    known = dict.fromkeys(name for run in runs for name in run.names())
    for name in names:
        if name not in known:
            near = nearest(name, known)
            scores = ", ".join(sorted(name for name in known if "/" in name)[:12])
            hint = f"did you mean {near}?" if near else f"there are {scores}, keys of the config, size, age and took"
            raise ConfigError(f"no run has {name}: {hint}")


def _higher_is_better(name: str, runs: Sequence[FoundRun]) -> bool:
    for run in runs:
        if name in run.directions:
            return run.directions[name]
    return "/" in name and not name.endswith(_LOWER)
