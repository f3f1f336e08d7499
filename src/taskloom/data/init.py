"""A first data config for a table, written by looking at it."""

import json
import re
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from taskloom.atomic import file_beside
from taskloom.data.guess import Guess, guess, slug
from taskloom.data.readers.tabular_files import TableFiles
from taskloom.data.text_sources import SEPARATORS, opened
from taskloom.data.text_table import ENDINGS, read_table
from taskloom.errors import ConfigError, DataError

LOOKED_AT = 100_000  # rows
SMALL = 20_000  # rows below which batches are smaller
TOLERATED = 0.01  # share of malformed lines with which a table is still looked at
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
WORDS_OF_YAML = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def write_first_config(file: Path, folder: Path) -> Path:
    """Looks at a table and writes ``<folder>/<the file's name>.yaml``, a config that runs at once.

    Args:
        file: CSV, TSV, JSON lines or Parquet, plain or gz, or a folder of such files.
        folder: of data configs, ``conf/data``.

    Raises:
        DataError: the file cannot be read, or nothing in it could be predicted.
        ConfigError: there is such a config already; it is left as it is.
    """
    target = folder / f"{config_name(file)}.yaml"
    if target.exists():
        raise ConfigError(f"{target} is there already and stays as it is; rename it, or rename {file.name}")
    text = first_config(file)
    with file_beside(target) as path:
        path.write_text(text, encoding="utf-8")
    return target


def config_name(file: Path) -> str:
    """What the config of a file is called.

    Example:
        >>> config_name(Path("My clicks.csv.gz"))
        'my_clicks'
    """
    plain = file.with_suffix("") if file.suffix == ".gz" else file
    return slug(plain.stem.lower())


def first_config(file: Path) -> str:
    """The text of a first config; see ``write_first_config``."""
    if not file.exists():
        raise DataError(f"init: {file} is not there; give an existing file or folder")
    located = [path for _, path in TableFiles("init").located(file)] if file.is_dir() else [file]
    with tempfile.TemporaryDirectory(prefix="taskloom.") as scratch:
        frame, options, doubts = _look(located[0], Path(scratch))
    found = guess(frame)
    if not found.tasks:
        raise DataError(
            f"init: {file} has no column of numbers, or of two values, that could be predicted; name another"
        )
    return _text(file, options, doubts, found)


