"""A made-up MovieLens 1M: `::` between fields, latin-1, ages and occupations as codes, users grouped, not in time."""

import random
from pathlib import Path

GENRES = (
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
USERS, FILMS, EACH = 40, 50, 15


def write(folder: Path) -> list[str]:
    rng = random.Random(2)
    folder.mkdir(parents=True, exist_ok=True)
    films = [2 * film for film in range(1, FILMS + 1)]  # ids have gaps
    ratings = []
    for user in range(1, USERS + 1):
        start = 956_703_932 + rng.randrange(60_000_000)
        for film in rng.sample(films, EACH):
            second = start + rng.choice((0, 0, 9, 60, 86_400, 9_000_000))  # many share one
            ratings.append(f"{user}::{film}::{rng.randint(1, 5)}::{second}\n")
    (folder / "ratings.dat").write_text("".join(ratings))
    titles = ("Café Society", "Misérables, Les", '"Great Performances" Cats', "2001: A Space Odyssey")
    lines = []
    for place, film in enumerate(films):
        genres = "|".join(sorted({GENRES[place % 18], GENRES[place % 7]}))
        lines.append(f"{film}::{titles[place % 4]} {film} ({1920 + place})::{genres}\n")
    (folder / "movies.dat").write_bytes("".join(lines).encode("latin-1"))
    ages = (1, 18, 25, 35, 45, 50, 56)
    users = [
        f"{user}::{'FM'[user % 2]}::{ages[user % 7]}::{user % 21}::{('48067', '55455-1234', '02139')[user % 3]}\n"
        for user in range(1, USERS + 1)
    ]
    (folder / "users.dat").write_text("".join(users))
    (folder / "README").write_text("made up\n")
    return [f"data.source={folder}"]
