"""The processed data set: memory-mapped columns in a folder named after all that shaped them."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from taskloom.atomic import folder_beside
from taskloom.data.encode import Encoding, encode, fit
from taskloom.data.loader import Columns
from taskloom.data.spec import FeatureSpec, SplitSpec, TargetSpec, expression
from taskloom.data.splits import PARTS, SPLITS, Events, unseen
from taskloom.errors import ConfigError, DataError
from taskloom.schema import Schema
from taskloom.tasks import TargetStatistics

FORMAT = 1  # raised whenever the same options give other files


@dataclass(frozen=True)
class Recipe:
    """All options that shape the data.

    Args:
        features, targets, split: the data config's.
        user, item, time: the columns that say whose event it is, with what, and when.
    """

    features: tuple[FeatureSpec, ...]
    targets: tuple[TargetSpec, ...]
    split: SplitSpec
    user: str
    item: str
    time: str

    def fingerprint(self, frame: pl.DataFrame) -> str:
        """16 hexadecimal digits over the raw content and these options, whatever file the content came in."""
        lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
        flat = frame.with_columns(pl.col(lists).list.eval(pl.element().cast(pl.String)).list.join("|"))
        content = hashlib.sha256(flat.write_csv().encode()).hexdigest()
        said = json.dumps([FORMAT, content, asdict(self)], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


class Store:
    """A processed data set on disk, read-only.

    Args:
        folder: ``<processed_dir>/<fingerprint>``.

    Raises:
        DataError: the folder is not a finished store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} is not a finished data store; delete it and start again") from error

    @property
    def fingerprint(self) -> str:
        """What names this content."""
        return self.folder.name

    @cached_property
    def encodings(self) -> tuple[Encoding, ...]:
        """How each feature became numbers: what a server needs to encode a request."""
        return tuple(Encoding.from_json(stored) for stored in self.meta["encodings"])

    @cached_property
    def schema(self) -> Schema:
        """The columns."""
        features = tuple(encoding.feature for encoding in self.encodings)
        return Schema(features, tuple(self.meta["targets"]), group=self.meta["group"])

    def statistics(self, task: str) -> TargetStatistics:
        """What the labelled training rows say of a task's targets."""
        stored = self.meta["statistics"][task]
        return TargetStatistics(tuple(stored["mean"]), tuple(stored["std"]), stored["n"])

    def split(self, name: str) -> Columns:
        """The rows of ``train``, ``val`` or ``test``, memory-mapped."""
        # Copy-on-write pages: torch gets arrays that it may call writable, the files stay as they are.
        load = {field.name: self.folder / name / f"{field.name}.npy" for field in fields(Columns)}
        try:
            return Columns(**{key: torch.from_numpy(np.load(path, mmap_mode="c")) for key, path in load.items()})
        except (OSError, ValueError) as error:
            raise DataError(f"{self.folder} is damaged ({error}); delete it and start again") from error


