"""Builds a store: from a reader's table to memory-mapped columns, in passes that never hold all rows of all columns."""

import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskloom.atomic import folder_beside
from taskloom.data.earlier import earlier, sort, statistic
from taskloom.data.encode import Encoding, Fitter, encode
from taskloom.data.expression import expression
from taskloom.data.feature_spec import FeatureSpec
from taskloom.data.index import write_catalogue, write_history
from taskloom.data.label_columns import label_columns, letters
from taskloom.data.labels import Labels
from taskloom.data.npy import NpyWriter
from taskloom.data.partition import partition
from taskloom.data.recipe import FORMAT, Recipe
from taskloom.data.rows import Rows, alike, codes
from taskloom.data.sound import refuse_unsound
from taskloom.data.spec import check_columns, inputs_of, inputs_of_target
from taskloom.data.splits import LEFT_OUT
from taskloom.data.table import Table
from taskloom.errors import ConfigError, DataError

LOOKED_AT = 20_000  # rows that expressions are tried on


def build(
    table: Table,
    recipe: Recipe,
    folder: Path,
    kinds: Mapping[str, str] | None = None,
) -> None:
    """Splits, encodes and writes a data set; the folder is there whole or not at all.

    Args:
        table: as a reader gives it.
        recipe: what to make of it.
        folder: ``<processed_dir>/<fingerprint>``.
        kinds: of the tasks, by name: what their labels must look like.

    Raises:
        ConfigError: an expression does not fit the columns.
        DataError: the split leaves a part without rows, or the data are not what the config says.
    """
    columns = table.frame.collect_schema().names()
    check_columns(recipe.features, recipe.targets, columns)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.rows.", dir=folder.parent) as scratch:
        rows = Rows(table.frame, _needed(recipe, columns), Path(scratch))
        if rows.n == 0:
            raise DataError("the data has no rows; give the whole file")
        if rows.n != table.account.kept:
            raise DataError(
                f"the reader accounts for {table.account.kept:,} rows and gives {rows.n:,}: a fault of the reader"
            )
        with folder_beside(folder) as temporary:
            meta = _Build(rows, recipe, kinds or {}, temporary).run()
            meta["account"] = {**asdict(table.account), "kept": table.account.kept}
            meta["notes"] = list(table.notes)
            meta["columns"] = columns
            meta["kinds"] = dict(kinds or {})
            (temporary / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _needed(recipe: Recipe, columns: list[str]) -> list[str]:
    """The columns that anything is computed from, in the order of the table."""
    texts = [pair for spec in recipe.features for pair in inputs_of(spec)]
    texts += [pair for target in recipe.targets for pair in inputs_of_target(target)]
    texts += [
        (f"data.split.{key}", getattr(recipe.split, key)) for key in ("column", "by") if getattr(recipe.split, key)
    ]
    if recipe.group:
        texts.append(("data.features (kind: group)", recipe.group))
    for key in ("user", "item", "time"):
        if (name := getattr(recipe, key)) is not None:
            texts.append((f"data.reader.{key}", name))
    texts += [("table", "table")] if "table" in columns else []
    roots = {root for where, text in texts for root in expression(where, text, columns).meta.root_names()}
    # A table of constants alone still has its rows.
    return [name for name in columns if name in roots] or columns[:1]


class _Build:
    """The passes over the rows, and what they leave for the next one."""

    def __init__(self, rows: Rows, recipe: Recipe, kinds: Mapping[str, str], folder: Path) -> None:
        self.rows, self.recipe, self.kinds, self.folder = rows, recipe, kinds, folder

    def run(self) -> dict[str, Any]:
        """Writes everything but meta.json, and gives its content."""
        self.parts = partition(self.rows, self.recipe)
        self.computed = {spec.name: self._asof(spec) for spec in self.recipe.features if spec.kind == "asof"}
        self.exprs = self._expressions()
        self._refuse_other_rows()
        self.encodings = self._fit()
        meta = self._write()
        return {
            "format": FORMAT,
            "recipe": asdict(self.recipe),
            "group": self.recipe.group or "",
            **meta,
            **self.parts.meta(),
        }

    def _asof(self, spec: FeatureSpec) -> NDArray[np.float64]:
        """A statistic of each row's earlier rows, of those parts that the row may see."""
        where, parts = f"data.features.{spec.name}", self.parts
        if parts.time is None:
            raise ConfigError(f"{where}: an asof feature needs to know when a row was; name the reader's time column")
        series = self.rows.column(f"{where}.by", spec.by)
        key = codes(series, optional=True)
        values = None
        if spec.of:
            given = self.rows.column(f"{where}.of", str(spec.of))
            if not (given.dtype.is_numeric() or given.dtype == pl.Boolean):
                raise ConfigError(f"{where}.of: {spec.of!r} holds {given.dtype}, not numbers; compare it or cast it")
            values = given.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            if np.isinf(values).any():
                raise DataError(
                    f"{where}.of: row {int(np.isinf(values).argmax()) + 1:,} has an infinite {spec.of}; mend the data, "
                    "or leave the cell empty where the value is missing"
                )
        by = sort(key, parts.time)
        found = np.full(self.rows.n, np.nan)
        for members, seers in parts.visible():
            seen = statistic(earlier(key, parts.time, members, by), values, spec.take)
            found[seers] = seen[seers]
        return found

    def _expressions(self) -> dict[str, pl.Expr]:
        """What a chunk of rows is asked for, by name."""
        known = self.rows.columns
        exprs = {
            f"f:{spec.name}": expression(f"data.features.{spec.name}.column", spec.expression, known)
            for spec in self.recipe.inputs
            if spec.kind != "asof"
        }
        for target in self.recipe.targets:
            for letter, (where, text) in zip(letters(target), inputs_of_target(target), strict=True):
                exprs[f"{letter}:{target.name}"] = expression(where, text, known)
        if self.recipe.history is not None and self.recipe.history.where:
            exprs["h:where"] = expression("data.features.history.where", self.recipe.history.where, known)
        return exprs

    def _refuse_other_rows(self) -> None:
        """An average over all rows, say, would carry test rows into training."""
        paths = {f"f:{spec.name}": inputs_of(spec)[0] for spec in self.recipe.inputs}
        for target in self.recipe.targets:
            names = (f"{letter}:{target.name}" for letter in letters(target))
            paths |= dict(zip(names, inputs_of_target(target), strict=True))
        if "h:where" in self.exprs and self.recipe.history is not None:
            paths["h:where"] = inputs_of(self.recipe.history)[0]
        exprs = dict(self.exprs)
        for where, text in (pair for spec in self.recipe.inputs if spec.kind == "asof" for pair in inputs_of(spec)):
            exprs[where], paths[where] = expression(where, text, self.rows.columns), (where, text)
        whole = {}
        for name, parsed in exprs.items():
            where, text = paths[name]
            try:
                whole[name] = self.rows.sample({"value": parsed}, LOOKED_AT)["value"]
            except pl.exceptions.PolarsError as error:
                raise ConfigError(f"{where}: {text!r} cannot be computed ({error}); mend the expression") from error
        apart = max(1, min(self.rows.n, LOOKED_AT) // 16)
        some, alone = self.rows.sample(exprs, LOOKED_AT, step=3), self.rows.alone(exprs, LOOKED_AT, apart)
        for name, values in whole.items():
            # A largest value, say, may be in every sample, but not in every single row.
            if not (alike(values.gather_every(3), some[name]) and alike(values.gather_every(apart), alone[name])):
                where, text = paths[name]
                raise ConfigError(
                    f"{where}: {text!r} looks at other rows than its own; it would leak; leave that part out"
                )

    def _fit(self) -> list[Encoding]:
        """Vocabularies and scalers, from training rows alone."""
        fitters = {spec.name: Fitter(spec) for spec in self.recipe.inputs}
        exprs = {name: parsed for name, parsed in self.exprs.items() if name.startswith("f:")}
        for place, chunk in self.rows.chunks(exprs):
            train = pl.Series(self.parts.part[place] == 0)
            kept = self.parts.part[place] != LEFT_OUT
            for name, fitter in fitters.items():
                values = self._values(name, place, chunk)
                refuse_unsound(fitter.spec, values, kept, place.start)
                fitter.add(values.filter(train))
        return [fitter.finish() for fitter in fitters.values()]

    def _values(self, name: str, place: slice, chunk: pl.DataFrame) -> pl.Series:
        if name in self.computed:
            return pl.Series(name, self.computed[name][place])
        return chunk[f"f:{name}"].alias(name)

    def _write(self) -> dict[str, Any]:
        """The columns of each part, then what spans parts: the event index, the catalogue."""
        recipe, parts = self.recipe, self.parts
        features = [encoding.feature for encoding in self.encodings]
        widths = {kind: sum(f.width for f in features if f.kind == kind) for kind in ("bag", "dense")}
        n_categorical = sum(f.kind == "categorical" for f in features)
        shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
            "categorical": (np.int32, (n_categorical,)),
            "bags": (np.int32, (widths["bag"],)),
            "dense": (np.float32, (widths["dense"],)),
            "targets": (np.float32, (len(recipe.targets),)),
            "group": (np.int32, ()),
            "row": (np.int64, ()),
        }
        if any(target.noise for target in recipe.targets):
            shapes["noise"] = (np.float32, (len(recipe.targets),))
        if parts.source is not None:
            shapes["source"] = (np.int8, ())
        of = [f.name for f in features if f.kind == "categorical"]
        kept = self._kept(of)
        labels = {
            task: Labels(task, self.kinds.get(task, ""), sum(t.task == task for t in recipe.targets), parts.names)
            for task in dict.fromkeys(target.task for target in recipe.targets)
        }
        member = np.ones(self.rows.n, dtype=bool)
        with ExitStack() as files:
            writers = {
                (part, name): files.enter_context(
                    NpyWriter(self._part_folder(part) / f"{name}.npy", dtype, (parts.count(part), *shape))
                )
                for part in parts.names
                for name, (dtype, shape) in shapes.items()
            }
            for place, chunk in self.rows.chunks(self.exprs):
                inputs = pl.DataFrame([self._values(e.name, place, chunk) for e in self.encodings])
                columns = encode(self.encodings, inputs)
                columns |= label_columns(recipe.targets, chunk, place.start)
                columns |= {"group": parts.group[place], "row": np.arange(place.start, place.stop)}
                if parts.source is not None:
                    columns["source"] = parts.source[place]
                part = parts.part[place]
                for task, found in labels.items():
                    mine = [target.task == task for target in recipe.targets]
                    found.add(columns["targets"][:, mine], part, place.start)
                for name, ids in kept.items():
                    ids[place] = columns["categorical"][:, of.index(name)]
                if "h:where" in chunk.columns:
                    member[place] = chunk["h:where"].fill_null(False).to_numpy()
                for number, name in enumerate(parts.names):
                    mine = part == number
                    for column in shapes:
                        writers[name, column].add(columns[column][mine])
        drawn = {recipe.negatives.task: recipe.negatives.per_row} if recipe.negatives else {}
        meta: dict[str, Any] = {
            "targets": [target.name for target in recipe.targets],
            "encodings": [encoding.to_json() for encoding in self.encodings],
            "statistics": {task: found.finish(drawn.get(task, 0)) for task, found in labels.items()},
            "warnings": [line for task in labels for line in labels[task].warnings(task in drawn)] + parts.warnings(),
        }
        if recipe.history is not None:
            ids = np.stack([kept[str(name)] for name in recipe.history.of], axis=1)
            meta["history"] = write_history(self.folder, parts, ids, member, recipe.history)
        if recipe.negatives is not None:
            item = self._item_feature()
            meta["negatives"] = write_catalogue(
                self.folder, parts, kept[item], features, recipe.negatives, recipe.split
            )
            meta["negatives"]["item"] = item
        return meta

    def _kept(self, categorical: list[str]) -> dict[str, NDArray[np.int32]]:
        """Room for the ids of all rows, of the features that what spans parts is made of."""
        names = [str(name) for name in self.recipe.history.of] if self.recipe.history else []
        names += [self._item_feature()] if self.recipe.negatives else []
        assert set(names) <= set(categorical)
        return {name: np.zeros(self.rows.n, dtype=np.int32) for name in names}

    def _item_feature(self) -> str:
        """The feature that is the item itself."""
        recipe = self.recipe
        found = [s.name for s in recipe.inputs if s.kind == "categorical" and s.expression == recipe.item]
        if not found or recipe.item is None:
            raise ConfigError(
                f"data.negatives: drawing items needs a categorical feature of the item column {recipe.item!r}; add it "
                "to data.features, or set data.negatives=null"
            )
        for spec in recipe.inputs:
            if spec.side == "item" and spec.kind == "asof":
                raise ConfigError(
                    f"data.features.{spec.name}: a drawn item has no event, so that its {spec.take} as of the event is "
                    "not known; set it to null beside data.negatives, or set data.negatives=null"
                )
        if recipe.group != recipe.user or recipe.user is None:
            raise ConfigError("data.negatives: items are drawn for users; leave the feature of kind group out")
        return found[0]

    def _part_folder(self, part: str) -> Path:
        folder = self.folder / part
        folder.mkdir(exist_ok=True)
        return folder
