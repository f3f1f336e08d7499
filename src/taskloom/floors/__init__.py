"""Floors: predictors so simple that a model must beat them, scored on the same rows.

A floor is one file in this folder: its class joins ``FLOORS`` by being defined.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
