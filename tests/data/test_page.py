"""The data page and the tables of the terminal: whole, self-contained, and nothing a name can break."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from taskloom.data.charts import bars, histogram, matrix, percent, spans, table
from taskloom.data.facts_table import facts_tables
from taskloom.data.page import page

PARTS = ("train", "val", "test", "random")
VOID = {"meta", "br", "img"}


def binary(labelled, positives):
    return {
        "rows": 100,
        "labelled": labelled,
        "coverage": labelled / 100,
        "positives": positives,
        "rate": positives / 100,
    }


def make(**changes):
    numbers = {
        "rows": 100,
        "labelled": 60,
        "coverage": 0.6,
        "mean": 12.5,
        "std": 3.0,
        "least": 0.0,
        "most": 99.0,
        "quantiles": {"0.05": 1.0, "0.25": 5.0, "0.5": 12.0, "0.75": 15.0, "0.95": 40.0},
        "histogram": {"edges": [0.0, 10.0, 20.0], "rows": [40, 20], "step": 0.0},
    }
    labels = {"rows": 100, "labelled": 80, "coverage": 0.8, "positives": [8, 40], "rate": [0.1, 0.5], "noise": 0.25}
    classes = {"rows": 100, "labelled": 50, "coverage": 0.5, "classes": {"1": 10, "5": 40}}

    def task(name, kind, figures, **more):
        base = {"name": name, "kind": kind, "about": "", "parent": None, "weight": 1.0, "labels": [name]}
        return {**base, "parts": dict.fromkeys(PARTS, figures), **more}

    def feature(name, **more):
        base = {"name": name, "kind": "categorical", "side": "user", "from": name, "values": 1234, "width": 1}
        unknown = dict.fromkeys(PARTS, 0.0123)
        return {**base, "mean": None, "std": None, "unknown": unknown, "constant": False, **more}

    counts = {"rows": dict.fromkeys(PARTS, 100), "users": dict.fromkeys(PARTS, 3), "items": dict.fromkeys(PARTS, 4)}
    span = {"first": 0.0, "last": 10.0, "from": "2020-01-01 00:00", "to": "2021-01-01 00:00"}
    facts = {
        "name": "shop",
        "fingerprint": "abc123",
        "came_from": "a zip",
        "rows": {
            "read": 450,
            "refused": 2,
            "refusals": ["a.csv, line 7: 3 fields"],
            "dropped": {"an exact duplicate": 40},
            "filtered": {"user with fewer than 5 training rows": 8},
            "used": 400,
        },
        "users": 77,
        "items": 55,
        "split": {"kind": "column", "column": "date < 5", "about": "A column says it.", "in_time": True},
        "parts": [{"name": part, "rows": 100, "share": 0.25, "span": span} for part in PARTS],
        "cold": [{"split": "column", "used": True, **counts}, {"split": "random", "used": False, **counts}],
        "tables": {"turns": dict.fromkeys(PARTS, 9), "moods": dict.fromkeys(PARTS, 91)},
        "tasks": [
            task("click", "binary", binary(90, 30), about="a click of `rating`"),
            task("dwell", "regression", numbers, parent="click"),
            task("topics", "multilabel", labels, labels=["sport", "music"]),
            task("stars", "ordinal", classes),
            task("nothing", "binary", {"rows": 100, "labelled": 0, "coverage": 0.0}),
        ],
        "correlation": {
            "names": ["click", "dwell", "stars"],
            "value": [[1, None, -0.41], [None, 1, 0.2], [-0.41, 0.2, 1]],
            "rows": [[90, 60, 50], [60, 60, 40], [50, 40, 50]],
        },
        "features": [
            feature("user"),
            feature("age", kind="dense", values=None, mean=40.0, std=11.0, constant=True),
            feature("genres", kind="bag", width=6, **{"from": "SPLIT(g)"}),
        ],
        "history": {
            "of": ["item"],
            "length": 20,
            "events": 300,
            "seen": "earlier rows",
            "parts": {p: {"mean": 3.2, "median": 2.0, "most": 44.0, "none": 0.1, "full": 0.2} for p in PARTS},
        },
        "negatives": {"task": "click", "per_row": 4},
        "repeats": {"train": 5, "test": 1},
        "excluded": {"average_rating": "knows the future"},
        "floors": {"constant": {"click/auc": 0.5}, "boosting": {"click/auc": 0.77, "dwell/rmse": None}},
        "notes": ["two files were read"],
        "warnings": ["purchase: 36 positive test rows, fewer than 100: no verdict on it"],
    }
    return {**facts, **changes}


class Checker(HTMLParser):
    """Tags that close as they opened; what is loaded from elsewhere; the text."""

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.words, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.loaded += [v for k, v in attributes if k in ("src", "href", "action") and not v.startswith("data:")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def checked(text):
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    return checker


def test_the_page_is_whole_and_needs_nothing_else():
    text = page(make())
    found = checked(text)
    assert found.loaded == []
    assert not {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe"}
    assert "url(" not in text
    assert "@import" not in text
    assert ("html", {"lang": "en"}) in found.tags
    assert any(given.get("name") == "viewport" for tag, given in found.tags if tag == "meta")
    assert "prefers-color-scheme: dark" in text


def test_the_page_says_all_that_is_known():
    words = " ".join("".join(checked(page(make())).words).split())
    for said in (
        *(
            "shop",
            "abc123",
            "a zip",
            "400",
            "77",
            "55",
            "no verdict on it",
            "a click of rating",
            "needs a positive click",
        ),
        *("40", "an exact duplicate", "user with fewer than 5 training rows", "a.csv, line 7", "refused as malformed"),
        *("12.5", "sport", "50.0%", "−0.41", "+0.20", "2020-01-01 00:00 to 2021-01-01 00:00", "date < 5"),
        *("1,234", "40 ± 11", "constant", "SPLIT(g)", "1.2%", "The last 20 item", "knows the future", "average_rating"),
        *("0.77", "boosting", "two files were read", "5 training rows repeat", "training draws 4 items", "table turns"),
        *("4 (4.0%)", "random", "label noise (sd)", "0.25"),
    ):
        assert said in words, said


def test_the_most_frequent_label_comes_first():
    words = checked(page(make())).words
    assert words.index("music") < words.index("sport")


def test_the_facts_can_be_downloaded():
    facts = make(name="a/b <c>")
    link = next(given for tag, given in checked(page(facts)).tags if "download" in given)
    assert json.loads(base64.b64decode(link["href"].partition("base64,")[2])) == facts
    assert link["download"].endswith("abc123.json")


def test_pictures_have_words_for_those_who_cannot_see_them():
    found = checked(page(make()))
    for tag, given in found.tags:
        if given.get("role") == "img" and tag != "svg":
            assert given["aria-label"]
    assert page(make()).count("<svg") == page(make()).count('role="img"><title>')
    tables = [given for tag, given in found.tags if tag == "th"]
    assert all(given.get("scope") in ("col", "row") for given in tables if given)


def test_names_are_never_markup():
    evil = "<script>alert(1)</script>\"'&"
    facts = json.loads(json.dumps(make()).replace("shop", json.dumps(evil)[1:-1]))
    facts["tasks"][0] |= {"name": evil, "about": evil, "parent": evil, "labels": [evil]}
    facts["tasks"][2]["labels"] = [evil, evil + "2"]
    facts["features"][0] |= {"name": evil, "from": evil + "x", "kind": evil}
    facts["correlation"]["names"][0] = evil
    facts["parts"][3]["name"] = evil
    facts["cold"][0]["split"] = evil
    facts |= {
        "excluded": {evil: evil},
        "notes": [evil],
        "warnings": [evil],
        "came_from": evil,
        "floors": {evil: {evil: 1.0}},
    }
    facts["split"] |= {"column": evil, "about": evil}
    facts["tables"][evil] = {evil: 1}
    facts["rows"] |= {"dropped": {evil: 1}, "refusals": [evil]}
    facts["history"] |= {"of": [evil], "seen": evil}
    facts["features"] = [f | {"unknown": {**f["unknown"], evil: 0.0}} for f in facts["features"]]
    for cold in facts["cold"]:
        cold["rows"][evil] = cold["users"][evil] = cold["items"][evil] = 1
    found = checked(page(facts))
    assert "script" not in {tag for tag, _ in found.tags}
    assert not any(key.startswith("on") for _, given in found.tags for key in given)


EMPTY = {"history": None, "negatives": None, "repeats": None, "excluded": {}, "floors": {}, "notes": [], "warnings": []}
BARE = {"cold": [], "tables": {}, "users": None, "items": None, "correlation": {"names": [], "value": [], "rows": []}}


def test_what_is_not_known_leaves_no_empty_section():
    facts = make(**EMPTY, **BARE)
    for part in facts["parts"]:
        part["span"] = None
    words = "".join(checked(page(facts)).words)
    for title in (
        "Histories",
        "Left out on purpose",
        "Floors",
        "Notes",
        "To look at twice",
        "New users",
        "go together",
    ):
        assert title not in words
    assert "None" not in words
    assert "nan" not in words.lower().split()


def terminal(facts, width=120):
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(facts_tables(facts))
    return out.getvalue()


def test_the_terminal_says_the_same():
    text = terminal(make())
    for said in (
        *("shop · 400 rows · 77 users · 55 items", "raw data: a zip", "30.0%, 30 positive"),
        *("450 rows read, 400 in use", "left out 40: an exact duplicate", "left out 2: malformed", "a.csv, line 7"),
        *("mean 12.5 ± 3, 5/50/95% 1, 12, 40", "2 labels, 0.6 a row", "1: 20.0% 5: 80.0%", "-0.41", "sport"),
        *("40 ± 11", "average_rating: knows the future", "warning: purchase: 36 positive test rows", "floor boosting"),
        *("note: two files were read", "history: the last 20 item", "4 (4.0%)"),
    ):
        assert said in text, said
    assert terminal(make(**EMPTY, **BARE))


def test_the_terminal_takes_names_as_they_are():
    assert "[bold]x[/bold]" in terminal(make(name="[bold]x[/bold]", notes=["[/red]"]))


def test_many_features_and_labels_are_folded():
    facts = make()
    facts["features"] = [facts["features"][0] | {"name": f"f{i}"} for i in range(60)]
    assert "and 20 more" in terminal(facts)
    assert "all 60 features" in page(facts)
    names = [f"t{i}" for i in range(8)]
    value = [[1.0 if i == j else 0.01 * (i + j) for j in range(8)] for i in range(8)]
    facts["correlation"] = {"names": names, "value": value, "rows": [[5] * 8] * 8}
    text = terminal(facts)
    assert "and 16 weaker" in text
    assert text.index("+0.13") < text.index("+0.12")


def test_bars_are_as_long_as_they_are_large():
    widths = re.findall(
        r"width:([\d.]+)%", bars([("a", {"train": (1.0, "1"), "test": (4.0, "4")}), ("b", {"train": (0.0, "0")})])
    )
    assert widths == ["25.00", "100.00"]
    assert re.findall(r"width:([\d.]+)%", bars([("a", {"train": (0.5, "")})], most=1.0)) == ["50.00"]


def test_spans_lie_on_one_line_of_time():
    drawn = spans([("train", 100, 106, "x"), ("test", 106, 108, "y")])
    assert re.findall(r"left:([\d.]+)%;width:([\d.]+)%", drawn) == [("0.00", "75.00"), ("75.00", "25.00")]
    assert spans([("train", 5, 5, "at once")])


def test_columns_of_a_histogram():
    drawn = histogram([0, 1, 2, 3], [4, 0, 2], "of x")
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)]
    assert len(heights) == 2
    assert heights[0] == pytest.approx(2 * heights[1])
    assert "0 to 1: 4 rows" in drawn
    drawn = histogram([-0.5, 1.5, 3.5], [4, 2], "of whole numbers", step=1.0)
    assert "0 to 1: 4 rows" in drawn
    assert ">3</text>" in drawn
    assert ">2: 5 rows" in histogram([1.5, 2.5], [5], "of one", step=1.0)


def test_the_matrix_is_coloured_by_strength_and_sign():
    drawn = matrix(["a", "b"], [[1.0, -0.5], [-0.5, 1.0]], [[3, 2], [2, 3]])
    assert drawn.count("var(--below) 28%") == 2
    assert "−0.50" in drawn
    assert "2 rows" in drawn


def test_cells_of_a_table():
    assert checked(table(["a", "b"], [["1", "2"]], left=2, wrap=(1,))).words == ["a", "b", "1", "2"]
    assert percent(0.00004) == "0.004%"
