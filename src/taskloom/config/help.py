"""``--help``, read from the comments in conf/: no import that takes time."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_ENTRY = re.compile(r"^\s+-\s+(?:override\s+)?/?([\w/]+):\s*([^\s#]+)\s*(?:#\s*(.*))?$")
_KEY = re.compile(r"^(  )?\"?(\w+)\"?:[ \t]*([^#\n]*?)[ \t]*(?:#\s*(.*))?$")

_USAGE = {
    "train": (
        "[-m] [group=member ...] [key=value ...]",
        (
            ("model=hard_sharing seed=3", "another model and seed"),
            ("tasks=[like] optimizer.lr=3e-4", "one task alone"),
            ("-m model=single_task,soft_sharing seed=1,2,3", "six jobs, one table"),
            ("-m resume=last", "go on with a sweep"),
            ("-m sweep=soft_sharing", "a search"),
            ("resume=last", "go on after a stop"),
            ("debug=step", "is it all in order?"),
        ),
    ),
    "data": (
        "[data=member] [key=value ...] | init=<file>",
        (
            ("data=movielens_100k", "fetch, build and describe"),
            ("data=yelp data.source=<folder>", "files of your own"),
            ("data.split.kind=global_time", "how cold is the test then?"),
            ("init=my_table.csv", "a first config for a table"),
        ),
    ),
    "runs": (
        "[key=value ...]",
        (
            ("state=killed,failed", "what ended early"),
            ("where='like/auc > 0.79' sort=like/auc", "the best ones first"),
            ("name=2026-11-2* add_tag=first", "words to find them again by"),
            ("problems=true", "is anything broken?"),
            ("older=30d prune=last", "free the disk; asks first"),
            ("state=failed delete=true", "asks first"),
        ),
    ),
    "compare": (
        "[key=value ...]",
        (
            ("", "the latest multirun, or all runs"),
            ("runs=<sweep folder>,<run folder>", "these together"),
            ("where='backbone = fm and seed <= 3'", "some of them"),
            ("by=[model]", "over all other settings"),
            ("baseline=hard_sharing open=true", "Δm against another model; shows the page"),
        ),
    ),
    "evaluate": (
        "run=<run folder>",
        (
            ("run=logs/train/runs/<time>", "one run"),
            ("run=last", "the latest finished run"),
        ),
    ),
}


@dataclass(frozen=True)
class Entry:
    """A group or a key: its name, its value in the root config, and what it is."""

    name: str
    value: str
    about: str


def help_text(command: str, conf: Path, width: int = 90, colour: bool = False) -> str:
    """What a command does, how it is called, and everything that can be chosen.

    Args:
        command: the root config's name.
        conf: the folder of the configs.
        width: of a line, in characters.
        colour: with terminal escapes for bold and dim.
    """
    bold, faint = ("\033[1m{}\033[0m".format, "\033[2m{}\033[0m".format) if colour else (str, str)
    about, groups, keys = read_root(conf / f"{command}.yaml")
    program = f"python src/{command}.py"
    usage, examples = _USAGE[command]
    longest = max(len(f"{program} {arguments}") for arguments, _ in examples)
    lines = [*textwrap.wrap(about, width), "", bold("Usage"), f"  {program} {usage}", "", bold("Examples")]
    for arguments, meaning in examples:
        lines += _row(f"{program} {arguments}", meaning, longest + 2, 2, width, faint=faint)
    lines += ["", f"{bold('Groups')}  choose with group=member; * is the default"]
    for group in [*groups, *_of_sweeps(conf, command)]:
        lines += _row(group.name, group.about, 15, 2, width, bold)
        for name, line in members(conf / group.name):
            lines += _row(("* " if name == group.value else "  ") + name, line, 27, 4, width, faint=faint)
    lines += ["", f"{bold('Keys')}  set with key=value; those of a group's member as group.key=value"]
    for key in keys:
        lines += _row(f"{key.name}={key.value}", key.about, 46, 2, width, faint=faint)
    lines += ["", bold("More")]
    for name, meaning in (
        ("--cfg job", "the whole config that would run, with every key of every member"),
        ("--info defaults", "which file each part comes from"),
        (f'eval "$({program} -sc install=bash)"', "completion of groups, members and keys with the tab key"),
        ("--hydra-help", "Hydra's own options"),
    ):
        lines += _row(name, meaning, 46, 2, width, faint=faint)
    return "\n".join(line.rstrip() for line in lines)


def _of_sweeps(conf: Path, command: str) -> list[Entry]:
    """Hydra's own groups of which we have members."""
    folder = conf / "hydra"
    if command != "train" or not folder.is_dir():
        return []
    chosen = {line.split()[2]: line.split()[3] for line in _lines(folder / "default.yaml") if "override" in line}
    about = {"launcher": "with -m: where jobs run", "sweeper": "with -m: what chooses the jobs"}
    return [Entry(f"hydra/{name}", chosen.get(f"{name}:", ""), text) for name, text in about.items()]


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def print_help(command: str, conf: Path) -> None:
    """Prints the help for this terminal."""
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 60), 100)
    print(help_text(command, conf, width, colour=sys.stdout.isatty()))


def read_root(file: Path) -> tuple[str, list[Entry], list[Entry]]:
    """A root config's first comment, its groups and its keys, each with the comment beside it."""
    about, section, groups, keys = "", "", [], []
    for line in file.read_text(encoding="utf-8").splitlines():
        entry, key = _ENTRY.match(line), _KEY.match(line)
        if entry:
            groups.append(Entry(entry[1], entry[2], entry[3] or ""))
        elif key and key[1]:
            keys.append(Entry(f"{section}.{key[2]}", key[3], key[4] or ""))
        elif key:
            section = key[2]
            if key[3]:
                keys.append(Entry(section, key[3], key[4] or ""))
        elif line.startswith("#") and not about:
            about = line.lstrip("# ")
    return about, groups, keys


def members(folder: Path) -> Iterator[tuple[str, str]]:
    """The members of a group by name, each with the first comment of its YAML."""
    for file in sorted(folder.glob("*.yaml")):
        comments = (line.lstrip("# ") for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
        first = next((comment for comment in comments if not comment.startswith("@package")), "")
        yield file.stem, first.removesuffix(".")


def _row(
    name: str, about: str, column: int, indent: int, width: int, style: object = str, faint: object = str
) -> Sequence[str]:
    """A name, and what it means beside it, broken where the line ends."""
    assert callable(style)
    assert callable(faint)
    start = indent + column
    if start > width - 24:  # too narrow for two columns
        start = indent + 4
    wrapped = textwrap.wrap(about, width - start) or [""]
    head = " " * indent + style(name)
    if indent + len(name) + 1 > start:
        return [head, *(" " * start + faint(line) for line in wrapped)]
    first = head + " " * (start - indent - len(name)) + faint(wrapped[0])
    return [first, *(" " * start + faint(line) for line in wrapped[1:])]
