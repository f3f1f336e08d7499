"""Pages for the browser, good and bad ones, and what a person does with one."""

import json
from typing import ClassVar

from comparing.made_comparison import large_comparison, small_comparison
from taskloom.comparing.page import write_page

EVIL = "<b>b</b></script><script>stolen=1</script><img src=x onerror='stolen=1'><b>\"'&amp;%{x} −é"
EMPTY = {"created": "2026-11-22T00:10:00+00:00", "title": "none", "runs": [], "points": [], "floors": [], "metrics": {}}
ROWS = "[...document.querySelectorAll('#table-scores tbody tr .label')].map((each) => each.textContent)"
COLUMNS = "[...document.querySelectorAll('#table-differences thead .label')].map((each) => each.textContent)"


def evil_comparison():
    """Every text that a person or a run may choose, chosen badly."""
    text = json.dumps(small_comparison())
    for word in (
        "soft_sharing · fm",
        "mean of user and item",
        "model × backbone on movielens_100k",
        "paper",
        "backbone",
    ):
        text = text.replace(json.dumps(word)[1:-1], json.dumps(word + EVIL)[1:-1])
    text = text.replace("like/", json.dumps(EVIL.replace("/", "") + "/")[1:-1])
    found = json.loads(text)
    for run in found["runs"]:
        run |= {"folder": EVIL, "reason": EVIL, "wandb": "javascript:stolen=1", "state": EVIL, "name": EVIL}
    found["notes"] = [EVIL]
    return found


def bare_comparison():
    """One run of one task, without seeds to speak of, curves or floors."""
    made = small_comparison()
    run = {**made["runs"][0], "curves": {}, "test": {"like/auc": 0.7}, "settings": {}}
    own = {"mean": 0.7, "se": None, "std": None, "n": 1, "values": [0.7], "best": True, "within_noise": False}
    point = {**made["points"][0], "runs": [0], "settings": {}, "metrics": {"like/auc": own}}
    metrics = {"like/auc": made["metrics"]["like/auc"]}
    lists = {"floors": [], "keys": [], "importance": {}, "fronts": [], "notes": []}
    return {**made, **lists, "runs": [run], "points": [point], "metrics": metrics, "shown": ["like/auc"]}


class Pages:
    """Addresses of pages, each written when it is first asked for."""

    made: ClassVar = {
        "small": small_comparison,
        "search": lambda: large_comparison(8),
        "large": large_comparison,
        "evil": evil_comparison,
        "bare": bare_comparison,
        "empty": lambda: EMPTY,
    }

    def __init__(self, folder):
        self.folder = folder

    def __getitem__(self, name):
        path = self.folder / f"{name}.html"
        if not path.exists():
            write_page(self.made[name](), path)
        return path.as_uri()


def charts(tab):
    """The charts that stand in the page, with how many traces they were given and how many are drawn."""
    script = """Object.fromEntries([...document.querySelectorAll(".chart")].map((box) =>
        [box.dataset.chart, [box.data.length, box.querySelectorAll(".main-svg .trace").length]]))"""
    return tab.run(script)


def rows(tab, table="scores"):
    return tab.run(ROWS.replace("scores", table))


def click(tab, selector):
    tab.do(f"document.querySelector({json.dumps(selector)}).click()")


def choose(tab, name, value):
    select = f"document.getElementById('choose-{name}')"
    tab.do(
        f"{select}.focus(); {select}.value = {json.dumps(value)}; {select}.dispatchEvent(new Event('change'))",
    )


def address(tab):
    return tab.run("decodeURIComponent(location.hash)")
