"""Made-up persons in the official layout of Census-Income (KDD)."""

import gzip
import random
from pathlib import Path

EDUCATION = ("High school graduate", "Children", "Bachelors degree(BA AB BS)", "Masters degree(MA MS MEng MEd MSW MBA)")
COUNTRY = ("United-States", "Mexico", "?")


def person(chance: random.Random) -> list[str]:
    """The 42 fields of one person; who is older, studied and worked all year earns more and is married."""
    age, education, weeks = chance.randint(0, 90), chance.choice(EDUCATION), chance.choice((0, 26, 52))
    grown = age > 25
    rich = grown and weeks == 52 and chance.random() < (0.8 if "degree" in education else 0.3)
    single = not grown or chance.random() < 0.2
    return [
        str(age),
        chance.choice(("Private", "Not in universe", "Federal government")),
        *(str(chance.choice((0, 4, 33))), str(chance.choice((0, 2, 26)))),
        education,
        str(chance.choice((0, 0, 500, 1200))),
        chance.choice(("Not in universe", "High school")),
        "Never married" if single else chance.choice(("Married-civilian spouse present", "Divorced")),
        *(chance.choice(("Retail trade", "Construction")), chance.choice(("Sales", "Other service"))),
        chance.choice(("White", "Black")),
        chance.choice(("All other", "NA", "Cuban")),
        chance.choice(("Female", "Male")),
        *("Not in universe", "Not in universe", chance.choice(("Full-time schedules", "Not in labor force"))),
        *(str(chance.choice((0, 0, 15024))), str(chance.choice((0, 0, 1902))), str(chance.choice((0, 0, 100)))),
        chance.choice(("Single", "Nonfiler")),
        *("Not in universe", "?"),
        *("Child <18 never marr not in subfamily" if age < 18 else "Householder", "Householder"),
        f"{chance.uniform(100, 3000):.2f}".removesuffix("0"),
        *("?", "?", "?", "Not in universe under 1 year old", "?"),
        str(chance.randint(0, 6)),
        "Both parents present" if age < 18 else "Not in universe",
        *(chance.choice(COUNTRY) for _ in range(3)),
        chance.choice(
            ("Native- Born in the United States", "Foreign born- Not a citizen of U S ")
        ),  # a blank at its end
        *(str(chance.choice((0, 2))), "Not in universe", str(chance.choice((0, 2)))),
        *(str(weeks), str(chance.choice((94, 95)))),
        "50000+." if rich else "- 50000.",
    ]


def write(folder: Path) -> list[str]:
    """400 persons packed for training, 150 plain for test; the last of training repeats the first."""
    chance = random.Random(3)
    for name, n in (("census-income.data.gz", 400), ("census-income.test", 150)):
        lines = [", ".join(person(chance)) + "\n" for _ in range(n)]
        if name.endswith(".gz"):
            lines[-1] = lines[0]
            (folder / name).write_bytes(gzip.compress("".join(lines).encode()))
        else:
            (folder / name).write_text("".join(lines))
    return [f"data.source={folder}"]
