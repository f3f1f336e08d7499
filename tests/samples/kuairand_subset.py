"""Made-up rows in the layout of the subset of KuaiRand-27K."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

HEADER = (
    *("user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_follow", "is_comment", "is_forward"),
    *("long_view", "play_time_ms", "duration_ms", "comment_stay_time", "is_profile_enter", "label", "timestamp"),
)


def write(folder: Path) -> list[str]:
    """500 rows of 40 users and 60 videos, 8 to 21 April 2022, not sorted by time, tabs in a .csv."""
    chance = random.Random(5)
    lines = ["\t".join(HEADER)]
    for _ in range(500):
        user, video = chance.randrange(40), chance.randrange(60)
        when = datetime(2022, 4, 7, 16, tzinfo=UTC) + timedelta(seconds=chance.randrange(14 * 86400 - 3600))
        beijing = when + timedelta(hours=8)
        like = (user + video) % 3 > 0
        duration = chance.choice((0, 9_000, 45_000))
        play = int(chance.expovariate(1 / (30_000 if like else 8_000)))
        values = [
            *(
                user,
                video,
                f"{beijing:%Y%m%d}",
                beijing.hour * 100,
                int(when.timestamp() * 1000) + chance.randrange(1000),
            ),
            *(int(play > 7000), int(chance.random() < 0.05), int(chance.random() < 0.1), int(chance.random() < 0.05)),
            *(int(play > 18000), play, duration, chance.choice((0, 0, 900))),
            *(int(chance.random() < (0.3 if like else 0.1)), int(like), f"{when:%Y-%m-%d %H:%M:%S}"),
        ]
        lines.append("\t".join(map(str, values)))
    (folder / "processed_standard_kcore_15.csv").write_text("\n".join(lines) + "\n")
    return [f"data.source={folder}"]
