"""How a job that fails is told to a person."""

import sys
import traceback
from collections.abc import Callable
from typing import Any

from taskloom.errors import TaskloomError


def report(job: Callable[[], Any]) -> int:
    """Runs a job; gives 0, or 1 where it failed.

    A :class:`TaskloomError` is a sentence for a person and is printed alone; anything else is a defect of the
    programme and keeps its traceback.
    """
    try:
        job()
    except Exception as error:
        tell(error)
        return 1
    return 0


def tell(error: Exception) -> None:
    """Prints why a job failed, on stderr."""
    if isinstance(error, TaskloomError):
        print(error, file=sys.stderr)
    else:
        traceback.print_exception(error)
    sys.stderr.flush()


def reason(error: Exception) -> str:
    """The same in one line, for a list of failures."""
    text = str(error) if isinstance(error, TaskloomError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
