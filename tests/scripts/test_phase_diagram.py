"""The map of when sharing helps: its worlds are as it says, its verdicts follow from the runs, and it goes on."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import phase_diagram
import phase_map
import phase_runs
from phase_diagram import RareTask
from phase_runs import Grid, Run, runs
from phase_verdict import judge, shown, table
from taskloom.data.readers.synthetic_truth import area

SMALL = {"users": 200, "items": 100, "rows": 40_000}


def world(labels: int = 1000, **options: float) -> dict[str, pl.DataFrame]:
    log = RareTask(labels, **SMALL, **options).log()  # type: ignore[arg-type]
    return {part: log.filter(pl.col("part") == part) for part in ("train", "val", "test")}


@pytest.mark.parametrize("relatedness", [-1.0, 0.0, 0.5, 1.0])
def test_both_tasks_have_one_law_and_the_wanted_correlation(relatedness: float) -> None:
    found = pl.concat(world(15_000, relatedness=relatedness).values())
    odds = np.log(found["true_click"] / (1 - found["true_click"]))
    assert np.corrcoef(odds, found["true_log_dwell"])[0, 1] == pytest.approx(relatedness, abs=0.05)
    assert found["rare"].mean() == pytest.approx(found["click"].mean(), abs=0.02)
    best = [area(found[name].to_numpy(), found[by].to_numpy()) for name, by in TRUTH.items()]
    assert best[0] == pytest.approx(best[1], abs=0.02)
    # Given the scores, the outcomes are independent of each other: where both are the same, so is what they tell.
    assert best[1] > 0.78


TRUTH = {"click": "true_click", "rare": "true_log_dwell"}


def test_labels_are_missing_and_wrong_in_training_alone() -> None:
    few, many, clean = world(1000, label_noise=0.2), world(3000, label_noise=0.2), world(3000)
    sizes = {part: (len(rows), rows["rare"].is_not_null().sum()) for part, rows in few.items()}
    assert sizes == {"train": (15_000, 1000), "val": (5000, 5000), "test": (20_000, 20_000)}
    had = few["train"]["rare"].is_not_null()
    assert few["train"]["rare"].filter(had).equals(many["train"]["rare"].filter(had))
    for part in ("val", "test"):
        assert few[part].select("user", *TRUTH).equals(clean[part].select("user", *TRUTH))
        assert few[part]["click"].equals(few[part]["clean_click"])
    for task in ("click", "rare"):
        there = many["train"].select(wrong=pl.col(task) != clean["train"][task])["wrong"].drop_nulls()
        assert there.mean() == pytest.approx(0.2, abs=0.03)
    both = many["train"].filter(pl.col("rare").is_not_null())
    truth = clean["train"].filter(pl.col("rare").is_not_null())
    click, rare = (np.asarray(both[task] != truth[task]) for task in ("click", "rare"))
    assert abs(np.corrcoef(click, rare)[0, 1]) < 0.06


def test_another_number_of_labels_is_another_world_to_the_store() -> None:
    assert RareTask(300).options()["labels"] == 300
    digests = [reader.digest(reader.acquire(None, "")) for reader in (RareTask(300), RareTask(301), RareTask(300))]
    assert digests[0] == digests[2] != digests[1]


def made_up(gains: dict[str, dict[float, float]], seeds: int = 3, spread: float = 0.001) -> list[Run]:
    """Runs whose gains scatter by so much over seeds, by scheme and relatedness."""
    found = []
    for relatedness in next(iter(gains.values())):
        for seed in range(seeds):
            level = 0.6 + 0.1 * seed  # worlds differ by far more than schemes do
            found.append(Run(0.0, relatedness, 300, seed, "single_task", level))
            for scheme, its in gains.items():
                luck = spread * (seed - (seeds - 1) / 2)
                found.append(Run(0.0, relatedness, 300, seed, scheme, level + its[relatedness] + luck))
    return found


def test_a_verdict_is_by_differences_within_worlds() -> None:
    cells = judge(
        made_up(
            {
                "hard_sharing": {-1.0: -0.05, 0.0: -0.02, 1.0: 0.05},
                "mmoe": {-1.0: -0.03, 0.0: 0.0005, 1.0: 0.02},
                "ple": {-1.0: -0.03, 0.0: 0.0, 1.0: 0.0495},
            }
        )
    )
    opposed, unrelated, same = (cells[0.0, r, 300] for r in (-1.0, 0.0, 1.0))
    assert (opposed.verdict, unrelated.verdict, same.verdict) == ("alone", "=", "hard")
    assert same.best == "hard_sharing"
    assert same.gains["hard_sharing"].mean == pytest.approx(0.05)
    assert same.gains["hard_sharing"].error == pytest.approx(0.001 / 3**0.5)
    # Luck is common to all schemes here, so that differences between them are exact.
    assert same.rivals == frozenset()
    assert unrelated.loses("hard_sharing")
    assert not unrelated.loses("ple")
    assert not same.loses("hard_sharing")
    assert same.alone == pytest.approx(0.7)
    # Student's t of 6 degrees of freedom at 1 - .05 / 2 / 3
    assert same.limit == pytest.approx(3.2875, abs=1e-3)


def test_families_within_noise_of_the_best_are_its_rivals() -> None:
    done = made_up({"hard_sharing": {1.0: 0.05}, "mmoe": {1.0: 0.02}, "stem": {1.0: 0.05}})
    jumpy = [replace(run, score=run.score + 0.01 * (run.seed - 1)) if run.scheme == "stem" else run for run in done]
    cell = judge(jumpy)[0.0, 1.0, 300]
    assert (cell.best, cell.rivals) in [("hard_sharing", frozenset({"tables"})), ("stem", frozenset({"hard"}))]


def test_the_variance_is_that_of_all_relatednesses() -> None:
    calm = made_up({"mmoe": {0.0: 0.004}}, spread=0.0)
    wild = [replace(run, relatedness=1.0) for run in made_up({"mmoe": {0.0: 0.004}}, spread=0.02)]
    cell = judge(calm + wild)[0.0, 0.0, 300]
    assert cell.gains["mmoe"].error == pytest.approx(0.02 / 2**0.5 / 3**0.5)
    assert cell.verdict == "="
    assert judge(calm)[0.0, 0.0, 300].verdict == "experts"


def test_a_cell_with_a_run_missing_has_no_verdict() -> None:
    done = made_up({"mmoe": {0.0: 0.004, 1.0: 0.02}})
    assert list(judge(done[1:])) == [(0.0, 1.0, 300)]
    assert judge([run for run in done if run.seed == 0]) == {}


def test_table_says_what_the_map_says() -> None:
    cells = judge(made_up({"hard_sharing": {0.0: -0.02, 1.0: 0.05}, "stem": {0.0: 0.0, 1.0: 0.02}}))
    assert list(table(cells)) == [
        "| noise | relatedness | labels | alone | `hard_sharing` | `stem` | verdict |",
        "|---|---|---|---|---|---|---|",
        "| 0 | 0 | 300 | .700 | −.020 ± .001* | .000 ± .001 | = |",
        "| 0 | 1 | 300 | .700 | +.050 ± .001* | +.020 ± .001* | hard |",
    ]


@pytest.mark.parametrize(("gain", "text"), [(0.0312, "+.031"), (-0.0049, "−.005"), (0.0004, ".000"), (-1.2, "−1.200")])
def test_gains_are_written_with_their_sign(gain: float, text: str) -> None:
    assert shown(gain) == text


def write(folder: Path, run: Run, state: str = "done", rows: int = 80_000) -> None:
    folder.mkdir(parents=True)
    reader = {"label_noise": run.noise, "relatedness": run.relatedness, "labels": run.labels, "rows": rows}
    config = {"data": {"reader": reader}, "seed": run.seed, "name": run.scheme}
    record = {"state": state, "config": config, "test": {"rare/auc": run.score}}
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")


def test_only_runs_of_the_grid_that_are_done_are_read(tmp_path: Path) -> None:
    run = Run(0.0, 0.5, 300, 1, "mmoe", 0.7)
    write(tmp_path / "sweep" / "a", run)
    write(tmp_path / "sweep" / "b", run, state="running")
    write(tmp_path / "sweep" / "c", run, rows=800)
    for number, other in enumerate(({"noise": 0.4}, {"relatedness": 0.3}, {"labels": 7}, {"seed": 9}, {"scheme": "x"})):
        write(tmp_path / "sweep" / str(number), replace(run, **other))  # type: ignore[arg-type]
    assert runs(tmp_path, Grid()) == [run]


def test_the_map_is_drawn_with_every_kind_of_cell(tmp_path: Path) -> None:
    done = made_up({"hard_sharing": {-1.0: -0.05, 0.0: -0.02, 1.0: 0.05}, "stem": {-1.0: -0.02, 0.0: 0.0, 1.0: 0.02}})
    path = tmp_path / "deep" / "map.png"
    phase_map.draw(judge(done), Grid(), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in path.parent.iterdir()] == ["map.png"]


def test_a_sweep_is_begun_continued_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import study

    asked: list[list[str]] = []
    monkeypatch.setattr(study, "train", lambda words: asked.append(list(words)))
    grid = Grid(noise=(0.2,), relatedness=(-0.5,), labels=(300,), seeds=(1, 2), schemes=("single_task", "mmoe"))
    sweep = tmp_path / "noise0.2_relatedness-0.5"
    phase_runs.train(tmp_path, grid, jobs=1)
    assert f"hydra.sweep.dir={sweep}" in asked[0]
    assert {"model=single_task,mmoe", "seed=1,2", "++data.reader.labels=300"} <= {*asked[0]}
    (sweep / "worlds").mkdir(parents=True)
    (sweep / "sweep.json").touch()
    phase_runs.train(tmp_path, grid, jobs=1)
    assert f"resume={sweep}" in asked[1]
    assert not (sweep / "worlds").exists()
    for seed in grid.seeds:
        for scheme in grid.schemes:
            write(sweep / f"{scheme}{seed}", Run(0.2, -0.5, 300, seed, scheme, 0.7))
    phase_runs.train(tmp_path, grid, jobs=1)
    assert len(asked) == 2


def test_what_it_cannot_do_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert phase_diagram.main([]) == 2
    assert phase_diagram.main(["draw", "colour=red"]) == 2
    assert "python scripts/phase_diagram.py run" in capsys.readouterr().err
    assert phase_diagram.main(["table", f"folder={tmp_path}"]) == 1
    assert "no cell of the map" in capsys.readouterr().err
