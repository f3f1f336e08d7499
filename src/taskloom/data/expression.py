"""Columns and SQL expressions over them, as data configs write them."""

from collections.abc import Iterable

import polars as pl

from taskloom.errors import ConfigError


def expression(where: str, text: str, columns: Iterable[str]) -> pl.Expr:
    """A column, or an SQL expression over the columns.

    Args:
        where: the config path, for the message.
        text: such as ``rating`` or ``rating >= 4``.
        columns: those that the data set has.

    Example:
        >>> like = expression("data.tasks.like.target", "rating >= 4", ["rating"])
        >>> pl.DataFrame({"rating": [3, 5]}).select(like).to_series().to_list()
        [False, True]
    """
    columns = list(columns)
    if text in columns:  # before SQL sees it: ``user`` is a word of SQL
        return pl.col(text)
    parsed = _parsed(where, text)
    for name in parsed.meta.root_names():
        if name not in columns:
            raise ConfigError(f"{where}: the data has no column {name!r}; it has {', '.join(columns)}")
    return parsed


def roots(where: str, text: str, columns: Iterable[str] | None = None) -> set[str]:
    """The columns that an expression is computed from.

    Example:
        >>> sorted(roots("data.tasks.spend.target", "price * number"))
        ['number', 'price']
    """
    if columns is not None and text in columns:
        return {text}
    if text.isidentifier():
        return {text}
    return set(_parsed(where, text).meta.root_names())


def _parsed(where: str, text: str) -> pl.Expr:
    try:
        parsed = pl.sql_expr(text)
        parsed.meta.root_names()
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"{where}: {text!r} is neither a column nor an SQL expression ({error})") from error
    return parsed
