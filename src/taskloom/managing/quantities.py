"""Sizes and times as people write and read them."""

import re

from taskloom.errors import ConfigError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


def parse_seconds(key: str, text: str) -> float:
    """A length of time in seconds.

    Args:
        key: what the setting is called, for the message.
        text: a number and a unit.

    Raises:
        ConfigError: it is neither.

    Example:
        >>> parse_seconds("older", "7d")
        604800.0
    """
    return _parse(key, text, _SECONDS, "30m, 12h, 7d or 2w")


def parse_bytes(key: str, text: str) -> int:
    """A size in bytes.

    Example:
        >>> parse_bytes("larger", "1.5MB")
        1500000
    """
    return int(_parse(key, text, _BYTES, "500KB, 100MB or 2GB"))


def show_bytes(size: int) -> str:
    """A size for people.

    Example:
        >>> show_bytes(999), show_bytes(6_144_000), show_bytes(2_000_000_000)
        ('999 B', '6.1 MB', '2.0 GB')
    """
    if size < 1000:
        return f"{size} B"
    value, unit = size / 1e3, 0
    while value >= 999.95 and unit < 3:
        value, unit = value / 1e3, unit + 1
    return f"{value:.1f} {('KB', 'MB', 'GB', 'TB')[unit]}"


def show_seconds(seconds: float | None) -> str:
    """A length of time for people, in its two largest units at most; empty for None.

    Example:
        >>> show_seconds(41.2), show_seconds(3700), show_seconds(90_000), show_seconds(3_000_000)
        ('41s', '1h 1m', '1d 1h', '34d')
    """
    if seconds is None:
        return ""
    left = max(0, round(seconds))
    if left >= 10 * _SECONDS["d"]:
        return f"{left // _SECONDS['d']}d"
    parts: list[tuple[int, str]] = []
    for unit in "dhms":
        number, left = divmod(left, _SECONDS[unit])
        if number or parts:
            parts.append((number, unit))
    return " ".join(f"{number}{unit}" for number, unit in parts[:2] if number) or "0s"


def _parse(key: str, text: str, units: dict[str, int], examples: str) -> float:
    match = _QUANTITY.fullmatch(text.strip().lower())
    if match is None or match[2] not in units:
        raise ConfigError(f"{key} must be a number with its unit, such as {examples}, got {text!r}")
    return float(match[1]) * units[match[2]]