def _look(file: Path, scratch: Path) -> tuple[pl.DataFrame, dict[str, Any], dict[str, str]]:
    """The first rows, the reader's options that they need, and what is doubtful about those."""
    plain = file.with_suffix("") if file.suffix == ".gz" else file
    if plain.suffix.lower() in (".parquet", ".pq"):
        return read_table([file], scratch).frame.head(LOOKED_AT).collect(), {}, {}
    with opened(file) as source:
        lines = list(islice(source, LOOKED_AT + 1))
    if not lines:
        raise DataError(f"{file} is empty; get the file again or leave it out")
    options: dict[str, Any] = {}
    doubts: dict[str, str] = {}
    try:
        b"".join(lines).decode("utf-8")
    except UnicodeDecodeError:
        options["encoding"] = "utf-16" if lines[0][:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
        doubts["encoding"] = "not UTF-8: look whether letters such as é come out right"
    first = lines[0].decode(options.get("encoding", "utf-8-sig"), errors="replace").rstrip("\r\n")
    if plain.suffix.lower() not in ENDINGS:
        options["format"] = "jsonl" if first.lstrip().startswith("{") else "csv"
        doubts["format"] = "the ending does not tell"
        if "::" in first:
            options["separator"] = "::"
    if options.get("format", ENDINGS.get(plain.suffix.lower())) in ("csv", "tsv") and (names := _names(first, options)):
        options["header"] = names
        doubts["header"] = "the first line looks like values: give the columns their names here"
    copy = scratch / f"first-lines{plain.suffix}"
    copy.write_bytes(b"".join(lines))
    found = read_table(
        [copy],
        scratch,
        format=options.get("format"),
        columns=options.get("header"),
        separator=options.get("separator"),
        encoding=options.get("encoding", "utf-8"),
        tolerate=TOLERATED,
        say=lambda line: None,
    )
    if found.account.refused:
        options["tolerate"] = TOLERATED
        told = found.account.refusals[0].partition(", ")[2]
        doubts["tolerate"] = f"{found.account.refused} of {found.account.read} lines are malformed, such as {told}"
    return found.frame.collect(), options, doubts


def _names(first: str, options: dict[str, Any]) -> list[str]:
    """Names for the columns of a file whose first line has values; none where it has names."""
    separator = options.get("separator") or max(SEPARATORS, key=first.count)
    fields = [value.strip().strip('"') for value in first.split(separator)]
    values = [field for field in fields if re.fullmatch(r"[+-]?\d+(\.\d+)?", field)]
    return [f"column_{number}" for number in range(1, len(fields) + 1)] if values else []


def _text(file: Path, options: dict[str, Any], doubts: dict[str, str], found: Guess) -> str:
    name = config_name(file)
    lines = [
        f"# {file.name}, as it looked at {found.rows:,} rows: read it through and mend what is wrong.",
        f"# Train on it: python src/train.py data={name}",
        "_target_: taskloom.data.datamodule.DataModule",
        f"name: {name}  # shown in tables",
        "",
        "reader:  # its further options are in conf/data/tabular.yaml",
        "  _target_: taskloom.data.readers.tabular.Tabular",
        f"  name: {name}",
    ]
    for key, value in options.items():
        lines.append(_line(1, key, value, doubts.get(key, "")))
    for key, about in (("user", "whose event a row is"), ("item", "with what"), ("time", "when it was")):
        column = getattr(found, key)
        doubt = "guessed by name" if column and key != "time" else "no column looks like it" if not column else ""
        lines.append(_line(1, key, column, "; ".join(filter(None, (about, doubt)))))
    lines += [f"source: {_value(str(file.resolve()))}", "", "features:"]
    lines += [_line(1, key, section, found.notes.get(key, "")) for key, section in found.features.items()]
    if found.user and found.item and found.time:
        item = next(key for key, section in found.features.items() if section.get("column", key) == found.item)
        lines.append(
            f"  # history: {{kind: history, of: [{item}], length: 20}}  # the user's earlier events, strictly earlier"
        )
    for column, why in found.left_out.items():
        lines.append(f"  # {column} is left out: {why}")
    lines += ["", "tasks:"]
    for key, section in found.tasks.items():
        lines.append(_line(1, key, section, found.notes.get(f"task {key}", "").strip("; ")))
    lines += ["", *_split(found)]
    if found.excluded:
        lines += ["", "excluded:  # columns that no feature may use"]
        lines += [_line(1, column, why) for column, why in found.excluded.items()]
    if found.user and found.item:
        sides = {section.get("column", key): key for key, section in found.features.items()}
        floors = {"user": sides[found.user], "item": sides[found.item], "target": next(iter(found.tasks))}
        lines += ["", _line(0, "floors", floors, "what bias and factorisation are fitted to")]
    lines += ["", f"batch_size: {256 if found.rows < SMALL else 1024}", "eval_batch_size: 8192", "first_batch: false"]
    return "\n".join(lines) + "\n"


def _split(found: Guess) -> list[str]:
    """A split that fits: as given, by time, or so that nobody is in two parts."""
    if found.part:
        return ["split:  # a column gives it", "  kind: column", _line(1, "column", found.part), "  ratios: [8, 1, 1]"]
    if found.time:
        about = "the future is what a model is for; random is what many papers use"
        return [f"split:  # {about}", "  kind: global_time", "  ratios: [8, 1, 1]"]
    if found.user and not found.item:
        about = "nobody is in two parts"
        return [
            f"split:  # {about}",
            "  kind: group",
            _line(1, "column", found.user),
            "  ratios: [8, 1, 1]",
            "  seed: 1",
        ]
    about = "no time was found: rows are dealt out by chance"
    return [f"split:  # {about}", "  kind: random", "  ratios: [8, 1, 1]", "  seed: 1"]


def _line(depth: int, key: str, value: Any, note: str = "") -> str:
    return f"{'  ' * depth}{_value(key)}: {_value(value)}{f'  # {note}' if note else ''}"


def _value(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(key)}: {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        safe = PLAIN.fullmatch(value) and value.lower() not in WORDS_OF_YAML
        return value if safe else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
