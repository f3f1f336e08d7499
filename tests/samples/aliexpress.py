"""Made-up searches in the two layouts of AliExpress."""

import random
from pathlib import Path

HEADER = [
    "search_id",
    *(f"categorical_{i}" for i in range(1, 17)),
    *(f"numerical_{i}" for i in range(1, 64)),
    "click",
    "conversion",
]
ITEM_CATEGORIES = (19, 34, 35, 36, 40, 41, 42)  # of the item file's columns, from 1


def write(folder: Path) -> list[str]:
    """The official form of one market: 60 searches for training and 40 for test, 5 items each, no header."""
    chance = random.Random(11)
    for part, searches in (("train", range(60)), ("test", range(60, 100))):
        users, items = [], []
        for search in searches:
            categories = [chance.randrange(5) for _ in range(9)]
            numbers = [f"{chance.random():.4f}" for _ in range(23)]
            users.append([search, *categories[:7], *numbers, *categories[7:]])
            for _ in range(5):
                fit = chance.random()
                label = 0 if fit < 0.5 else 1 if fit < 0.75 else 2
                facts = [chance.randrange(4) if i in ITEM_CATEGORIES else f"{fit * i:.4f}" for i in range(2, 49)]
                items.append([search, *facts, label])
        for side, rows in (("user", users), ("item", items)):
            text = "".join(",".join(map(str, row)) + "\n" for row in rows)
            (folder / f"nl_{side}_{part}.csv").write_text(text)
    return [f"data.source={folder}"]


def write_prepared(folder: Path) -> None:
    """The prepared form: a header of 82 names."""
    chance = random.Random(12)
    folder.mkdir(parents=True, exist_ok=True)
    for part, n in (("train", 40), ("test", 10)):
        rows = [HEADER]
        for row in range(n):
            click = chance.randrange(2)
            facts = [*(chance.randrange(9) for _ in range(16)), *(round(chance.random(), 3) for _ in range(63))]
            rows.append([str(value) for value in (row // 2, *facts, click, click * chance.randrange(2))])
        (folder / f"{part}.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
