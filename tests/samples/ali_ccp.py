"""Made-up impressions in the two layouts of Ali-CCP, the official one by the publisher's description."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

USER = ("101", "121", "122", "124", "125", "126", "127", "128", "129")
SEEN = ("109_14", "110_14", "127_14", "150_14")
ITEM = ("205", "206", "207", "216", "301")
CROSSED = ("508", "509", "702", "853")
HEADER = ["click", "purchase", *USER, "205", "206", "207", "210", "216", *CROSSED, "301", *SEEN]
HEADER += [f"D{field}" for field in (*SEEN, *CROSSED)]


def packed(features: Sequence[tuple[str, str, float]]) -> str:
    """Field, id and value, between the official signs."""
    return "\x01".join(f"{field}\x02{number}\x03{value}" for field, number, value in features)


def official(folder: Path, samples: Mapping[str, Sequence[tuple[int, int]]], seed: int = 13) -> None:
    """Skeletons and common features; each sample is (click, purchase), of 20 users in turn."""
    chance = random.Random(seed)
    for part, labels in samples.items():
        users, lines = [], []
        for user in range(20):
            features = [("101", f"{user}", 1.0), *((field, f"{field}{user % 3}", 1.0) for field in USER[1:])]
            features += [(field, f"{field}{k}", 0.5 + k) for field in SEEN for k in range(user % 4)]
            users.append(f"{part}{user:03},{len(features)},{packed(features)}")
        for n, (click, purchase) in enumerate(labels):
            features = [(field, f"{field}{chance.randrange(6)}", 1.0) for field in ITEM]
            features += [("210", f"210{k}", 1.0) for k in range(chance.randrange(3))]
            if n % 2:
                features.append(("508", f"508{chance.randrange(4)}", 2.5))
            lines.append(f"{n + 1},{click},{purchase},{part}{n % 20:03},{len(features)},{packed(features)}")
        (folder / f"sample_skeleton_{part}.csv").write_text("\n".join(lines) + "\n")
        (folder / f"common_features_{part}.csv").write_text("\n".join(users) + "\n")


def write(folder: Path) -> list[str]:
    """The official form: 400 samples for training and 150 for test, of which some are purchases without a click."""
    chance = random.Random(17)
    kinds = [(0, 0)] * 5 + [(1, 0)] * 3 + [(1, 1)] * 2
    samples = {part: [chance.choice(kinds) for _ in range(n)] for part, n in (("train", 400), ("test", 150))}
    samples["train"][:3] = [(0, 1)] * 3
    official(folder, samples)
    return [f"data.source={folder}"]


def write_prepared(folder: Path) -> None:
    """The prepared form, with a part for validation."""
    chance = random.Random(19)
    for part, n in (("train", 60), ("val", 20), ("test", 20)):
        rows = [",".join(HEADER)]
        for row in range(n):
            click = int(row % 3 == 0)
            ids = [str(chance.randrange(9)) for _ in range(len(HEADER) - 2 - 8)]
            rows.append(
                ",".join([str(click), str(int(row % 6 == 0)), *ids, *(f"{chance.random():.4f}" for _ in range(8))])
            )
        (folder / f"ali_ccp_{part}.csv").write_text("\n".join(rows) + "\n")
