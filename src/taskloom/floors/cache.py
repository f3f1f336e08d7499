"""Kept fits: a floor is fitted once for the same rows and settings."""

import hashlib
import io
import json
from pathlib import Path

import torch

from taskloom.atomic import file_beside
from taskloom.floors.floor import Floor, Ratings, Say


def fit_cached(floor: Floor, train: Ratings, val: Ratings, folder: Path | None, say: Say = print) -> Floor:
    """Fit a floor, or take up the fit that is kept in a folder.

    The key covers the floor's name, version and settings and every value of the training and validation
    rows, so a kept fit is never one of something else. A file that is damaged is fitted anew and replaced.
    Files are written beside and renamed into place; several processes may do so at once.

    Args:
        floor: not yet fitted.
        train: training rows.
        val: validation rows.
        folder: where fits are kept; made if absent. None keeps none.
        say: takes a line for people.

    Returns:
        The floor, fitted.
    """
    if folder is None:
        return floor.fit(train, val, say)
    path = folder / f"{floor.name}-{_key(floor, train, val)}.pt"
    if path.is_file():
        parameters = _read(path)
        if parameters is not None:
            floor.parameters = parameters
            return floor
        say(f"floor {floor.name}: {path} is damaged; fitting anew")
    floor.fit(train, val, say)
    _write(path, floor.parameters)
    return floor


def _key(floor: Floor, train: Ratings, val: Ratings) -> str:
    described = {"name": floor.name, "version": floor.version, "settings": floor.settings}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for rows in (train, val):
        for column in (rows.user, rows.item, rows.value):
            digest.update(f"{column.dtype}{len(column)}".encode())
            digest.update(column.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _read(path: Path) -> dict[str, torch.Tensor] | None:
    """What was kept, or None where the content is not what was written."""
    content = path.read_bytes()
    digest, payload = content[:32], content[32:]
    # torch.load alone does not notice every damage: it skips the checksums of the zip.
    if hashlib.sha256(payload).digest() != digest:
        return None
    return torch.load(io.BytesIO(payload), weights_only=True)


def _write(path: Path, parameters: dict[str, torch.Tensor]) -> None:
    buffer = io.BytesIO()
    torch.save(parameters, buffer)
    payload = buffer.getvalue()
    with file_beside(path) as temporary:
        temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
