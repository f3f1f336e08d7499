"""KuaiRand: short videos shown in the feeds of Kuaishou, with twelve signals of what people did."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.facts import beside
from taskloom.data.readers.one_file import one_file
from taskloom.data.readers.parts import stacked
from taskloom.data.readers.user_files import UserFiles
from taskloom.data.table import Table
from taskloom.data.text_table import read_table

LOG = (
    *("user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_like", "is_follow", "is_comment"),
    *("is_forward", "is_hate", "long_view", "play_time_ms", "duration_ms", "profile_stay_time"),
    *("comment_stay_time", "is_profile_enter", "is_rand", "tab"),
)
USER_TEXTS = (
    *("user_active_degree", "follow_user_num_range", "fans_user_num_range", "friend_user_num_range"),
    "register_days_range",
)
USER_NUMBERS = (
    *("is_lowactive_period", "is_live_streamer", "is_video_author", "follow_user_num", "fans_user_num"),
    *("friend_user_num", "register_days", *(f"onehot_feat{i}" for i in range(18))),
)
VIDEO_TEXTS = ("video_type", "upload_dt", "upload_type", "music_id", "tag")
VIDEO_NUMBERS = (*("visible_status", "video_duration", "server_width", "server_height", "music_type"),)
STANDARD = ("log_standard_4_08_to_4_21", "log_standard_4_22_to_5_08")
RANDOM = "log_random_4_22_to_5_08"


class KuaiRand(UserFiles):
    """Reads KuaiRand (Gao et al. 2022): the standard log of 8 April to 8 May 2022 and, where there, the random one.

    Each logged row is joined with its user's features and its video's basic ones. The file
    ``video_features_statistic`` is never opened: its counts cover the whole month, so they know the future.

    Args:
        variant: ``pure`` (7,583 videos), ``1k`` (1,000 users) or ``27k`` (all); it decides the files' names. Logs
            that are cut into ``_part1``, ``_part2``, ... are read as one.
    """

    name: ClassVar[str] = "kuairand"
    home: ClassVar[str] = "https://kuairand.com/"
    optional: ClassVar[tuple[str, ...]] = (RANDOM,)
    user, item, time = "user_id", "video_id", "timestamp"
    columns = (
        *LOG,
        "timestamp",
        "log",
        *USER_NUMBERS,
        *USER_TEXTS,
        "author_id",
        *VIDEO_NUMBERS,
        *VIDEO_TEXTS,
        "video_age",
    )
    version = 1

    def __init__(self, variant: Literal["pure", "1k", "27k"] = "pure") -> None:
        self.variant = variant
        self.wanted: Mapping[str, tuple[str, ...]] = {  # type: ignore[misc]
            **{name: (f"{name}_{variant}.csv", f"{name}_{variant}_part*.csv") for name in (*STANDARD, RANDOM)},
            "users": (f"user_features_{variant}.csv",),
            "videos": (f"video_features_basic_{variant}.csv", f"video_features_basic_{variant}_part*.csv"),
        }

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All logged rows, the standard log first, in the order of the files.

        Args:
            raw: what ``acquire`` gave.
            scratch: an empty folder for intermediate files.
            say: takes one line for people.

        Returns:
            ``columns``: the log as it is; ``timestamp``, seconds since 1970 (``date`` and ``hourmin``, which is HHMM
            to the full hour, are Beijing time); ``log``, standard or random; the user's and the video's features;
            ``video_age``, days from its upload to the date of the row.

        Raises:
            DataError: a file is missing or has a line out of format, or a user or video has two rows of features.
        """
        located = self.located(raw)

        def table(
            files: Sequence[Path], ints: Sequence[str], floats: Sequence[str] = (), texts: Sequence[str] = ()
        ) -> Table:
            types = {**dict.fromkeys(ints, "int"), **dict.fromkeys(floats, "float"), **dict.fromkeys(texts, "text")}
            return read_table(files, scratch, format="csv", types=types, only=list(types), say=say)

        logs = {"standard": table([file for name in STANDARD for file in located[name]], LOG)}
        if located[RANDOM]:
            logs["random"] = table(located[RANDOM], LOG)
        events = stacked(logs, column="log")
        users = table([one_file(located["users"], "the user features")], ("user_id",), USER_NUMBERS, USER_TEXTS)
        videos = table(located["videos"], ("video_id", "author_id"), VIDEO_NUMBERS, VIDEO_TEXTS)
        events = beside(events, users, "user_id", "the user features")
        events = beside(events, videos, "video_id", "the basic video features")
        frame = events.frame.with_columns(
            timestamp=pl.col("time_ms") / 1000,
            video_age=(
                pl.col("date").cast(pl.String).str.to_date("%Y%m%d", strict=False)
                - pl.col("upload_dt").str.to_date("%Y-%m-%d", strict=False)
            ).dt.total_days(),
        )
        return Table(frame.select(self.columns), events.account, events.notes)
