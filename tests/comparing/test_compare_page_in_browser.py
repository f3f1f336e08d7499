"""The comparison's page in a real browser: it draws, filters, sorts, remembers, fits, and is not to be broken into."""

import pytest

from comparing.chromium import chromium, started
from comparing.compared_pages import COLUMNS, EVIL, Pages, address, charts, choose, click, rows
from comparing.made_comparison import large_comparison, small_comparison

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return Pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with started(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(browser):
    """The tab, wide and light; at the end nobody has complained or asked the network for anything."""
    browser.complaints.clear()
    browser.asked.clear()
    browser.screen(1280, 900)
    yield browser
    assert browser.complaints == []
    assert {address.split(":")[0] for address in browser.asked} <= {"file", "data", "blob", "about"}


def by_score(metric, up):
    points = small_comparison()["points"]
    return [p["label"] for p in sorted(points, key=lambda p: p["metrics"][metric]["mean"], reverse=up)]


def test_every_panel_is_drawn(tab, pages):
    tab.open(pages["small"])
    drawn = charts(tab)
    named = ["dots:like/auc", "dots:rating/rmse", "curve:val/score", "curve:val/like/auc", "curve:val/rating/rmse"]
    assert list(drawn) == [*named, "front", "importance", "conflict:cosine", "conflict:share", "cost"]
    bands_and_lines = 12
    assert {name: given for name, (given, _) in drawn.items()} == {
        "dots:like/auc": 7,
        "dots:rating/rmse": 7,
        "front": 7,
        "importance": 1,
        "cost": 6,
        "curve:val/score": bands_and_lines,
        "curve:val/like/auc": bands_and_lines,
        "curve:val/rating/rmse": bands_and_lines,
        "conflict:cosine": 8,
        "conflict:share": 8,
    }
    assert all(seen == given for given, seen in drawn.values())
    assert tab.run("document.querySelectorAll('.parallel path.line').length") == 6
    assert len(tab.run(COLUMNS)) == 6
    assert tab.run("document.querySelectorAll('#table-runs tbody tr').length") == 18
    said = tab.run("document.body.innerText")
    for words in (
        *("17", "1 failed", "6 of 6 points", "try a smaller optimizer.lr", "Found by a forest of trees"),
        *(
            "1 run of another data set",
            "floors off the scale: constant 0.5000",
            "soft_sharing · fm is best on like/auc",
        ),
    ):
        assert words in said
    names = tab.run("[...document.querySelectorAll('section')].every((each) => each.getAttribute('aria-labelledby'))")
    assert names


def test_the_table_says_what_the_comparison_says(tab, pages):
    tab.open(pages["small"])
    comparison = small_comparison()
    cells = tab.run(
        "Object.fromEntries([...document.querySelectorAll('#table-scores tbody tr')].map((row) => "
        "[row.querySelector('.label').textContent, "
        "[...row.cells].map((cell) => [cell.innerText, Boolean(cell.querySelector('b'))])]))"
    )
    for point in comparison["points"]:
        (auc, bold), delta_m = cells[point["label"]][2], cells[point["label"]][5][0]
        own = point["metrics"]["like/auc"]
        assert f"{own['mean']:.4f} ± {own['se']:.4f}" in auc
        assert bold == own["best"]
        assert auc.startswith("≈") == own["within_noise"]
        if point["baseline"]:
            assert (delta_m, "%" in auc) == ("–", False)
        else:
            assert f"{own['delta']:+.2f} %" in auc.replace("−", "-")
            assert delta_m == f"{point['delta_m']['mean']:+.2f} ± 0.06"


def test_sorting_by_a_column(tab, pages):
    tab.open(pages["small"])
    assert rows(tab) == by_score("like/auc", up=True)
    click(tab, "[id='sort-scores-rating/rmse']")
    assert rows(tab) == by_score("rating/rmse", up=False)
    assert "scores.sort=rating/rmse" in address(tab)
    click(tab, "[id='sort-scores-rating/rmse']")
    assert rows(tab) == by_score("rating/rmse", up=True)
    assert tab.run("document.querySelector('#table-scores [aria-sort]').getAttribute('aria-sort')") == "descending"
    click(tab, "#sort-runs-state")
    click(tab, "#sort-runs-state")
    assert tab.run("document.querySelector('#table-runs tbody td').innerText") == "failed"


def test_filters_act_on_all_panels_and_stay_in_the_address(tab, pages):
    tab.open(pages["small"])
    click(tab, "[data-key='backbone'][data-value='fm']")
    click(tab, ".chip[data-point='5']")
    left = ["hard_sharing · fm", "single_task · fm"]
    everywhere = (
        "[[...document.querySelectorAll('#table-runs tbody .label')].map((each) => each.textContent), "
        "document.querySelectorAll('.parallel path.line').length, document.getElementById('shown').textContent]"
    )

    def check():
        assert rows(tab) == left
        assert sorted(tab.run(COLUMNS)) == left
        labels, lines, count = tab.run(everywhere)
        assert set(labels) == set(left)
        assert (lines, count) == (2, "2 of 6 points")
        given = {name: number for name, (number, _) in charts(tab).items()}
        assert given["dots:like/auc"] == 3
        assert given["curve:val/score"] == 4
        assert (given["front"], given["cost"], given["conflict:cosine"]) == (3, 2, 2)

    check()
    kept = tab.run("location.href")
    assert "f.backbone=fm" in address(tab)
    tab.load(kept)
    check()
    assert tab.run("document.querySelector(\"[data-key='backbone'][data-value='fm']\").checked")
    click(tab, "#reset")
    assert len(rows(tab)) == 6
    assert tab.run("location.hash") == ""
    tab.do(
        "const box = document.getElementById('choose-q'); box.value = 'SOFT fm'; box.dispatchEvent(new Event('input'))"
    )
    assert rows(tab) == ["soft_sharing · fm"]
    tab.do("location.hash = '#q=nothing+like+it'")
    assert "No point passes the filters." in tab.run("document.getElementById('scores').innerText")


def test_choices_are_kept_and_keep_the_focus(tab, pages):
    tab.open(pages["small"])
    choose(tab, "curve", "train-loss")
    assert [name for name in charts(tab) if name.startswith("curve")] == [
        "curve:train/loss",
        "curve:train/like/loss",
        "curve:train/rating/loss",
    ]
    assert tab.run("document.activeElement.id") == "choose-curve"
    choose(tab, "band", "none")
    choose(tab, "front.x", "like/log_loss")
    choose(tab, "cost.x", "parameters")
    choose(tab, "metrics", "all")
    choose(tab, "importance", "rating/rmse")
    click(tab, "[id='choose-curves.late']")

    def check():
        assert charts(tab)["curve:train/loss"] == [6, 6]
        script = "document.querySelector(\"[data-chart='{}']\").layout.xaxis.title.text"
        assert tab.run(script.format("front")) == "like/log_loss (less is better)"
        assert tab.run(script.format("cost")) == "parameters"
        assert tab.run("Math.min(...document.querySelector(\"[data-chart='curve:train/loss']\").data[0].x)") == 11
        assert tab.run("document.querySelectorAll('#table-scores thead th').length") == 8
        assert "Nothing can be said for rating/rmse" in tab.run("document.getElementById('importance').innerText")

    check()
    tab.open(tab.run("location.href"))
    check()


def test_an_address_that_names_nothing_is_no_harm(tab, pages):
    tab.open(
        pages["small"] + "#curve=zz&front.x=a&cost.y=b&scores.sort=q-&theme=green&f.zz=1&r.zz=1~2&r.x=a~b"
        "&f.__proto__=1&__proto__=2&r.__proto__=1~2&hide=nobody"
    )
    assert rows(tab) == []  # a setting that no point has: nothing passes
    click(tab, "#reset")
    assert len(rows(tab)) == 6
    assert len(charts(tab)) == 10


def test_the_front_is_that_of_the_comparison(tab, pages):
    for name, comparison in (("small", small_comparison()), ("search", large_comparison(8))):
        tab.open(pages[name])
        about = tab.run("document.querySelector(\"[data-chart='front']\").getAttribute('aria-label')")
        first = comparison["fronts"][0]
        labels = [point["label"] for point in comparison["points"] if point["id"] in first["points"]]
        assert set(about.split("on the front: ")[1].split(", ")) == set(labels)
        filled = (
            "document.querySelector(\"[data-chart='front']\").data.filter((each) => each.marker?.size === 12).length"
        )
        assert tab.run(filled) == len(labels) < len(comparison["points"])


def test_dark_by_the_system_and_by_the_button(tab, pages):
    look = """[getComputedStyle(document.body).backgroundColor,
        document.querySelector(".chart .xtick text").style.fill,
        document.querySelector(".chart").data[1].marker.color]"""
    tab.open(pages["small"])
    light = tab.run(look)
    assert light == ["rgb(249, 249, 247)", "rgb(82, 81, 78)", "#9294c2"]
    tab.screen(1280, 900, dark=True)
    tab.drawn()
    dark = tab.run(look)
    assert dark == ["rgb(13, 13, 13)", "rgb(195, 194, 183)", "#9cf9fc"]
    click(tab, "#theme")
    assert tab.run(look) == light
    assert "theme=light" in address(tab)
    tab.screen(1280, 900)
    click(tab, "#theme")
    assert tab.run(look) == dark


def test_on_paper_it_is_light_and_fits(tab, pages):
    tab.open(pages["small"] + "#theme=dark")
    tab.do("dispatchEvent(new Event('beforeprint'))")
    boxes = "[...document.querySelectorAll('.chart, .parallel')]"
    wide = f"Math.max(...{boxes}.map((box) => box.getBoundingClientRect().width))"
    assert tab.run(wide) <= 700
    assert tab.run("document.querySelector('.chart .xtick text').style.fill") == "rgb(82, 81, 78)"
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(249, 249, 247)"
    tab.do("dispatchEvent(new Event('afterprint'))")
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(13, 13, 13)"


@pytest.mark.parametrize("name", ["small", pytest.param("large", marks=pytest.mark.slow), "evil"])
def test_a_narrow_screen_needs_no_scrolling_sideways(tab, pages, name):
    tab.screen(390, 844)
    tab.open(pages[name])
    assert tab.run("document.documentElement.scrollWidth") == 390
    beyond = """[...document.querySelectorAll("body *")].filter((each) => !each.closest(".frame, .skip, svg, .main-svg")
        && each.getBoundingClientRect().right > 391).map((each) => each.outerHTML.slice(0, 120))"""
    assert tab.run(beyond) == []
    tab.do("document.querySelectorAll('details.pick').forEach((each) => (each.open = true))")
    assert tab.run("document.documentElement.scrollWidth") == 390
    axes = "[...document.querySelectorAll('.parallel path.axis')].map((each) => each.getBoundingClientRect().toJSON())"
    assert all(axis["width"] > 200 and axis["height"] < 3 for axis in tab.run(axes))  # they lie, upright ones stand


def test_names_cannot_break_in(tab, pages):
    tab.open(pages["evil"])
    click(tab, ".chip[data-point='0']")
    assert tab.run("typeof stolen") == "undefined"
    assert tab.run("document.querySelectorAll('img, main script, iframe, main [onerror]').length") == 0
    assert tab.run("document.querySelectorAll('a[href^=\"javascript\"]').length") == 0
    assert "javascript:stolen=1" in tab.run("document.getElementById('runs').innerText")
    assert tab.run("document.querySelector('h1').textContent").endswith(EVIL)
    assert tab.run(COLUMNS)[-1].endswith(EVIL)
    # Charts draw a name as it is written, where plotly would make it bold.
    drawn = '[...document.querySelectorAll(".chart .annotation-text, .chart .ytick")].map((each) => each.textContent)'
    assert len([each for each in tab.run(drawn) if each.startswith("soft_sharing · fm<b>b</b>")]) == 3


def test_rows_as_a_file(tab, pages):
    tab.open(pages["evil"])
    tab.run("window.kept = []; URL.createObjectURL = (blob) => (kept.push(blob.text()), 'blob:x')")
    tab.run("HTMLAnchorElement.prototype.click = () => 0")
    tab.run("document.getElementById('csv-scores').click(); document.getElementById('csv-runs').click()")
    scores, runs = tab.run("Promise.all(kept)")
    lines = scores.removeprefix("\ufeff").splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("point,model,")
    assert len(runs.splitlines()) == 19
    quoted = EVIL.replace('"', '""')
    assert f'"soft_sharing · fm{quoted}"' in scores


@pytest.mark.slow
def test_a_large_comparison(tab, pages):
    tab.open(pages["large"])
    drawn = charts(tab)
    assert len([name for name in drawn if name.startswith("dots")]) == 5
    assert drawn["curve:val/click/auc"][0] == 20  # the ten best, a band and a line each
    assert drawn["dots:click/auc"][0] == 25  # the best 24 and the rings of single seeds
    click(tab, "[id='choose-curves.all']")
    assert charts(tab)["curve:val/click/auc"][0] == 100
    looks = """[...document.querySelectorAll("#legend .swatch")].map((each) => [...each.children]
        .map((part) => ["d", "fill", "stroke", "stroke-dasharray"].map((name) => part.getAttribute(name))).join())"""
    found = tab.run(looks)
    assert len(set(found)) == len(found) == 50
    assert tab.run("document.querySelectorAll('.parallel path.line:not(.off)').length") == 50


def test_a_range_over_an_axis(tab, pages):
    """By the pointer and by keys; points outside stay as shades, and everywhere else they are gone."""
    tab.open(pages["search"])
    tab.run("document.getElementById('parallel').scrollIntoView({block: 'center'})")
    box = tab.run("document.querySelector(\"[id='axis-optimizer.lr'] .brush\").getBoundingClientRect().toJSON()")
    middle = box["x"] + box["width"] / 2
    mouse = {"x": middle, "button": "left", "clickCount": 1}
    tab.call("Input.dispatchMouseEvent", type="mousePressed", y=box["y"] + 0.02 * box["height"], **mouse)
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", y=box["y"] + 0.5 * box["height"], **mouse)
    tab.call("Input.dispatchMouseEvent", type="mouseReleased", y=box["y"] + 0.5 * box["height"], **mouse)
    tab.drawn()
    least, most = map(float, address(tab).split("r.optimizer.lr=")[1].split("&")[0].split("~"))
    inside = [p for p in large_comparison(8)["points"] if least <= p["settings"]["optimizer.lr"] <= most]
    assert 0 < len(inside) < 8
    assert sorted(rows(tab)) == sorted(p["label"] for p in inside)
    assert tab.run("document.querySelectorAll('.parallel path.line:not(.off)').length") == len(inside)
    assert tab.run("document.querySelectorAll('.parallel path.line').length") == 8
    key = "document.getElementById('axis-optimizer.lr')"
    tab.do(f"{key}.focus(); {key}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'Escape'}}))")
    assert len(rows(tab)) == 8
    assert tab.run("document.activeElement.id") == "axis-optimizer.lr"
    for _ in range(2):
        tab.do(f"{key}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'ArrowUp'}}))")
    assert 0 < len(rows(tab)) < 8
    tab.do("document.getElementById('pick-model-ple').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))")
    assert all(label.startswith("ple") for label in rows(tab))
    assert "f.model=ple" in address(tab)


def test_little_and_nothing_to_compare(tab, pages):
    tab.open(pages["bare"])
    said = tab.run("document.body.innerText")
    for words in ("These runs logged no curves.", "takes two metrics", "have the same settings", "There is one point"):
        assert words in said
    assert "did not log the gradients" in said
    assert list(charts(tab)) == ["dots:like/auc", "cost"]
    tab.open(pages["empty"])
    assert "No run has a score yet" in tab.run("document.body.innerText")
    assert charts(tab) == {}
