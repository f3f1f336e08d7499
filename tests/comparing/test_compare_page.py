"""The comparison's page as a file: self-contained, whole or not there, and nothing in it can become markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from comparing.made_comparison import large_comparison, small_comparison
from taskloom.comparing.page import SCRIPTS, write_page

EVIL = "</script><script>window.stolen=1</script><img src=x onerror='window.stolen=1'>\"&{{plotly}}\u2028 −é"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


def written(folder, comparison, name="compare.html"):
    write_page(comparison, folder / name)
    return (folder / name).read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Elements, what they load, and the text of each script."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.scripts, self.inside = [], [], [], False
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.loads += [value for name, value in attributes if name in ("src", "href", "action")]
        if tag == "script":
            self.scripts.append("")

        self.inside = tag == "script"

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data
        else:
            self.words += data


def embedded(text):
    return json.loads(re.search(r'<script type="application/json" id="comparison">(.*?)</script>', text, re.S)[1])


def test_nothing_is_loaded_from_anywhere(folder):
    page = written(folder, small_comparison())
    found = Reader(page)
    assert found.loads == ["#main"]
    assert len(found.scripts) == 3
    policy = next(each["content"] for tag, each in found.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    sums = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in found.scripts[1:]]
    assert all(f"'sha256-{each}'" in policy for each in sums)
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


def test_the_numbers_are_in_the_page(folder):
    comparison = small_comparison()
    found = embedded(written(folder, comparison))
    assert found["points"] == json.loads(json.dumps(comparison["points"]))
    assert [run["test"] for run in found["runs"]] == [run["test"] for run in comparison["runs"]]
    own, short = comparison["runs"][0]["curves"], found["runs"][0]["curves"]
    assert list(own) == list(short)
    for name in own:
        assert [epoch for epoch, _ in short[name]] == [epoch for epoch, _ in own[name]]
        assert [value for _, value in short[name]] == pytest.approx([value for _, value in own[name]], rel=1e-5)


def test_what_is_not_a_number_is_missing(folder):
    comparison = small_comparison()
    comparison["points"][0]["metrics"]["like/auc"]["se"] = float("nan")
    comparison["runs"][0]["seconds"] = float("inf")
    comparison["runs"][0]["curves"]["train/loss"] = [[1, float("nan")], [2, None], [3, 0.5]]
    found = embedded(written(folder, comparison))
    assert found["points"][0]["metrics"]["like/auc"]["se"] is None
    assert found["runs"][0]["seconds"] is None
    assert found["runs"][0]["curves"]["train/loss"] == [[1, None], [2, None], [3, 0.5]]


def test_names_and_reasons_are_text(folder):
    comparison = small_comparison()
    comparison |= {"title": EVIL, "notes": [EVIL]}
    comparison["points"][5]["label"] = EVIL
    comparison["runs"][0]["folder"] = EVIL + "\udce9"  # a name on the disk that is no text
    page = written(folder, comparison)
    found = Reader(page)
    assert len(found.scripts) == 3
    assert "img" not in {tag for tag, _ in found.tags}
    assert not any(name.startswith("on") for _, given in found.tags for name in given)
    assert "{{plotly}}" in found.words  # it is no place for a part of the page
    assert embedded(page)["points"][5]["label"] == EVIL
    assert "window.stolen" not in "".join(found.scripts[1:])


def test_the_page_is_there_whole_or_not_at_all(folder, monkeypatch):
    target = folder / "kept" / "compare.html"
    write_page(small_comparison(), target)
    before = target.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("taskloom.atomic.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_page(large_comparison(2), target)
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == ["compare.html"]


def test_the_time_is_said_in_utc(folder):
    page = written(folder, {**small_comparison(), "created": "2026-03-04T23:30:00-02:00"})
    assert "compared on 5 March 2026 at 01:30 UTC" in page


def test_every_part_of_the_page_is_in_it(folder):
    from importlib.resources import files

    there = {part.name for part in files("taskloom.comparing").joinpath("page").iterdir() if part.is_file()}
    assert there == {*(f"{name}.js" for name in SCRIPTS), "compare.html", "compare.css"}


# What eyes without one kind of cone make of linear RGB: Machado, Oliveira & Fernandes 2009, severity 1.
EYES = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
CONES = [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
LAB = [[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]]


@pytest.mark.parametrize("eyes", EYES)
def test_the_colours_of_points_keep_apart_for_all_eyes(folder, eyes):
    """The distance of any two in OKLab, where neighbouring shades of a good palette are 0.08 or more apart."""
    page = written(folder, small_comparison())
    palettes = re.findall(" ".join(rf"--c{i}: #(\w{{6}});" for i in range(8)), page)
    assert len(palettes) == 3  # light, dark by the system, dark by the button
    assert palettes[1] == palettes[2] != palettes[0]
    for palette in palettes[:2]:
        rgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)] for colour in palette])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen = np.cbrt(np.clip(linear @ np.transpose(EYES[eyes]), 0, 1) @ np.transpose(CONES)) @ np.transpose(LAB)
        apart = np.linalg.norm(seen[:, None] - seen, axis=-1)
        assert apart[np.triu_indices(8, 1)].min() > 0.08
