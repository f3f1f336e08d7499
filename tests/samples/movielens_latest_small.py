"""A made-up MovieLens latest-small: CSV with headers, half stars, quoted titles, films without year or genres."""

import random
from pathlib import Path

GENRES = ("Action", "Children", "Comedy", "Drama", "IMAX", "Sci-Fi")
USERS, FILMS, ROWS = 40, 60, 600


def write(folder: Path) -> list[str]:
    rng = random.Random(3)
    folder.mkdir(parents=True, exist_ok=True)
    films = [3 * film for film in range(1, FILMS + 1)]  # ids have gaps
    pairs = sorted(rng.sample([(u, i) for u in range(1, USERS + 1) for i in films], ROWS))
    ratings = [f"{u},{i},{rng.randint(1, 10) / 2},{1_100_000_000 + rng.randrange(10**8)}\n" for u, i in pairs]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(ratings), newline="")
    lines = ["movieId,title,genres\n"]
    for film in films:
        genres = "|".join(sorted({GENRES[film % 6], GENRES[film % 4]}))
        titles = {
            0: f'"Café, The {film} ({1950 + film % 60})"',  # a comma needs quotes
            1: f'"Say ""Hello"" {film} ({1950 + film % 60})"',
            2: f"Series {film} (2007-2010)",
            3: f"No year {film}",
        }
        lines.append(f"{film},{titles[film % 4]},{genres if film % 5 else '(no genres listed)'}\n")
    (folder / "movies.csv").write_text("".join(lines), encoding="utf-8", newline="")
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n3,0114709,862\n")
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,3,fun,1139045764\n")
    return [f"data.source={folder}"]
