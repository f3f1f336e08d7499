"""Made-up logs and features in the layout of KuaiRand, by the publisher's description of the files."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

LOG = (
    *("user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_like", "is_follow", "is_comment"),
    *("is_forward", "is_hate", "long_view", "play_time_ms", "duration_ms", "profile_stay_time"),
    *("comment_stay_time", "is_profile_enter", "is_rand", "tab"),
)
USERS = (
    *("user_id", "user_active_degree", "is_lowactive_period", "is_live_streamer", "is_video_author"),
    *("follow_user_num", "follow_user_num_range", "fans_user_num", "fans_user_num_range", "friend_user_num"),
    *("friend_user_num_range", "register_days", "register_days_range", *(f"onehot_feat{i}" for i in range(18))),
)
VIDEOS = (
    *("video_id", "author_id", "video_type", "upload_dt", "upload_type", "visible_status", "video_duration"),
    *("server_width", "server_height", "music_id", "music_type", "tag"),
)


def log_rows(chance: random.Random, first: datetime, days: int, n: int, rand: int) -> Iterable[list[object]]:
    """Rows of 30 users and 50 videos, in Beijing days from ``first``."""
    for _ in range(n):
        user, video = chance.randrange(30), chance.randrange(50)
        when = first + timedelta(seconds=chance.randrange(days * 86400))
        beijing = when + timedelta(hours=8)
        good = (user + video) % 3 > 0
        play = int(chance.expovariate(1 / (30_000 if good else 6_000)))
        yield [
            *(user, video, f"{beijing:%Y%m%d}", beijing.hour * 100, int(when.timestamp() * 1000)),
            *(int(play > 7000), int(chance.random() < 0.2), int(chance.random() < 0.1), int(chance.random() < 0.1)),
            *(int(chance.random() < 0.1), 0, int(play > 18000), play, 20_000, 0),
            *(0, 0, rand, chance.randrange(15)),
        ]


def csv(path: Path, header: Iterable[str], rows: Iterable[list[object]]) -> None:
    """Writes a file with a header."""
    lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def write(folder: Path, variant: str = "pure", parts: int = 1, random_log: bool = True) -> list[str]:
    """Logs of 8 April to 8 May 2022 and features; user 29 and video 49 have none.

    Args:
        folder: the files are in its ``data``.
        variant: of the files' names.
        parts: files that each standard log is cut into.
        random_log: whether the random log is there.
    """
    chance = random.Random(7)
    data = folder / "data"
    data.mkdir()
    april = datetime(2022, 4, 7, 16, tzinfo=UTC)  # midnight in Beijing
    for name, first, days, n in (("4_08_to_4_21", 0, 14, 300), ("4_22_to_5_08", 14, 17, 120)):
        rows = list(log_rows(chance, april + timedelta(days=first), days, n, 0))
        for part in range(parts):
            ending = f"_part{part + 1}" if parts > 1 else ""
            csv(data / f"log_standard_{name}_{variant}{ending}.csv", LOG, rows[part::parts])
    if random_log:
        rows = list(log_rows(chance, april + timedelta(days=14), 17, 80, 1))
        csv(data / f"log_random_4_22_to_5_08_{variant}.csv", LOG, rows)
    csv(
        data / f"user_features_{variant}.csv",
        USERS,
        (
            [
                *(user, chance.choice(("full_active", "high_active")), 0, 0, user % 2, user, '"(0,10]"', 3, '"[1,10)"'),
                *(0, "0", 400 + user, "366-730", *("" if i == 4 and user == 3 else user % (i + 2) for i in range(18))),
            ]
            for user in range(29)
        ),
    )
    csv(
        data / f"video_features_basic_{variant}.csv",
        VIDEOS,
        (
            [
                *(
                    video,
                    video % 11,
                    "NORMAL",
                    f"2022-0{1 + video % 3}-15",
                    "ShortImport",
                    1,
                    "" if video == 5 else 20000.0,
                ),
                *(720, 1280, 900_000_000_000 + video % 7, float(video % 4), '"12,65"' if video % 2 else 12),
            ]
            for video in range(49)
        ),
    )
    (data / f"video_features_statistic_{variant}.csv").write_text("never read\n")
    return [f"data.source={folder}", f"data.reader.variant={variant}"]
