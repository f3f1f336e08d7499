"""A small synthetic set: nothing to write, only fewer rows."""

from pathlib import Path


def write(folder: Path) -> list[str]:
    """Overrides that make ``data=synthetic`` small."""
    return ["data.reader.users=30", "data.reader.items=20", "data.reader.rows=600"]
