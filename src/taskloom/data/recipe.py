"""Recipe: all that shapes the processed data. Fingerprint: its name, together with the raw content's."""

import hashlib
import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from taskloom.atomic import file_beside
from taskloom.data.acquire import Raw
from taskloom.data.feature_spec import FeatureSpec
from taskloom.data.sections import NegativesSpec, SplitSpec
from taskloom.data.spec import TargetSpec

FORMAT = 3  # raised whenever the same options give other files


@dataclass(frozen=True)
class Recipe:
    """All options that shape the data.

    Args:
        features, targets, split: the data config's.
        user, item, time: the columns that say whose event it is, with what, and when; None where there is none.
        core: training rows that a ``user`` and an ``item`` must have.
        negatives: what is drawn against observed rows.
    """

    features: tuple[FeatureSpec, ...]
    targets: tuple[TargetSpec, ...]
    split: SplitSpec
    user: str | None
    item: str | None
    time: str | None
    core: Mapping[str, int] = field(default_factory=dict)
    negatives: NegativesSpec | None = None

    @property
    def history(self) -> FeatureSpec | None:
        """The history that is switched on, or None."""
        return next((spec for spec in self.features if spec.kind == "history" and spec.length > 0), None)

    @property
    def group(self) -> str | None:
        """The column or expression that rows are grouped by for grouped metrics."""
        return next((spec.expression for spec in self.features if spec.kind == "group"), self.user)

    @property
    def inputs(self) -> tuple[FeatureSpec, ...]:
        """The features that are columns of a batch."""
        return tuple(spec for spec in self.features if spec.stored)


def raw_files(reader: Any, raw: Raw) -> list[Path]:
    """All files that a reader looks at."""
    if hasattr(reader, "files"):
        return sorted(reader.files(raw))
    return sorted(path for path in raw.path.rglob("*") if path.is_file()) if raw.path.is_dir() else [raw.path]


def content(reader: Any, raw: Raw) -> str:
    """The checksum of the raw content: the reader's own, or that of its files' bytes in the order of their names."""
    if hasattr(reader, "digest"):
        return str(reader.digest(raw))
    whole = hashlib.sha256()
    for path in raw_files(reader, raw):
        with path.open("rb") as file:
            whole.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def identity(reader: Any, recipe: Recipe) -> list[Any]:
    """What names the rows beside the raw content: the reader, its options, and the recipe."""
    kind = type(reader)
    settings = reader.settings if hasattr(reader, "settings") else vars(reader)
    own = "" if kind.__module__.startswith("taskloom.") else _source(kind)
    said = asdict(recipe)
    if recipe.split.sample == 1:
        del said["split"]["sample"]  # so that stores from before there were samples keep their names
    return [
        FORMAT,
        f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}",
        getattr(reader, "version", 1),
        own,
        settings,
        said,
    ]


def _source(kind: type) -> str:
    """A plugin's code, with all that stands in the same files: when it changes, so may its rows."""
    try:
        own = [base for base in kind.__mro__ if base.__module__.partition(".")[0] not in ("taskloom", "builtins")]
        texts = [inspect.getsource(sys.modules[base.__module__]) for base in own]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()
    except (OSError, TypeError, KeyError):  # typed into a shell or a notebook
        return ""


def _digest(said: Any) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=_plain).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """What JSON cannot say, in words that are the same in every process."""
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value) if isinstance(value, Path | bytes) else [type(value).__qualname__, vars(value)]


def fingerprint(reader: Any, raw: Raw, recipe: Recipe) -> str:
    """16 hexadecimal digits over the raw content and every option that shapes the data."""
    return _digest([content(reader, raw), identity(reader, recipe)])


class Known:
    """Remembers the fingerprint of raw files that have not been touched since, so that they are not read again.

    Args:
        folder: ``<processed_dir>``.
        reader, raw, recipe: what a fingerprint is of.
    """

    def __init__(self, folder: Path, reader: Any, raw: Raw, recipe: Recipe) -> None:
        touched = []
        for path in raw_files(reader, raw):
            stat = path.stat()
            touched.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino])
        # A reader that makes its rows has no files, and is named by its content alone.
        made = [] if touched else [content(reader, raw)]
        self._file = folder / ".known" / _digest([touched, made, identity(reader, recipe)])

    def recall(self) -> str | None:
        """The fingerprint, where it is known."""
        try:
            return self._file.read_text(encoding="utf-8").strip() or None
        except OSError:
            return None

    def remember(self, name: str) -> None:
        """Keeps a fingerprint."""
        with file_beside(self._file) as path:
            path.write_text(name + "\n", encoding="utf-8")
