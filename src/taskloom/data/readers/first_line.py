"""The first line of a text file: what tells which of several forms it is."""

import zlib
from pathlib import Path

from taskloom.data.text_sources import opened
from taskloom.errors import DataError


def first_line(path: Path) -> str:
    """The first line, unpacked where the name ends in .gz, without its end.

    Raises:
        DataError: the file is empty, damaged or no text.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "log.csv"
        >>> _ = path.write_text("user,click\\n1,0\\n")
        >>> first_line(path)
        'user,click'
    """
    try:
        with opened(path) as file:
            line = file.readline().decode("utf-8-sig").rstrip("\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}, line 1: it cannot be read ({error}); get the file again") from error
    if not line:
        raise DataError(f"{path}: its first line is empty; get the file again")
    return line
