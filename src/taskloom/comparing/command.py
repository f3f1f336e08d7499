"""The compare command: reads run folders, prints the table, and leaves comparison.json and compare.html."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from taskloom.atomic import file_beside
from taskloom.comparing.comparison import Comparison, compare
from taskloom.comparing.finding import find_runs
from taskloom.comparing.summary import unstarted
from taskloom.comparing.table import print_table
from taskloom.errors import ConfigError, RunError
from taskloom.tracking.run_folder import plain

# These may hold signs that mean something to Hydra, and never reach its grammar.
_TEXTS = ("runs", "where", "tag", "baseline", "out", "title", "entity", "project")
_LISTS = ("by", "metrics")
_SWITCHES = ("page", "open", "wandb")


def compare_command(argv: Sequence[str], conf: Path) -> int:
    """Compares the runs that the arguments name.

    Returns:
        0.

    Raises:
        ConfigError: what is wrong with the command line.
        RunError: there are no such runs.
    """
    settings = _settings(argv, conf)
    logs = Path(settings["paths"]["logs"])
    folders, sweep, missing = find_runs(settings["runs"], logs / "train")
    comparison = compare(
        folders,
        where=settings["where"],
        tag=settings["tag"],
        baseline=settings["baseline"],
        metrics=settings["metrics"],
        by=settings["by"],
        title=settings["title"] or (sweep.name if sweep else _title(folders)),
        notes=missing + (unstarted(sweep, folders) if sweep else []),
    )
    print_table(comparison)
    out = settings["out"]
    folder = Path(out).expanduser() if out else sweep or logs / "compare" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    _leave(comparison, folder, settings)
    return 0


def _leave(comparison: Comparison, folder: Path, settings: dict[str, Any]) -> None:
    """Writes the files, and says where they are.

    Raises:
        RunError: the folder cannot be written to.
    """
    try:
        _write(comparison, folder / "comparison.json")
        print(f"\nas JSON  {folder / 'comparison.json'}")
        if settings["page"]:
            from taskloom.comparing.page import write_page

            write_page(comparison, folder / "compare.html")
            print(f"as page  {folder / 'compare.html'}")
    except OSError as error:
        raise RunError(f"{folder} cannot be written to ({error.strerror}); name another folder by out=") from None
    if settings["wandb"]:
        from taskloom.comparing.wandb_report import publish

        for address in publish(comparison, settings["entity"], settings["project"]):
            print(f"in W&B   {address}")
    if settings["open"]:
        import webbrowser

        webbrowser.open((folder / "compare.html").absolute().as_uri())


def _write(comparison: Comparison, path: Path) -> None:
    """As JSON without indentation, which takes a fifth of the time."""
    form: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    try:
        text = json.dumps(comparison, **form)
    except ValueError:  # a mean of numbers that diverged
        text = json.dumps(plain(comparison), **form)
    with file_beside(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def _settings(argv: Sequence[str], conf: Path) -> dict[str, Any]:
    """The arguments over conf/compare.yaml, checked.

    Raises:
        ConfigError: every mistake, one a line.
    """
    from taskloom.config.compose import composer

    own: dict[str, Any] = {}
    rest = []
    for argument in argv:
        if argument.startswith("-"):
            raise ConfigError(f"compare.py takes key=value alone, not {argument}; --help shows what can be written")
        key, sign, value = argument.partition("=")
        if sign and key in _TEXTS:
            own[key] = None if value in ("null", "") else value
        elif sign and key in _LISTS:
            own[key] = None if value == "null" else _words(value)
        else:
            rest.append(argument)
    with composer(conf, "compare") as compose:
        composed = compose.compose(rest)
    problems = [problem.text for problem in composed.problems]
    settings = composed.config | own
    known = (*_TEXTS, *_LISTS, *_SWITCHES, "command", "paths")
    problems += [f"Unknown key {key}: --help lists the keys" for key in settings if key not in known]
    for key in _SWITCHES:
        if not isinstance(settings.get(key, False), bool):
            problems.append(f"{key} must be true or false, got {settings[key]}")
    if settings.get("open") is True and settings.get("page") is False:
        problems.append("open=true opens the page, which page=false leaves out: set one of them")
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    return settings


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.strip().strip("[]").split(",") if word.strip()]


def _title(folders: Sequence[Path]) -> str:
    return f"{len(folders)} run{'' if len(folders) == 1 else 's'}"
