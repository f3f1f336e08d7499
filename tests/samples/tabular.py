"""Made-up clicks with the columns of conf/data/tabular.yaml and conf/experiment/my_click_log.yaml.

ISO times, a bag, a title; ratings and seconds of clicked rows; a device and purchases.
"""

import random
from pathlib import Path


def write(folder: Path) -> list[str]:
    """500 impressions of 40 users and 30 items over 20 days, in one CSV file."""
    chance = random.Random(29)
    lines = ["user,item,category,tags,price,title,time,clicked,rating,device,seconds,purchased"]
    for n in range(500):
        user, item = chance.randrange(40), chance.randrange(30)
        clicked = chance.random() < (0.7 if (user + item) % 2 else 0.2)
        rating = str(1 + (user * item + chance.randrange(2)) % 5) if clicked else ""
        seconds = f"{10 * 1.3 ** (item % 10):.1f}" if clicked else ""
        bought = int(clicked and item % 4 == 0)
        day, minute = divmod(n * 57, 1440)
        lines.append(
            f"u{user},{item},{'abc'[item % 3]},{'|'.join('pqr'[: item % 4])},{5 + item}.50,"
            f'"Thing {item}, {"large" if item % 2 else "small"}",'
            f"2024-03-{1 + day:02}T{minute // 60:02}:{minute % 60:02}:00,{int(clicked)},{rating},"
            f"{('phone', 'desktop')[n % 2]},{seconds},{bought}"
        )
    (folder / "clicks.csv").write_text("\n".join(lines) + "\n")
    return [f"data.source={folder / 'clicks.csv'}"]
