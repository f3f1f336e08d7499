"""Made-up Amazon reviews in the official form of 2023: a category's reviews and its meta file, with their quirks."""

import json
import random
from pathlib import Path

DAY = 86_400_000  # milliseconds
PRICES = (19.99, "24.50", "from 12.00", "—", None, 1299)
WORDS = ("silk", "brush", "red", "large", "kit", "cream", "steel", "soft", "travel", "set")


def write(folder: Path) -> list[str]:
    """400 reviews, 8 of them exact repeats, by 50 users of 40 products, of which 2 are not in the meta file."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(7)
    taste = {user: draw.gauss(0, 1) for user in range(50)}
    appeal = {item: draw.gauss(0, 1) for item in range(40)}
    lines = []
    for _ in range(392):
        user, item = draw.randrange(50), draw.randrange(40)
        stars = min(5, max(1, round(3.8 + taste[user] + appeal[item] + draw.gauss(0, 0.5))))
        record = {
            "rating": float(stars),
            "title": "Title – of a review",
            "text": "What was written\nafter the outcome.",
            "images": [],
            "asin": f"B{item:08d}{draw.randrange(3)}",
            "parent_asin": f"B{item:09d}",
            "user_id": f"AE{user:026d}",
            "timestamp": 1_400_000_000_123 + draw.randrange(2500) * DAY,
            "helpful_vote": max(0, round(draw.gauss(0, 2) - taste[user])),
            "verified_purchase": draw.random() < 0.8,
        }
        lines.append(json.dumps(record, ensure_ascii=draw.random() < 0.5))
    lines += lines[10:18]
    (folder / "All_Beauty.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    products = [
        {
            "main_category": "All Beauty",
            "title": " ".join(draw.sample(WORDS, 4)),
            "average_rating": round(3.8 + appeal[item], 1),
            "rating_number": draw.randrange(1, 500),
            "features": [],
            "description": ["A sentence.", "Another one."] if item % 3 else [],
            "price": PRICES[item % len(PRICES)],
            "images": [{"thumb": "t", "large": "l"}],
            "videos": [],
            "store": f"Store {item % 6}" if item % 5 else None,
            "categories": ["Beauty & Care", f"Kind {item % 4}"] if item % 7 else [],
            "details": {"Item Form": "Stick"},
            "parent_asin": f"B{item:09d}",
            "bought_together": None,
        }
        for item in range(38)
    ]
    (folder / "meta_All_Beauty.jsonl").write_text("".join(json.dumps(each) + "\n" for each in products))
    return [f"data.source={folder}"]
