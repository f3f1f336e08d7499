"""A made-up MovieLens 100K: GroupLens' files, with a film that nothing is known of and letters beyond ASCII."""

import random
from pathlib import Path

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
USERS, FILMS, ROWS = 40, 30, 500


def write(folder: Path) -> list[str]:
    rng = random.Random(1)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = rng.sample([(u, i) for u in range(1, USERS + 1) for i in range(1, FILMS + 1)], ROWS)
    ratings = [(u, i, rng.randint(1, 5), 880_000_000 + rng.randrange(10_000_000)) for u, i in pairs]
    (folder / "u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in ratings))
    jobs = ("artist", "writer", "other")
    zips = ("55455", "T8H1N", "02139")  # Canada's have letters
    users = [f"{u}|{rng.randint(10, 70)}|{'MF'[u % 2]}|{jobs[u % 3]}|{zips[u % 3]}\n" for u in range(1, USERS + 1)]
    (folder / "u.user").write_text("".join(users))
    films = [f"{i}|Café {i} ({1950 + i})|01-Jan-{1950 + i}||http://films/{i}|{_flags(i)}\n" for i in range(1, FILMS)]
    films.append(f"{FILMS}|unknown||||{_flags(0)}\n")
    (folder / "u.item").write_bytes("".join(films).encode("latin-1"))
    (folder / "u.genre").write_text("".join(f"{name}|{place}\n" for place, name in enumerate(GENRES)) + "\n")
    return [f"data.source={folder}"]


def _flags(film: int) -> str:
    chosen = {0} if film == 0 else {1 + film % 18, 1 + film * 7 % 18}
    return "|".join("1" if genre in chosen else "0" for genre in range(19))
