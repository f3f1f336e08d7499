"""Made-up clicks with the columns of conf/data/tabular.yaml: ISO times, a bag, a title, ratings of clicked rows."""

import random
from pathlib import Path


def write(folder: Path) -> list[str]:
    """500 impressions of 40 users and 30 items over 20 days, in one CSV file."""
    chance = random.Random(29)
    lines = ["user,item,category,tags,price,title,time,clicked,rating"]
    for n in range(500):
        user, item = chance.randrange(40), chance.randrange(30)
        clicked = chance.random() < (0.7 if (user + item) % 2 else 0.2)
        rating = str(1 + (user * item + chance.randrange(2)) % 5) if clicked else ""
        day, minute = divmod(n * 57, 1440)
        lines.append(
            f"u{user},{item},{'abc'[item % 3]},{'|'.join('pqr'[: item % 4])},{5 + item}.50,"
            f'"Thing {item}, {"large" if item % 2 else "small"}",'
            f"2024-03-{1 + day:02}T{minute // 60:02}:{minute % 60:02}:00,{int(clicked)},{rating}"
        )
    (folder / "clicks.csv").write_text("\n".join(lines) + "\n")
    return [f"data.source={folder / 'clicks.csv'}"]
