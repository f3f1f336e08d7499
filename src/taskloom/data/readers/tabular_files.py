"""TableFiles: where one table of the user's own lies, and how its files are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taskloom.data.acquire import Say
from taskloom.data.table import Table
from taskloom.data.text_table import ENDINGS, read_table
from taskloom.errors import ConfigError, DataError

Files = str | Sequence[str] | None


@dataclass(frozen=True)
class TableFiles:
    """The files of one table.

    Args:
        where: the config path of these options, for messages.
        files: a path, a glob, a folder, or a list of them; None takes ``data.source`` itself.
        parts: part to its files, instead of ``files``; gives a column ``part``.
        format, separator, encoding, quote, strip, types, tolerate: see ``read_table``.
        missing: texts that mean that there is no value.
        header: names of the columns, where the files have no header.
        only: just these columns.
    """

    where: str
    files: Files = None
    parts: Mapping[str, Files] | None = None
    format: str | None = None
    separator: str | None = None
    encoding: str = "utf-8"
    missing: Sequence[str] = ("",)
    quote: str | None = '"'
    strip: bool = False
    header: Sequence[str] | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    only: Sequence[str] | None = None
    tolerate: float = 0.0

    def __post_init__(self) -> None:
        if self.files is not None and self.parts:
            raise ConfigError(f"{self.where}: files and parts both say what is read; leave one out")
        if not 0 <= self.tolerate <= 1:
            raise ConfigError(f"{self.where}.tolerate must be a share from 0 to 1, got {self.tolerate!r}")
        names = list(self.header or ())
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"{self.where}.header names the column {name!r} twice; rename one")

    def located(self, source: Path, taken: Sequence[Path] = ()) -> list[tuple[str, Path]]:
        """The files, each with its part (empty where there are no parts), in the order in which they are read.

        Args:
            source: what ``data.source`` names, or the working directory.
            taken: files of other tables, which a folder is not read with.

        Raises:
            DataError: nothing is there.
        """
        if self.parts:
            return [
                (str(part), path) for part, files in self.parts.items() for path in self._paths(files, source, taken)
            ]
        return [("", path) for path in self._paths(self.files, source, taken)]

    def _paths(self, files: Files, source: Path, taken: Sequence[Path]) -> list[Path]:
        wanted = (
            [str(source)] if files is None else [files] if isinstance(files, str) else [str(path) for path in files]
        )
        base = source if source.is_dir() else source.parent
        found: list[Path] = []
        for text in wanted:
            path = base / Path(text).expanduser()
            if path.is_dir():
                fits = [p for p in sorted(path.rglob("*")) if self._reads(p, path) and p not in taken]
                if not fits:
                    raise DataError(
                        f"{self.where}: the folder {path} holds no {self.format or 'table'} file; name another"
                    )
            elif path.is_file():
                fits = [path]
            else:
                place = Path(path.anchor)
                fits = sorted(p for p in place.glob(str(path.relative_to(place))) if p.is_file() and p not in taken)
                if not fits:
                    raise DataError(f"{self.where}.files: {path} is not there; give a file, a folder or a glob")
            found += fits
        return list(dict.fromkeys(found))

    def _reads(self, path: Path, folder: Path) -> bool:
        """Whether a file of a folder is part of the table: notes, checksums and hidden files are not."""
        if not path.is_file() or any(part.startswith((".", "_")) for part in path.relative_to(folder).parts):
            return False
        plain = path.with_suffix("") if path.suffix == ".gz" else path
        return self.format is not None or plain.suffix.lower() in ENDINGS

    def read(self, located: Sequence[tuple[str, Path]], scratch: Path, say: Say) -> Table:
        """The rows of these files."""
        return read_table(
            [path for _, path in located],
            scratch,
            format=self.format,
            columns=self.header,
            types=self.types,
            only=self.only,
            separator=self.separator,
            encoding=self.encoding,
            null=self.missing,
            quote=self.quote,
            strip=self.strip,
            tolerate=self.tolerate,
            tag=("part", [part for part, _ in located]) if self.parts else None,
            say=say,
        )
