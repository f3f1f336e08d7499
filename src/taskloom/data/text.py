"""Text as a bag of hashed n-grams: nothing is learnt and no model is fetched."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

CHUNK = 20_000  # texts at a time


def ngrams(
    series: pl.Series, buckets: int, words: Sequence[int], characters: Sequence[int], width: int
) -> NDArray[np.int32]:
    """Ids of a text's n-grams, each hashed to one of the buckets.

    Lower case; words of letters and digits; characters within words. The ids are a function of the text alone, the
    same in every process. Where a text has more than ``width`` of them, those that occur in it most often are
    kept, then those with the lowest id, which hashing has put in no order.

    Args:
        series: N texts; null is an empty one.
        buckets: number of ids, from 1.
        words: shortest and longest n-gram of words, or empty.
        characters: shortest and longest n-gram of characters, or empty.
        width: ids a text.

    Returns:
        int32 (N, width), padded with 0.

    Example:
        >>> a, b = ngrams(pl.Series(["Good tea", "tea"]), buckets=1000, words=[1, 1], characters=[], width=3)
        >>> int((a > 0).sum()), bool(b[0] in a)
        (2, True)
    """
    bags = np.zeros((len(series), width), dtype=np.int32)
    kinds = [("word", words, r"(?u)\b\w+\b"), ("char_wb", characters, None)]
    vectorisers = [
        HashingVectorizer(
            n_features=buckets,
            analyzer=analyzer,
            ngram_range=(span[0], span[1]),
            token_pattern=pattern,
            norm=None,
            alternate_sign=False,
            dtype=np.float32,
        )
        for analyzer, span, pattern in kinds
        if span
    ]
    texts = series.cast(pl.String).fill_null("")
    for start in range(0, len(texts), CHUNK):
        some = texts[start : start + CHUNK].to_list()
        counts = sum(
            (vectoriser.transform(some) for vectoriser in vectorisers), sparse.csr_matrix((len(some), buckets))
        )
        bags[start : start + len(some)] = _most_frequent(sparse.csr_matrix(counts), width)
    return bags


def _most_frequent(counts: sparse.csr_matrix, width: int) -> NDArray[np.int32]:
    """The columns with the largest counts of each row, plus 1."""
    counts.sort_indices()
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    order = np.lexsort((counts.indices, -counts.data, rows))
    place = np.arange(len(rows)) - np.repeat(counts.indptr[:-1], np.diff(counts.indptr))
    fits = place < width
    bags = np.zeros((counts.shape[0], width), dtype=np.int32)
    bags[rows[order][fits], place[fits]] = counts.indices[order][fits] + 1
    return bags
