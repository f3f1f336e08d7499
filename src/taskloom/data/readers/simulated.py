"""Simulated: what readers have in common that make their rows up and read no file."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from taskloom.data.acquire import Raw, Say
from taskloom.errors import ConfigError, DataError


class Simulated:
    """Base of such a reader: its attributes are its options, and its rows follow from them alone.

    Attributes:
        name: of the data.
        version: raised when the same options give other rows.

    Example:
        >>> class Coin(Simulated):
        ...     name = "coin"
        ...     def __init__(self, throws: int = 10) -> None:
        ...         self.throws = throws
        ...         self.require({"throws": (throws >= 1, "1 or more")})
        >>> raw = Coin().acquire(None, "raw")
        >>> Coin().options(), Coin().digest(raw) == Coin(11).digest(raw)
        ({'throws': 10}, False)
        >>> Coin(0)
        Traceback (most recent call last):
            ...
        taskloom.errors.ConfigError: data.reader.throws must be 1 or more, got 0
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    def require(self, limits: Mapping[str, tuple[bool, str]]) -> None:
        """Refuse an option that is out of range.

        Args:
            limits: by option, whether it is in range, and the range in words.

        Raises:
            ConfigError: the first that is not.
        """
        for option, (right, wanted) in limits.items():
            if not right:
                raise ConfigError(f"data.reader.{option} must be {wanted}, got {getattr(self, option)!r}")

    def acquire(self, source: str | Path | None, raw_dir: str | Path, say: Say = print) -> Raw:
        """Nothing is fetched: the rows are simulated when they are read.

        Raises:
            DataError: a source was given.
        """
        if source is not None:
            raise DataError(
                f"data.source={source}: {self.name} simulates its rows and reads no file; leave data.source null, "
                "or use data=tabular for tables of your own"
            )
        return Raw(Path(raw_dir), "simulated", trusted=True)

    def files(self, raw: Raw) -> list[Path]:
        """None."""
        return []

    def options(self) -> dict[str, Any]:
        """All options, by name."""
        return dict(vars(self))

    def digest(self, raw: Raw) -> str:
        """Stands for the content: the options that it follows from."""
        said = json.dumps([self.name, self.version, self.options()], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()
