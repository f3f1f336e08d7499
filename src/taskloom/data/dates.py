"""Texts that are dates, as times."""

import polars as pl

FORMS = (
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M", "%Y/%m/%d",
)  # fmt: skip
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")


def dates(text: pl.Expr) -> pl.Expr:
    """ISO dates, with or without a time and a zone, in UTC; null where a text is none.

    Args:
        text: an expression of texts.

    Example:
        >>> texts = pl.DataFrame({"at": ["2024-03-01", "2024-03-01T12:30:00+02:00", "1 March"]})
        >>> [str(when) for when in texts.select(dates(pl.col("at")))["at"]]
        ['2024-03-01 00:00:00', '2024-03-01 10:30:00', 'None']
    """
    stripped = text.str.strip_chars()
    plain = [stripped.str.to_datetime(form, time_unit="us", strict=False) for form in FORMS]
    zoned = [
        stripped.str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC").dt.replace_time_zone(None)
        for form in ZONED
    ]
    return pl.coalesce([*plain, *zoned])
