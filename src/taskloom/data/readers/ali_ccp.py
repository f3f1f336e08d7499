"""Ali-CCP: what Taobao recommended, what was clicked and what was bought."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.facts import beside
from taskloom.data.readers.parts import stacked
from taskloom.data.readers.user_files import UserFiles
from taskloom.data.table import Table
from taskloom.data.text_table import read_table
from taskloom.errors import DataError

USER_FIELDS = ("101", "121", "122", "124", "125", "126", "127", "128", "129")
USER_LISTS = ("109_14", "110_14", "127_14", "150_14")
SHOWN_FIELDS = ("205", "206", "207", "216", "508", "509", "702", "853", "301")
SHOWN_LISTS = ("210",)
WITH_VALUE = ("508", "509", "702", "853")
LABELS = ("click", "purchase")
RULE = "a purchase without a click"
SKELETON = ("sample", "click", "purchase", "common_index", "n", "features")
COMMON = ("common_index", "common_n", "common_features")


class AliCCP(UserFiles):
    r"""Reads Ali-CCP (Ma et al. 2018), in either of its two forms.

    The official form has, for training and for test, a skeleton (``sample_skeleton_train.csv``: sample, click,
    purchase, key of the common features, number of features, features) and the features that a user's samples have in
    common (``common_features_train.csv``: key, number, features). Features are separated by ``\x01``; each is a field,
    ``\x02``, an id, ``\x03``, a value. The prepared form is ``ali_ccp_train.csv``, ``_val.csv`` and ``_test.csv`` with
    the fields' numbers as a header, ids counted from 1 (0: rare or missing) and values ``D508`` scaled to 0..1.

    Rows with a purchase and no click are left out, as in the paper, and counted.
    """

    name: ClassVar[str] = "ali_ccp"
    home: ClassVar[str] = "https://tianchi.aliyun.com/dataset/408"
    wanted: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **{f"skeleton_{part}": (f"sample_skeleton_{part}.csv",) for part in ("train", "test")},
        **{f"common_{part}": (f"common_features_{part}.csv",) for part in ("train", "test")},
        **{part: (f"ali_ccp_{part}*.csv",) for part in ("train", "val", "test")},
    }
    optional: ClassVar[tuple[str, ...]] = tuple(wanted)  # one form or the other
    user, item, time = "field_101", "field_205", None
    columns = (
        *LABELS,
        *(f"field_{field}" for field in (*USER_FIELDS, *USER_LISTS, *SHOWN_FIELDS, *SHOWN_LISTS)),
        *(f"value_{field}" for field in (*USER_LISTS, *WITH_VALUE)),
        "part",
    )
    version = 1

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All samples, training rows first, in the order of the files.

        Args:
            raw: what ``acquire`` gave.
            scratch: an empty folder for intermediate files.
            say: takes one line for people.

        Returns:
            ``columns``: ``field_<number>`` is an id, or a list of ids for a field that may have several (what the user
            saw before, and the intentions that an item serves); ``value_<number>`` the value or the sum of values.
            Official ids are text, prepared ones whole numbers. ``part`` is train, val or test.

        Raises:
            DataError: the files of neither form are there, or one has a line out of format.
        """
        located = self.located(raw)
        official = [role for role in self.wanted if "_" in role]
        if all(located[role] for role in official):
            tables = {part: _official(located, part, scratch, say) for part in ("train", "test")}
        elif located["train"] and located["test"]:
            parts = [part for part in ("train", "val", "test") if located[part]]
            tables = {part: _prepared(located[part], scratch, say) for part in parts}
        else:
            raise DataError(
                f"{raw.path}: it has neither all of {', '.join(self.wanted[role][0] for role in official)} nor "
                f"ali_ccp_train.csv and ali_ccp_test.csv; get the set from {self.home}"
            )
        table = stacked({part: _without_odd(table) for part, table in tables.items()})
        return Table(table.frame.select(self.columns), table.account, table.notes)


def _without_odd(table: Table) -> Table:
    odd = (pl.col("click") == 0) & (pl.col("purchase") == 1)
    n = int(table.frame.select(odd.sum()).collect().item())
    return Table(table.frame.filter(~odd), table.account.without(RULE, n), table.notes)


def _prepared(files: Sequence[Path], scratch: Path, say: Say) -> Table:
    fields = (*USER_FIELDS, *USER_LISTS, *SHOWN_FIELDS, *SHOWN_LISTS)
    values = (*USER_LISTS, *WITH_VALUE)
    types = {
        **dict.fromkeys((*LABELS, *fields), "int"),
        **{f"D{field}": "float" for field in values},
    }
    table = read_table(files, scratch, format="csv", types=types, only=list(types), say=say)
    frame = table.frame.select(
        *LABELS,
        *(
            (pl.concat_list(field) if field in (*USER_LISTS, *SHOWN_LISTS) else pl.col(field)).alias(f"field_{field}")
            for field in fields
        ),
        *(pl.col(f"D{field}").alias(f"value_{field}") for field in values),
    )
    return Table(frame, table.account, table.notes)


def _official(located: Mapping[str, Sequence[Path]], part: str, scratch: Path, say: Say) -> Table:
    def table(role: str, names: Sequence[str], packed: str) -> Table:
        files = located[f"{role}_{part}"]
        types = {name: "int" if name in LABELS else "text" for name in names}
        read = read_table(files, scratch, format="csv", columns=names, types=types, quote=None, say=say)
        odd = ~pl.col(packed).str.contains("\x02[^\x03]*\x03")
        found = read.frame.filter(odd).select(packed).head(1).collect()
        if found.height:
            raise DataError(
                f"{files[0].name}: features must be field \\x02 id \\x03 value, separated by \\x01, found "
                f"{found.item()[:60]!r}; get the file again, unchanged by an editor"
            )
        return read

    samples = table("skeleton", SKELETON, "features")
    users = table("common", COMMON, "common_features")
    samples = Table(
        samples.frame.select(*LABELS, "common_index", *_unpacked("features", SHOWN_FIELDS, SHOWN_LISTS)),
        samples.account,
        samples.notes,
    )
    users = Table(
        users.frame.select("common_index", *_unpacked("common_features", USER_FIELDS, USER_LISTS)),
        users.account,
        users.notes,
    )
    return beside(samples, users, "common_index", located[f"common_{part}"][0].name)


def _unpacked(packed: str, fields: Sequence[str], lists: Sequence[str]) -> list[pl.Expr]:
    """The ids and values of some fields out of a text of features."""
    text, found = pl.col(packed), []
    for field in fields:
        begin = f"(?:^|\x01){field}\x02"
        found.append(text.str.extract(f"{begin}([^\x01\x03]*)\x03").alias(f"field_{field}"))
        if field in WITH_VALUE:
            value = text.str.extract(f"{begin}[^\x01\x03]*\x03([^\x01]*)").cast(pl.Float64, strict=False)
            found.append(value.alias(f"value_{field}"))
    for field in lists:
        each = text.str.extract_all(f"(?:^|\x01){field}\x02[^\x01\x03]*\x03[^\x01]*")
        found.append(each.list.eval(pl.element().str.extract("\x02([^\x03]*)\x03")).alias(f"field_{field}"))
        if field in USER_LISTS:
            value = pl.element().str.extract("\x03(.*)$").cast(pl.Float64, strict=False)
            found.append(each.list.eval(value).list.sum().alias(f"value_{field}"))
    return found
