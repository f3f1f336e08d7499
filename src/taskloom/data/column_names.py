"""What the names of columns say: words of the trade, and names that configs and SQL may hold."""

import re
from collections.abc import Iterable
from itertools import pairwise

USER = """user userid uid customer client member visitor reviewer reviewerid person patient account subscriber
respondent seqn"""
ITEM = """item itemid product productid movie movieid film asin article song track video business sku ad advert creative
offer listing restaurant book news campaign shop"""
TIME = "timestamp time date datetime ts when created occurred unixreviewtime visited sent day"
GROUP = "session search query request basket visit"
ID = "id uid uuid key no nr number index"
OUTCOME = """click clicked clicks purchase purchased buy bought conversion converted convert revenue spend spent sale
sales label target y outcome response responded like liked rating stars score overall satisfaction churn churned
default defaulted open opened watch watched dwell playtime staytime longview follow followed comment commented forward
shared bounce bounced survived diagnosis diabetes disease readmitted approved fraud helpful useful funny cool vote votes
subscribed subscribe interest interested returned finished unsubscribed"""
PAST = "num count cnt n avg mean prev past last previous total before history earlier ever per"  # facts, not outcomes
LATER = "purchase purchased buy bought conversion converted convert sale rating stars spend spent revenue"
FIRST = "click clicked open opened interest interested"
LEVELS = "rating stars score overall satisfaction grade level"
CODES = "id code type category class group zip region month weekday day hour year version channel device kind segment"
PART = "part split set fold"
SQL_WORDS = """all and as by case date end from group having in interval is like limit not null on or order select table
time user where"""


def words(name: str) -> list[str]:
    """The lower-case words of a column's name.

    Example:
        >>> words("isClicked"), words("unix_review_time"), words("UserID")
        (['is', 'clicked'], ['unix', 'review', 'time'], ['user', 'id'])
    """
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word for word in re.split(r"[^A-Za-z0-9]+", split.lower()) if word]


def says(name: str, vocabulary: str) -> bool:
    """Whether a word of the name, or two or all of them as one, are in a vocabulary.

    Example:
        >>> says("play_time_ms", "playtime"), says("replay", "play")
        (True, False)
    """
    parts = words(name)
    pairs = ["".join(pair) for pair in pairwise(parts)]
    return bool({*parts, *pairs, "".join(parts)} & set(vocabulary.split()))


def slug(name: str, taken: Iterable[str] = ()) -> str:
    """A name that features, tasks and files may have.

    Example:
        >>> slug("Page value (€)"), slug("2nd"), slug("a", ["a"])
        ('Page_value', 'c_2nd', 'a_2')
    """
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "column"
    plain = plain if plain[0].isalpha() else f"c_{plain}"
    found, number = plain, 1
    while found in taken:
        number += 1
        found = f"{plain}_{number}"
    return found


def sql(name: str) -> str:
    """A column's name within an SQL expression, in quotes where it is a word of SQL or no plain word.

    Example:
        >>> sql("paid"), sql("Paid?"), sql("order")
        ('paid', '"Paid?"', '"order"')
    """
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in SQL_WORDS.split()
    return name if plain else '"' + name.replace('"', '""') + '"'
