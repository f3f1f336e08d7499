"""A small MMoE study: nothing to write, only fewer rows."""

from pathlib import Path


def write(folder: Path) -> list[str]:
    """Overrides that make ``data=mmoe_study`` small."""
    return ["data.reader.rows=300"]