def build(frame: pl.DataFrame, recipe: Recipe, folder: Path) -> None:
    """Splits, encodes and writes a data set; the folder is there whole or not at all.

    Args:
        frame: N rows, as a reader gives them.
        recipe: what to make of them.
        folder: ``<processed_dir>/<fingerprint>``.

    Raises:
        ConfigError: an expression does not fit the columns.
        DataError: the split leaves a part without rows.
    """
    for column in (recipe.user, recipe.item, recipe.time):
        if missing := frame[column].null_count():
            raise DataError(f"{missing:,} of {len(frame):,} rows have no {column}; give each row one, or leave it out")
    events = Events(frame[recipe.user].to_numpy(), frame[recipe.time].to_numpy())
    splits = {name: split(events, recipe.split.ratios, recipe.split.seed) for name, split in SPLITS.items()}
    parts = splits[recipe.split.kind]
    for part, rows in parts.items():
        if len(rows) == 0:
            raise DataError(
                f"data.split: kind {recipe.split.kind} leaves no row for {part} of {len(frame)} rows; "
                "use more data or another split"
            )
    inputs = frame.select(
        _evaluate(f"data.features.{spec.name}.column", spec.expression, frame, parts["train"]).alias(spec.name)
        for spec in recipe.features
    )
    targets = np.stack([_target(target, frame, parts["train"]) for target in recipe.targets], axis=1)
    encodings = [fit(spec, inputs[spec.name][parts["train"]]) for spec in recipe.features]
    group = _group(events.user, parts["train"])
    meta = {
        "format": FORMAT,
        "recipe": asdict(recipe),
        "group": recipe.user,
        "targets": [target.name for target in recipe.targets],
        "encodings": [encoding.to_json() for encoding in encodings],
        "statistics": _statistics(recipe.targets, targets[parts["train"]]),
        "rows": {part: len(rows) for part, rows in parts.items()},
        "users": int(frame[recipe.user].n_unique()),
        "items": int(frame[recipe.item].n_unique()),
        "unseen": {
            name: {
                "rows": {part: len(rows) for part, rows in each.items()},
                "users": unseen(events.user, each),
                "items": unseen(frame[recipe.item].to_numpy(), each),
            }
            for name, each in splits.items()
        },
    }
    with folder_beside(folder) as temporary:
        for part in PARTS:
            rows = parts[part]
            columns = encode(encodings, inputs[rows])
            columns |= {"targets": targets[rows], "group": group[rows], "row": rows.astype(np.int64)}
            (temporary / part).mkdir()
            for name, values in columns.items():
                np.save(temporary / part / f"{name}.npy", np.ascontiguousarray(values))
        (temporary / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _evaluate(where: str, text: str, frame: pl.DataFrame, train: NDArray) -> pl.Series:
    """An expression's values, one a row and from that row alone."""
    parsed = expression(where, text, frame.columns).alias("value")
    try:
        values = frame.with_columns(parsed)["value"]
        alone = frame[train].with_columns(parsed)["value"]
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"{where}: {text!r} cannot be computed ({error}); mend the expression") from error
    if not values[train].equals(alone):
        # An average over all rows, say, would carry test rows into training.
        raise ConfigError(f"{where}: {text!r} looks at other rows than its own; it would leak; leave that part out")
    return values


def _target(target: TargetSpec, frame: pl.DataFrame, train: NDArray) -> NDArray[np.float32]:
    """A target column, NaN where it has no value."""
    where = f"data.tasks.{target.task}.target"
    values = _evaluate(where, target.expression, frame, train)
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        raise ConfigError(f"{where}: {target.expression!r} gives {values.dtype}, not numbers; compare it or cast it")
    return values.cast(pl.Float32).fill_null(float("nan")).to_numpy()


def _statistics(targets: tuple[TargetSpec, ...], train: NDArray) -> dict[str, Any]:
    """Mean and deviation of each task's targets over the training rows that have all of them."""
    statistics = {}
    for task in dict.fromkeys(target.task for target in targets):
        columns = train[:, [target.task == task for target in targets]].astype(np.float64)
        labelled = columns[~np.isnan(columns).any(axis=1)]
        if len(labelled) == 0:
            raise DataError(f"data.tasks.{task}: no training row has a label; check its target, or leave the task out")
        statistics[task] = {
            "mean": labelled.mean(axis=0).tolist(),
            "std": labelled.std(axis=0).tolist(),
            "n": len(labelled),
        }
    return statistics


def _group(values: NDArray, train: NDArray) -> NDArray[np.int64]:
    """Numbers for groups, from 0: those of training first, so that no other row moves them."""
    known = np.unique(values[train])
    order = np.concatenate([known, np.setdiff1d(values, known)])
    sorter = np.argsort(order)
    return sorter[np.searchsorted(order, values, sorter=sorter)].astype(np.int64)
