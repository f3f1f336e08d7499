"""The nearest name to a misspelt one."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, or None where nothing is near.

    Args:
        name: what was written.
        names: what there is.

    Example:
        >>> nearest("soft_sharng", ["hard_sharing", "soft_sharing"])
        'soft_sharing'
        >>> nearest("soft", ["hard_sharing", "soft_sharing"])
        'soft_sharing'
        >>> nearest("banana", ["hard_sharing", "soft_sharing"])
    """
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.65)
    if not close and len(name) > 2:
        close = [known for known in by_lower if known.startswith(name.lower())]
        close = close if len(close) == 1 else []
    return by_lower[close[0]] if close else None


def unknown_key(path: str, names: Iterable[str], elsewhere: Iterable[str] = ()) -> str:
    """The sentence for a key that its section does not have.

    Args:
        path: the whole config path of the unknown key.
        names: the keys that the section has.
        elsewhere: config paths of all other keys; their last parts are searched where no name is near.

    Example:
        >>> unknown_key("optimizer.lrr", ["lr", "fused"])
        'Unknown key optimizer.lrr: did you mean lr?'
        >>> unknown_key("lr", ["model", "seed"], elsewhere=["optimizer.lr"])
        'Unknown key lr: did you mean optimizer.lr?'
        >>> unknown_key("optimizer.banana", ["lr", "fused"])
        'Unknown key optimizer.banana: optimizer has fused, lr'
    """
    section, _, key = path.rpartition(".")
    names = list(names)
    near = nearest(key, names)
    if near is None:
        leaves = {other.rpartition(".")[2]: other for other in reversed(list(elsewhere))}
        leaf = nearest(key, leaves)
        near = leaves[leaf] if leaf else None
    if near is not None:
        return f"Unknown key {path}: did you mean {near}?"
    there = ", ".join(sorted(names)) or "no keys"
    return f"Unknown key {path}: {section or 'the config'} has {there}"
