"""One file where a folder may hold several that fit."""

from collections.abc import Sequence
from pathlib import Path

from taskloom.errors import DataError


def one_file(paths: Sequence[Path], what: str) -> Path:
    """The only one of some files.

    Args:
        paths: those that fit.
        what: what is looked for, in words.

    Raises:
        DataError: there are several: a file and its packed copy, say, would be read as twice the rows.

    Example:
        >>> one_file([Path("a/log.csv"), Path("b/log.csv")], "the log")
        Traceback (most recent call last):
            ...
        taskloom.errors.DataError: a/log.csv, b/log.csv: each of them could be the log; leave one in the folder, or give
        data.source=<the folder with the right one>
    """
    if len(paths) > 1:
        raise DataError(
            f"{', '.join(map(str, paths))}: each of them could be {what}; leave one in the folder, or give "
            "data.source=<the folder with the right one>"
        )
    return paths[0]
