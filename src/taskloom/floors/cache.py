"""Kept fits: a floor is fitted once for the same rows and settings."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from taskloom.atomic import file_beside
from taskloom.floors.floor import Floor, RatingFloor, Ratings, Say
from taskloom.floors.inputs import Inputs
from taskloom.floors.table_floor import Predict, Problem, TableFloor


def fit_cached(floor: RatingFloor, train: Ratings, val: Ratings, folder: Path | None, say: Say = print) -> RatingFloor:
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
    parameters = _read(path, floor, say)
    if parameters is not None:
        floor.parameters = parameters
        return floor
    floor.fit(train, val, say)
    _write(path, floor.parameters)
    return floor


class TableFits:
    """Fits of table floors, each made when its predictions are asked for and not kept.

    What is kept are predictions and no model: a model could only be read back from a form that may hold code. The key
    covers the floor's name, version and settings, every value of the rows that it was fitted to, and every value of
    the rows that were asked for.

    Args:
        problem: from a task's name to what floors are fitted to; None where there is nothing to fit.
        folder: where predictions are kept; made if absent. None keeps none.
        say: takes a line for people.
    """

    def __init__(self, problem: Callable[[str], Problem | None], folder: Path | None, say: Say = print) -> None:
        self.problem, self.folder, self.say = problem, folder, say
        self._fits: dict[tuple[str, str], Predict] = {}

    def predict(self, floor: TableFloor, task: str, asked: Inputs) -> Tensor | None:
        """A floor's predictions of a task, float32 (N, t), or (N, C) of a multiclass one; None for no problem."""
        problem = self.problem(task)
        if problem is None:
            return None
        path = None
        if self.folder is not None:
            key = hashlib.sha256(f"{_described(floor)} {problem.digest} {asked.digest}".encode()).hexdigest()[:16]
            path = self.folder / f"{floor.name}-{task}-{key}.pt"
            if (kept := _read(path, floor, self.say)) is not None:
                return kept["prediction"]
        if (floor.name, task) not in self._fits:
            self._fits[floor.name, task] = floor.fit(problem, self.say)
        prediction = self._fits[floor.name, task](asked)
        if path is not None:
            _write(path, {"prediction": prediction})
        return prediction


def _described(floor: Floor) -> str:
    return json.dumps({"name": floor.name, "version": floor.version, "settings": floor.settings}, sort_keys=True)


def _key(floor: Floor, train: Ratings, val: Ratings) -> str:
    digest = hashlib.sha256(_described(floor).encode())
    for rows in (train, val):
        for column in (rows.user, rows.item, rows.value):
            digest.update(f"{column.dtype}{len(column)}".encode())
            digest.update(column.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _read(path: Path, floor: Floor, say: Say) -> dict[str, Tensor] | None:
    """What was kept, or None where there is nothing or the content is not what was written."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    digest, payload = content[:32], content[32:]
    # torch.load alone does not notice every damage: it skips the checksums of the zip.
    if hashlib.sha256(payload).digest() != digest:
        say(f"floor {floor.name}: {path} is damaged; fitting anew")
        return None
    return torch.load(io.BytesIO(payload), weights_only=True)


def _write(path: Path, parameters: dict[str, Tensor]) -> None:
    buffer = io.BytesIO()
    torch.save(parameters, buffer)
    payload = buffer.getvalue()
    with file_beside(path) as temporary:
        temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
