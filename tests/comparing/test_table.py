"""The table in a terminal: what it says, what its marks mean, and how it fits."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from taskloom.comparing.comparison import compare
from taskloom.comparing.directions import higher_is_better
from taskloom.comparing.summary import print_summary, write_summary
from taskloom.comparing.table import comparison_table, print_table
from taskloom.metrics.binary import binary_metrics
from taskloom.metrics.count import count_metrics
from taskloom.metrics.multiclass import multiclass_metrics
from taskloom.metrics.multilabel import multilabel_metrics
from taskloom.metrics.ordinal import ordinal_metrics
from taskloom.metrics.regression import regression_metrics
from taskloom.sweeping.ledger import Ledger

NEAR, FAR = (0.80, 0.81, 0.82), (0.70, 0.705, 0.71)


def printed(comparison, width: int = 200) -> str:
    out = io.StringIO()
    print_table(comparison, out, width)
    return out.getvalue()


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.fixture
def three(make_run):
    """soft is best; single is behind it on each seed; hard is about as good."""
    scores = {"soft_sharing": NEAR, "hard_sharing": (0.801, 0.808, 0.821), "single_task": FAR}
    return [
        make_run(f"{m}{s}", f"model={m}", seed=s, auc=auc, rmse=0.9 + s / 100, created=f"2026-{n}{s}")
        for n, (m, values) in enumerate(scores.items())
        for s, auc in enumerate(values, 1)
    ]


def test_rows_marks_and_legend(three) -> None:
    lines = rows(printed(compare(three)))
    assert "model n like/auc ↑ rating/rmse ↓ Δm % val/score ↑ rows/s" in lines
    assert "soft_sharing 3 0.8100 ± 0.0058* 0.9200 ± 0.0058* +7.45 ± 0.17 0.4000 ± 0.0000* 50,200" in lines
    assert "hard_sharing 3 0.8100 ± 0.0059* 0.9200 ± 0.0058* +7.45 ± 0.19 0.4000 ± 0.0000* 50,200" in lines
    assert "single_task 3 0.7050 ± 0.0029 0.9200 ± 0.0058* baseline 0.4000 ± 0.0000* 50,200" in lines
    assert "floor: constant 0.5000 1.1190 – – –" in lines
    legend = next(line for line in lines if line.startswith("mean ±"))
    assert legend == (
        "mean ± standard error over seeds, test rows · * best · "
        "Δm: mean over tasks of the gain over single_task, + is better"
    )


def test_within_noise_is_marked_and_explained(make_run) -> None:
    scores = {"soft_sharing": (0.80, 0.81, 0.82), "hard_sharing": (0.801, 0.803, 0.821), "single_task": FAR}
    folders = [make_run(f"{m}{s}", f"model={m}", seed=s, auc=x) for m, v in scores.items() for s, x in enumerate(v)]
    found = compare(folders)
    marks = {point["label"]: point["metrics"]["like/auc"] for point in found["points"]}
    assert marks["soft_sharing"]["best"]
    assert marks["hard_sharing"]["within_noise"]
    assert marks["hard_sharing"]["p"] > 0.05
    assert not marks["single_task"]["within_noise"]
    assert marks["single_task"]["p"] < 0.05
    text = printed(found)
    assert "0.8083 ± 0.0064≈" in text
    assert "≈ not told apart from the best (t-test, paired where seeds are the same, Holm, 5 %)" in text


def test_the_best_has_a_direction_and_is_of_its_own_data_and_tasks(make_run) -> None:
    folders = [
        make_run("a", "model=soft_sharing", auc=0.8, rmse=0.9, score=0.4),
        make_run("b", "model=hard_sharing", auc=0.7, rmse=1.0, score=0.3),
        make_run("c", "tasks=[like]", auc=0.6, rmse=None, score=0.9),
        *(make_run(f"{m}_1m", f"model={m}_sharing", "data=movielens_1m", auc=0.5) for m in ("soft", "hard")),
    ]
    found = compare(folders)
    names = {run["id"]: Path(run["folder"]).name for run in found["runs"]}
    for metric, best in (("like/auc", "ahs"), ("rating/rmse", "ahs"), ("val/score", "ahs")):
        points = [point for point in found["points"] if metric in point["metrics"]]
        assert {names[p["runs"][0]][0] for p in points if p["metrics"][metric]["best"]} == set(best), metric


def test_one_seed_says_nothing_and_the_table_says_so(make_run) -> None:
    folders = [make_run(m, f"model={m}", auc=auc) for m, auc in (("soft_sharing", 0.8), ("hard_sharing", 0.7))]
    text = printed(compare(folders))
    assert "0.8000*" in text
    assert "0.7000?" in text
    assert "? too few seeds to tell" in text
    assert "≈" not in text


def test_one_run_has_no_error(make_run) -> None:
    legend = printed(compare([make_run("a", auc=0.8)]))
    assert "one run each, test rows" in legend
    assert "±" not in legend


def test_all_runs_together_bear_no_model_s_name(three) -> None:
    assert [point["label"] for point in compare(three, by=[])["points"]] == ["all runs"]
    assert compare(three[:3], by=[])["points"][0]["label"] == compare(three[:1])["points"][0]["label"] == "soft_sharing"


def test_no_metrics_named_are_the_main_ones(three) -> None:
    assert compare(three, metrics=[])["shown"] == compare(three)["shown"]


def test_a_terminal_s_lines_end_between_words(three, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in printed(compare(three), 80).splitlines()]
    begin = next(n for n, line in enumerate(lines) if line.startswith("mean ±"))
    assert " ".join(line.strip() for line in lines[begin : begin + 2]).endswith(
        "the gain over single_task, + is better"
    )
    assert max(map(len, lines)) <= 80


def test_bold_instead_of_stars_in_a_terminal(three) -> None:
    comparison = compare(three)
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=200)
    console.print(comparison_table(comparison, comparison["shown"], mark=False))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "*" not in text
    assert "\x1b[1m0.8100 ± 0.0058" in text
    assert "\x1b[1m0.7050" not in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
def test_it_fits(three, width: int) -> None:
    text = printed(compare(three), width)
    table = text.split("mean ±")[0].splitlines()
    assert max(map(len, table)) <= width
    points = [line.index(".") for line in table if "0.8100 ±" in line or "0.7050 ±" in line]
    assert points == [points[0]] * 3  # digits stand below each other
    assert "…" not in text
    for wanted in ("soft_sharing", "0.8100 ± 0.0058", "0.9200 ± 0.0058", "+7.45 ± 0.17", "floor: constant", "1.1190"):
        assert wanted in text
    assert ("rows/s" in text) == (width >= 120)
    assert ("model  " in text) == (width >= 80)  # below, each configuration has lines of its own


def test_what_has_no_scores_is_told(make_run) -> None:
    folders = [make_run(f"a{s}", seed=s) for s in (1, 2)]
    folders += [make_run("a3", seed=3, state="failed", record={"reason": "no luck\nat all"})]
    folders += [make_run("a4", seed=4, state="running"), make_run("a5", seed=5, state="pruned")]
    folders += [make_run("b", "model=hard_sharing", state="failed", record={"reason": "the loss is not a number"})]
    found = compare(folders)
    lines = rows(printed(found))
    assert any(line.startswith("soft_sharing 2 of 5 0.8000 ± 0.0000") for line in lines)
    assert "hard_sharing 0 of 1 – – – –" in lines
    assert "2 of 6 runs failed and have no scores (such as a3: no luck)" in lines or any(
        "2 of 6 runs failed" in x for x in lines
    )
    assert "1 of 6 runs was killed and has no scores (a4)" in lines
    assert "1 of 6 runs was stopped early and has no scores (a5)" in lines
    assert [point["failed"] for point in found["points"]] in ([2, 1], [1, 2])


def test_nothing_is_done_yet(make_run) -> None:
    lines = rows(printed(compare([make_run("a", state="failed")])))
    assert "soft_sharing 0 of 1" in lines


def test_a_metric_that_is_not_defined(make_run) -> None:
    text = printed(
        compare([make_run("a", "model=hard_sharing", auc=None), make_run("b", "model=soft_sharing", auc=0.7)])
    )
    assert re.search(r"hard_sharing\s+1\s+–", text)


def test_other_metrics_and_no_others(three) -> None:
    found = compare(three, metrics=["like/log_loss", "mae"])
    assert found["shown"] == ["like/log_loss", "rating/mae"]
    assert "model n like/log_loss ↓ rating/mae ↓ Δm % rows/s" in rows(printed(found))


def test_directions_are_those_of_the_metrics() -> None:
    specs = [
        *(binary_metrics(), regression_metrics(), ordinal_metrics((1.0, 2.0, 3.0)), count_metrics()),
        *(multiclass_metrics((0.0, 1.0, 2.0)), multilabel_metrics()),
    ]
    for name, spec in (item for each in specs for item in each.items()):
        assert higher_is_better(name) is spec.higher_is_better, name
    assert [higher_is_better(f"{name}@10") for name in ("ndcg", "recall", "mrr")] == [True] * 3
    assert higher_is_better("rankable") is None


class TestSummary:
    def test_files_of_a_sweep(self, three, tmp_path: Path) -> None:
        write_summary(compare(three), tmp_path)
        said = json.loads((tmp_path / "summary.json").read_text())
        assert said["higher_is_better"] == {"like/auc": True, "rating/rmse": False, "val/score": True}
        assert said["rows"][0]["settings"] == {"model": "soft_sharing"}
        assert said["rows"][0]["metrics"]["like/auc"]["values"] == list(NEAR)
        with (tmp_path / "summary.csv").open() as file:
            lines = list(csv.DictReader(file))
        assert [line["model"] for line in lines] == ["soft_sharing", "hard_sharing", "single_task", "", ""]
        assert [line["floor"] for line in lines][3:] == ["constant", "bias"]
        assert float(lines[0]["like/auc se"]) == pytest.approx(0.01 / 3**0.5)
        assert float(lines[0]["delta_m mean"]) == pytest.approx(7.446, abs=0.01)
        assert lines[2]["delta_m mean"] == ""

    def test_the_end_of_a_multirun(self, make_run, tmp_path: Path) -> None:
        ledger = Ledger.create(tmp_path / "sweep", ["-m", "seed=1,2"], "grid")
        ledger.add([(f"seed-{s}", [f"seed={s}"], f"seed={s}") for s in (1, 2, 3)])
        make_run("seed-1", under=ledger.path)
        out = io.StringIO()
        print_summary(ledger.path, out)
        assert "2 of the sweep's 3 jobs have no run yet (such as seed=2)" in out.getvalue()
        assert out.getvalue().endswith(f"as a page     python src/compare.py runs={ledger.path}\n")
        assert (ledger.path / "summary.csv").is_file()
