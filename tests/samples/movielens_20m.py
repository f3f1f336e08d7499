"""A made-up MovieLens 20M: the same files as latest-small."""

from samples.movielens_latest_small import write

__all__ = ["write"]
