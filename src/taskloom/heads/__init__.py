"""Heads by task kind. Every file of this folder is imported, so that a new kind is one file."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

from taskloom.heads.head import HEADS, Head, head_class, register  # noqa: E402

__all__ = ["HEADS", "Head", "head_class", "register"]
