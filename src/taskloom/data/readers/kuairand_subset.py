"""A subset of KuaiRand-27K: the rows of the standard log, 8 to 21 April 2022, in which somebody liked or hated."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.one_file import one_file
from taskloom.data.readers.user_files import UserFiles
from taskloom.data.table import Table
from taskloom.data.text_table import read_table

WHOLE = (
    *("user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_follow", "is_comment", "is_forward"),
    *("long_view", "play_time_ms", "duration_ms", "comment_stay_time", "is_profile_enter", "label"),
)


class KuaiRandSubset(UserFiles):
    """Reads ``processed_standard_kcore_15.csv``: 41,828 rows of KuaiRand-27K that are all a like or a hate.

    Rows were chosen by their outcome and users and videos by how many such rows they have, so neither rates nor
    scores tell anything of the full log; it is good for trying many signals at once, not for conclusions about
    KuaiRand. The file is separated by tabs in spite of its name, and not sorted by time.
    """

    name: ClassVar[str] = "kuairand_subset"
    home: ClassVar[str] = "https://kuairand.com/"
    wanted: ClassVar[Mapping[str, tuple[str, ...]]] = {"log": ("processed_standard_kcore_*.csv",)}
    user, item, time = "user_id", "video_id", "timestamp"
    columns = (*WHOLE, "timestamp")
    version = 1

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All rows in the order of the file.

        Args:
            raw: what ``acquire`` gave.
            scratch: an empty folder for intermediate files.
            say: takes one line for people.

        Returns:
            ``columns``: those of the file; ``timestamp`` is seconds since 1970, in place of the readable one
            (``date`` and ``hourmin``, which is HHMM to the full hour, are Beijing time).

        Raises:
            DataError: the file is missing or has a line out of format.
        """
        table = read_table(
            [one_file(self.located(raw)["log"], "the subset")],
            scratch,
            format="tsv",
            types=dict.fromkeys(WHOLE, "int"),
            only=list(WHOLE),
            say=say,
        )
        return Table(table.frame.with_columns(timestamp=pl.col("time_ms") / 1000), table.account, table.notes)
