"""Which YAML file, and which line of it, a value comes from."""

import re
from collections.abc import Mapping
from pathlib import Path

from taskloom.config.help import read_root

_GLOBAL = re.compile(r"^#\s*@package\s+_global_\s*$", re.MULTILINE)


def where(conf: Path, command: str, choices: Mapping[str, str | None], path: str) -> str | None:
    """File and line of a value, such as ``conf/model/soft_sharing.yaml, line 7``; None where no file has it.

    Args:
        conf: the folder of the configs.
        command: the root config's name.
        choices: the member chosen in each group.
        path: the value's config path.
    """
    parts = [part for part in re.split(r"[.\[\]]", path) if part]
    root = conf / f"{command}.yaml"
    for group in reversed(read_root(root)[1]):  # the last word first
        file = conf / group.name / f"{choices.get(group.name)}.yaml"
        if not file.is_file():
            continue
        prefix = [] if _GLOBAL.search(file.read_text(encoding="utf-8")) else group.name.split("/")
        if parts[: len(prefix)] == prefix:
            line = _line(file, parts[len(prefix) :])
            if line is not None:
                return f"{file.relative_to(conf.parent)}, line {line}"
    line = _line(root, parts)
    return None if line is None else f"{root.relative_to(conf.parent)}, line {line}"


def _line(file: Path, parts: list[str]) -> int | None:
    """The line of a key in a YAML file, from 1."""
    import yaml

    node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for part in parts:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if part not in pairs:
                return None
            key, node = pairs[part]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            return None
    return line
