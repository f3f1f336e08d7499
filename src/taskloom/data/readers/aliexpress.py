"""AliExpress: what a search showed, what was clicked and what was bought, in one market."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.facts import beside
from taskloom.data.readers.first_line import first_line
from taskloom.data.readers.one_file import one_file
from taskloom.data.readers.parts import stacked
from taskloom.data.readers.user_files import UserFiles
from taskloom.data.table import Table
from taskloom.data.text_table import read_table
from taskloom.errors import DataError

CATEGORIES = tuple(f"categorical_{i}" for i in range(1, 17))
NUMBERS = tuple(f"numerical_{i}" for i in range(1, 64))
LABELS = ("click", "conversion")
PARTS = ("train", "test")

# The official files have no header. Names as in the prepared form: of the user file's 33 columns the first is the
# search, the next 7 and the last 2 are categories; of the item file's 49, so are 7, and the last is the label.
ITEM_CATEGORIES = (19, 34, 35, 36, 40, 41, 42)
USER_FILE = ("search_id", *CATEGORIES[:7], *NUMBERS[:23], *CATEGORIES[7:9])
ITEM_FILE = (
    "search_id",
    *(
        CATEGORIES[9 + ITEM_CATEGORIES.index(i)]
        if i in ITEM_CATEGORIES
        else NUMBERS[23 + (i - 2) - sum(other < i for other in ITEM_CATEGORIES)]
        for i in range(2, 49)
    ),
    "label",
)


class AliExpress(UserFiles):
    """Reads one market of AliExpress' search log (Li et al. 2020), in either of its two forms.

    The official form has four files without a header, such as ``nl_user_train.csv`` (33 columns, one row a search)
    and ``nl_item_train.csv`` (49 columns, one row an item shown), joined on the search; its last column is 0, 1 for
    a click, or 2 for a click and a purchase. The prepared form has ``train.csv`` and ``test.csv`` with a header of
    82 names. Both give the same columns.

    Args:
        market: which country: ``nl``, ``es``, ``fr``, ``us`` or ``ru``. Of prepared files in several folders those
            in the market's own are taken, such as ``AliExpress_NL``.
    """

    name: ClassVar[str] = "aliexpress"
    home: ClassVar[str] = "https://tianchi.aliyun.com/dataset/74690"
    user = item = time = None
    columns = ("search_id", *CATEGORIES, *NUMBERS, *LABELS, "part")
    version = 1

    def __init__(self, market: Literal["nl", "es", "fr", "us", "ru"] = "nl") -> None:
        self.market = market
        self.wanted: Mapping[str, tuple[str, ...]] = {  # type: ignore[misc]
            **{f"{side}_{part}": (f"{market}_{side}_{part}.csv",) for part in PARTS for side in ("user", "item")},
            **{part: (f"{part}.csv", f"aliexpress_*{part}*.csv") for part in PARTS},
        }
        self.optional: tuple[str, ...] = tuple(self.wanted)  # type: ignore[misc]  # one form or the other

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All items shown, training rows first, in the order of the files.

        Args:
            raw: what ``acquire`` gave.
            scratch: an empty folder for intermediate files.
            say: takes one line for people.

        Returns:
            ``columns``; ``part`` is train or test, as the files are.

        Raises:
            DataError: the files of neither form are there, a line is out of format, a label is none, or a search has
            two different rows in the user file.
        """
        located = self.located(raw)
        official = [role for role in self.wanted if "_" in role]
        if all(located[role] for role in official):
            return stacked({part: self._official(located, part, scratch, say) for part in PARTS})
        prepared = {part: self._own(located[part], part) for part in PARTS}
        if not all(prepared.values()):
            raise DataError(
                f"{raw.path}: it has neither all of {', '.join(self.wanted[role][0] for role in official)} nor both "
                f"train.csv and test.csv; unpack the inner zips too, check data.reader.market={self.market}, or get "
                f"the set from {self.home}"
            )
        return stacked({part: self._prepared(files, scratch, say) for part, files in prepared.items()})

    def _own(self, files: Sequence[Path], part: str) -> list[Path]:
        """Of prepared files in several markets' folders the one of this market."""
        if len(files) > 1:
            files = [file for file in files if file.parent.name.lower().endswith(f"_{self.market}")] or files
        return [one_file(files, f"the {part} part of market {self.market}")] if files else []

    def _prepared(self, files: Sequence[Path], scratch: Path, say: Say) -> Table:
        names = ("search_id", *CATEGORIES, *NUMBERS, *LABELS)
        types = {name: "float" if name in NUMBERS else "int" for name in names}
        return read_table(files, scratch, format="csv", types=types, only=names, say=say)

    def _official(self, located: Mapping[str, Sequence[Path]], part: str, scratch: Path, say: Say) -> Table:
        def table(side: str, names: Sequence[str]) -> Table:
            types = {name: "float" if name.startswith("numerical") else "int" for name in names}
            return read_table(located[f"{side}_{part}"], scratch, format="csv", columns=names, types=types, say=say)

        files = [one_file(located[f"{side}_{part}"], f"the {side} file of {part}") for side in ("user", "item")]
        for file, names in zip(files, (USER_FILE, ITEM_FILE), strict=True):
            fields = first_line(file).count(",") + 1
            if fields != len(names):
                raise DataError(
                    f"{file}, line 1: it has {fields} fields and must have {len(names)}; get the file again"
                )
        items = table("item", ITEM_FILE)
        odd = items.frame.filter(~pl.col("label").is_in([0, 1, 2])).select("label").head(1).collect()
        if odd.height:
            raise DataError(
                f"{files[1]}: column 49 is the label and must be 0, 1 (click) or 2 (click and purchase), found "
                f"{odd.item()}; get the file again"
            )
        shown = beside(items, table("user", USER_FILE), "search_id", files[0].name)
        frame = shown.frame.with_columns(
            click=(pl.col("label") >= 1).cast(pl.Int64), conversion=(pl.col("label") == 2).cast(pl.Int64)
        )
        return Table(frame.select("search_id", *CATEGORIES, *NUMBERS, *LABELS), shown.account, shown.notes)
