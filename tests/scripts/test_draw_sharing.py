"""Every scheme has its drawing and its section, and what is drawn is what the script draws."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import draw_sharing
import members
from picture import WIDTH, Spot

DRAWN = draw_sharing.DRAWINGS
PAGE = (Path(__file__).resolve().parents[2] / "docs/models.md").read_text(encoding="utf-8")


def test_every_scheme_is_drawn_and_nothing_else() -> None:
    assert sorted(DRAWN) == members.names("model")
    assert {file.stem for file in draw_sharing.FOLDER.iterdir()} == set(DRAWN)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_the_drawing_is_the_scripts(name: str) -> None:
    drawn = DRAWN[name]().svg()
    assert (draw_sharing.FOLDER / f"{name}.svg").read_text(encoding="utf-8") == drawn
    # Of one size, on a card of its own, and told to those who do not see it.
    root = ElementTree.fromstring(drawn)
    assert (root.get("width"), root.get("height")) == ("420", "260")
    assert [child.tag.split("}")[1] for child in root] == ["title", "rect", "g"]
    assert len(root[0].text or "") > 40


def test_texts_stay_on_their_cards() -> None:
    """By a generous width of a letter; what fits does so in any sans-serif."""
    for name, draw in DRAWN.items():
        for text in ElementTree.fromstring(draw().svg()).iter("{http://www.w3.org/2000/svg}text"):
            x, width = float(text.get("x", 0)), 0.56 * float(text.get("font-size", 0)) * len(text.text or "")
            reach = {"start": (0, width), "end": (width, 0)}.get(str(text.get("text-anchor")), (width / 2, width / 2))
            assert x - reach[0] > 2, (name, text.text)
            assert x + reach[1] < WIDTH - 2, (name, text.text)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_a_section_shows_it_and_says_what_when_and_at_what_cost(name: str) -> None:
    (section,) = re.findall(rf"^### `{name}`\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert f"](images/sharing/{name}.svg)" in section
    for part in ("Choose it", "Cost: ", *([] if name == "single_task" else ["Source: "])):
        assert f"\n{part}" in section, part


def test_a_shape_is_left_at_its_edge() -> None:
    box, disc = Spot(100, 50, 40, 20, ""), Spot(0, 0, 20, 0, "")
    assert box.edge((100, 0)) == (100, 40)
    assert box.edge((400, 55)) == (120, 55)
    assert box.edge((400, 100)) == (112, 60)  # not at the corner
    assert disc.edge((0, 30)) == (0, 10)
