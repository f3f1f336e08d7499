"""Plugins: the user's own files, found by their names in ``_target_``."""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from taskloom.errors import ConfigError


def load_plugins(paths: Sequence[str | Path]) -> list[str]:
    """Imports Python files under their stems; a second time does nothing.

    Args:
        paths: the files, absolute or relative to the working directory.

    Returns:
        The names of the modules.

    Raises:
        ConfigError: a file is absent, is not Python, fails when imported, or would hide another module.
    """
    return [_load(Path(path)).__name__ for path in paths]


def plugin_records(paths: Sequence[str | Path]) -> list[dict[str, str]]:
    """What a run's record says of its plugins: absolute path and sha256 of each file."""
    files = [_existing(Path(path)) for path in paths]
    return [{"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()} for file in files]


def _existing(path: Path) -> Path:
    file = path.expanduser().resolve()
    if not file.is_file():
        raise ConfigError(f"plugins: there is no file {path} in {Path.cwd()}; give its path from here or from /")
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise ConfigError(f"plugins: {path} must be a Python file with a name like my_heads.py; rename it")
    return file


def _load(path: Path) -> ModuleType:
    file = _existing(path)
    name = file.stem
    present = sys.modules.get(name)
    if present is not None and Path(getattr(present, "__file__", None) or "").resolve() == file:
        return present
    spec = importlib.util.find_spec(name) if present is None else present.__spec__
    if present is not None or (spec is not None and Path(spec.origin or "").resolve() != file):
        raise ConfigError(f"plugins: {path} would hide the module {name} that exists already; rename the file")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = f", line {lines[-1]}" if lines else ""
        raise ConfigError(f"plugins: {path}{line} fails on import: {type(error).__name__}: {error}") from error
    return module
