"""A made-up Yelp Open Dataset in the official JSON lines: reviews, businesses and users, with their quirks."""

import json
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

START = datetime(2012, 3, 1, 12, 0, 0)


def _id(kind: str, number: int) -> str:
    return f"{kind}{number:021d}"


def _line(record: Mapping[str, object]) -> str:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/") + "\n"


def write(folder: Path) -> list[str]:
    """400 reviews by 60 users, in three circles of friends, of 40 businesses, of which 3 have no record."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(11)
    taste = {user: draw.gauss(0, 1) for user in range(60)}
    appeal = {item: draw.gauss(0, 1) for item in range(40)}
    with (folder / "yelp_academic_dataset_review.json").open("w", encoding="utf-8") as out:
        for number in range(400):
            user, item = draw.randrange(60), draw.randrange(40)
            stars = min(5, max(1, round(3.7 + taste[user] + appeal[item] + draw.gauss(0, 0.5))))
            votes = {name: max(0, round(draw.gauss(0, 1.5) + taste[user])) for name in ("useful", "funny", "cool")}
            date = START + timedelta(days=draw.randrange(2500), seconds=draw.randrange(40_000))
            ids = {"review_id": _id("r", number), "user_id": _id("u", user), "business_id": _id("b", item)}
            out.write(_line({**ids, "stars": float(stars), **votes, "text": "Fine, and/or\nnot.", "date": str(date)}))
    with (folder / "yelp_academic_dataset_business.json").open("w", encoding="utf-8") as out:
        for item in range(37):
            attributes = {
                "RestaurantsPriceRange2": str(1 + item % 4),
                "WiFi": ("u'free'", "'no'", "None")[item % 3],
                "BusinessParking": "{'garage': False, 'street': True}" if item % 2 else "None",
                "HasTV": "True",
            }
            facts = {
                "business_id": _id("b", item),
                "name": f"Café {item}",
                "address": "",
                "city": ("Tucson", "Reno")[item % 2],
                "state": ("AZ", "NV")[item % 2],
                "postal_code": "85701",
                "latitude": 32.2 + item / 100,
                "longitude": -110.9,
                "stars": round(2 * (3.7 + appeal[item])) / 2,
                "review_count": draw.randrange(5, 300),
                "is_open": item % 2,
                "attributes": attributes if item % 10 else None,
                "categories": "Food, Coffee & Tea, American (New)" if item % 9 else None,
                "hours": {"Monday": "8:0-18:30"} if item % 4 else None,
            }
            out.write(_line(facts))
    with (folder / "yelp_academic_dataset_user.json").open("w", encoding="utf-8") as out:
        for user in range(60):
            friends = [other for other in range(60) if other != user and other % 3 == user % 3 and (user + other) % 4]
            facts = {
                "user_id": _id("u", user),
                "name": "Ann",
                "review_count": draw.randrange(1, 400),
                "yelping_since": str(START - timedelta(days=draw.randrange(900))),
                **dict.fromkeys(("useful", "funny", "cool"), draw.randrange(100)),
                "elite": "2015,2016,20,20" if user % 5 == 0 else "",
                "friends": ", ".join([*(_id("u", other) for other in friends), _id("u", 9999)]) if user % 8 else "None",
                "fans": draw.randrange(9),
                "average_stars": round(3.7 + taste[user], 2),
                **{f"compliment_{kind}": draw.randrange(4) for kind in ("hot", "more", "plain")},
            }
            out.write(_line(facts))
    return [f"data.source={folder}"]
