"""Portraits from a made-up MovieLens 1M with 15 ratings a user."""

from pathlib import Path

from samples import movielens_1m


def write(folder: Path) -> list[str]:
    few = [f"data.reader.{option}" for option in ("first=5", "later=5", "likes=1")]
    return [*movielens_1m.write(folder), *few]
