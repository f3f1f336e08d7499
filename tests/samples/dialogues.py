"""A small made-up set in the layout of User Satisfaction Simulation: CCPE.txt, ReDial.txt, and a file of emotions."""

import random
from pathlib import Path

ACTS = (
    "OTHER",
    "ENTITY_NAME+MOVIE_OR_SERIES",
    "ENTITY_PREFERENCE+MOVIE_OR_SERIES",
    "ENTITY_PREFERENCE+MOVIE_GENRE_OR_CATEGORY",
    "ENTITY_DESCRIPTION+MOVIE_OR_SERIES",
    "ENTITY_OTHER+PERSON",
    "ENTITY_NAME+SOMETHING_ELSE",
)
WORDS = ("yes", "no", "good", "bad", 'a "quoted" film', "Léon", "it's", "", "boring", "love", "%3F", "dull", "great")


def write(folder: Path) -> list[str]:
    """Writes the files; the overrides that make ``data=dialogues`` train all of its tasks on them."""
    g = random.Random(1)
    for name, n, with_acts in (("CCPE", 45, True), ("ReDial", 20, False)):
        blocks = "".join("\n" + dialogue(g, with_acts) for _ in range(n))  # the file begins with an empty line
        (folder / f"{name}.txt").write_text(blocks + "\n", encoding="utf-8")
    moods = ("joy", "anger", "fear")
    rows = [f'"{said(g)} {mood}",{mood}\n' for mood in moods * 30]
    (folder / "emotions.csv").write_text("text,emotion\n" + "".join(rows), encoding="utf-8")
    return [
        f"data.source={folder}",
        f"data.reader.emotions={folder / 'emotions.csv'}",
        "tasks=[act,satisfaction,whole,emotion]",
    ]


def said(g: random.Random) -> str:
    """Up to six words, without a quote."""
    return " ".join(word for word in g.choices(WORDS, k=g.randint(0, 6)) if '"' not in word)


def dialogue(g: random.Random, with_acts: bool) -> str:
    """One dialogue's lines: turns of both in any order, then the score of the whole."""
    lines = []
    for _ in range(g.randint(3, 12)):
        role = g.choice(("USER", "SYSTEM", "USER"))
        act = g.choice(ACTS) if with_acts else ""
        text = " ".join(g.choices(WORDS, k=g.randint(0, 5)))
        lines.append(f"{role}\t{text}\t{act}\t{scores(g, text) if role == 'USER' else ''}\n")
    lines.append(f"USER\tOVERALL\t{'OTHER' if with_acts else ''}\t{scores(g, '')}\n")
    return "".join(lines)


def scores(g: random.Random, text: str) -> str:
    """Three to five annotators, who hear a good word or a bad one."""
    middle = 3 + sum(word in text for word in ("good", "love", "great")) - sum(word in text for word in ("bad", "dull"))
    return ",".join(str(min(5, max(1, middle + g.choice((-1, 0, 0, 1))))) for _ in range(g.randint(3, 5)))
