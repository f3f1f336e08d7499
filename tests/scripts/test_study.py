"""The study of all members: a search on validation rows, finals, and a table; what is done is not done again."""

import doctest
import json
import math
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.image
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import study
import study_members
import study_record
import study_table
from study import STUDIES, Study, backbones, main, schemes
from study_members import names
from study_record import NotDoneError, Record
from study_table import table, write

TINY = Study(
    ("data=movielens_100k", "tasks=[like,rating]", "method.epochs=1", "data.batch_size=64", "features.dim=8"),
    ("+data.split.sample=0.9",),
    ("optimizer.lr=tag(log,interval(1e-3,1e-2))", "features.l2=interval(0.01,0.1)"),
    ("like/auc", "rating/rmse"),
    ("fm",),
    stronger=(1.0, 2.0),
)


def trial(lr: float, score: float) -> dict[str, Any]:
    return {"params": {"lr": lr}, "score": score, "rows_per_s": 1.0}


def add(record: Record, name: str, *scores: float) -> None:
    """Trials that are done."""
    record.add("search", name, ["words"], [trial(i, score) for i, score in enumerate(scores)])


def test_schemes_take_the_fastest_of_the_backbones_that_validation_likes() -> None:
    found = {
        "mlp": (0.3, 9.0),
        "fm": (0.5031, 4.0),
        "dcn_v2": (0.5033, 3.0),
        "deepfm": (0.504, 1.0),
        "autoint": (0.2, 5.0),
    }
    made = schemes(STUDIES["census_income"], lambda name: found[name.partition(".")[2]])
    members = {member.name: member for member in made}
    alone = {f"single_task.{task}" for task in ("income", "never_married", "college")}
    assert set(members) == set(names("model")) - {"hard_sharing", "esmm", "aitm", "pepnet", "single_task"} | alone
    assert all("backbone=fm" in member.chosen for member in members.values())
    found["fm"] = (0.5029, 4.0)
    one = schemes(STUDIES["census_income"], lambda name: found[name.partition(".")[2]], "mmoe")
    assert one[0].chosen[1] == "backbone=dcn_v2"
    found["mlp"] = (0.6, 0.1)
    one = schemes(STUDIES["census_income"], lambda name: found[name.partition(".")[2]], "mmoe")
    assert [(member.name, member.chosen) for member in one] == [("mmoe", ("model=mmoe", "backbone=mlp"))]


def test_a_study_may_name_its_schemes() -> None:
    made = [member.name for member in schemes(STUDIES["interact"], lambda name: (0.5, 1.0))]
    assert made == [
        *("single_task.interact", "single_task.rating"),
        *("soft_sharing", "mmoe", "ple", "cross_stitch", "stem"),
    ]


def test_the_best_trial_is_the_one_with_the_highest_score(tmp_path: Path) -> None:
    record = Record(tmp_path / "study.json")
    add(record, "hard_sharing.fm", 0.1, 0.3, 0.2)
    again = Record(record.file)
    assert again.best("hard_sharing.fm")["params"] == {"lr": 1}
    assert again.found("hard_sharing.fm") == (0.3, 1.0)
    with pytest.raises(NotDoneError, match=r"hard_sharing\.mlp: `search` is not done; run it first"):
        record.best("hard_sharing.mlp")


@pytest.mark.parametrize(("sample", "backbone"), [(("data.split.sample=0.2",), "fm"), ((), "mlp")])
def test_where_a_search_has_all_rows_the_runs_after_it_choose_the_backbone(
    sample: tuple[str, ...], backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record(tmp_path / "study.json")
    for name, searched, settled in (("fm", 0.5, (0.2, 0.3)), ("mlp", 0.4, (0.4, 0.3))):
        add(record, f"hard_sharing.{name}", searched)
        if not sample:
            with pytest.raises(NotDoneError, match=rf"hard_sharing\.{name}: `final` is not done; run it"):
                record.settled(f"hard_sharing.{name}")
        record.add("final", f"hard_sharing.{name}", ["words"], [trial(1, score) for score in settled])
    members = []
    monkeypatch.setitem(study.STEPS, "search", lambda its, member, *rest: members.append(member))
    its = replace(STUDIES["kuairand_subset"], search=sample, backbones=("fm", "mlp"))
    study.carry_out(["search"], its, record, tmp_path, "x", "mmoe", 1)
    assert [(member.name, member.chosen[1]) for member in members] == [("mmoe", f"backbone={backbone}")]


def test_a_record_keeps_what_another_process_added(tmp_path: Path) -> None:
    one, other = Record(tmp_path / "study.json"), Record(tmp_path / "study.json")
    add(one, "mmoe", 0.1)
    add(other, "ple", 0.2)
    add(one, "omoe", 0.3)
    assert [Record(one.file).found(name)[0] for name in ("mmoe", "ple", "omoe")] == [0.1, 0.2, 0.3]


def test_a_change_of_settings_begins_a_member_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, member = Record(tmp_path / "study.json"), backbones(TINY)[0]
    trained = []
    monkeypatch.setattr(study, "sweep", lambda place, words, source, jobs: trained.append(words))
    for trials in (12, 12, 13, 13):
        monkeypatch.setattr(study, "TRIALS", trials)
        study.search(TINY, member, record, tmp_path / "runs", "x", 1)
    assert ["hydra.sweeper.n_trials=12" in words for words in trained] == [True, False]


@pytest.mark.parametrize(
    ("peak", "most", "tried"),
    [
        (1.6, 5, [2, 4]),
        (1.1, 5, [2, 0.5]),
        (0.3, 5, [2, 0.5, 0.25, 0.125]),
        (0.1, 3, [2, 0.5, 0.25]),
        (6.0, 5, [2, 4, 8, 16]),
        (9.0, 1, [2]),
    ],
)
def test_a_penalty_is_sought_until_it_lies_between_two_others(peak: float, most: int, tried: list[float]) -> None:
    at: list[float] = []

    def attempt(factor: float) -> float:
        at.append(factor)
        return -abs(math.log2(factor / peak))

    study.climb(attempt, -abs(math.log2(peak)), low=1, high=2, most=most)
    assert at == tried


@pytest.mark.parametrize(
    ("least", "attempted", "chosen"),
    [
        (0.5, [0.4], 0.4),
        (0.35, [0.4, 0.3], 0.3),
        (0.12, [0.4, 0.3, 0.2, 0.14, 0.098], 0.098),
        (0.0, [0.4, 0.3, 0.2, *(0.2 * 0.7**n for n in range(1, 9))], None),
    ],
)
def test_a_penalty_with_which_a_seed_comes_to_nothing_is_passed_over(
    least: float,
    attempted: list[float],
    chosen: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With penalties from ``least`` on the third seed comes to nothing."""
    record, member = Record(tmp_path / "study.json"), backbones(TINY)[0]
    swept: dict[Path, tuple[float, list[int]]] = {}

    def sweep(place: Path, words: list[str], *rest: Any) -> None:
        given = dict(word.split("=", 1) for word in words)
        swept[place] = float(given["features.l2"]), [int(seed) for seed in given["seed"].split(",")]

    def runs(place: Path) -> list[dict[str, Any]]:
        penalty, seeds = swept[place]
        return [{"seed": seed, "score": penalty if seed < 3 or penalty < least else 0.0} for seed in seeds]

    def whole(run: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        return {**run, "params": params, "seconds": 3600}

    def promoted(penalty: float, score: float) -> dict[str, Any]:
        return whole({"seed": 1, "score": score}, {"optimizer.lr": 1e-3, "features.l2": penalty})

    monkeypatch.setattr(study, "sweep", sweep)
    monkeypatch.setattr(study, "runs", runs)
    monkeypatch.setattr(study, "whole", whole)
    monkeypatch.setattr(study, "NOTHING", 1e-3)
    record.add("search", member.name, ["words"], [{**promoted(0.4, 0.4), "rows_per_s": 1.0}])
    its = [promoted(0.3, 0.3), promoted(0.4, 0.4), promoted(0.8, 0.0), promoted(0.2, 0.2)]
    record.add("promote", member.name, ["words"], its)
    for _ in range(2):  # what is done is not done again
        study.final(TINY, member, record, tmp_path / "final" / member.name, "x", 1)
        assert [penalty for penalty, seeds in swept.values() if seeds == [2, 3]] == pytest.approx(attempted)
        found = record.runs("final", member.name)
        assert [run["params"]["features.l2"] for run in found] == pytest.approx([chosen] * 3 if chosen else [])
        assert [run["seed"] for run in found] == ([1, 2, 3] if chosen else [])
        n = len(attempted) - bool(chosen)
        assert len(record.members("dropped", of=member.name)) == n
        monkeypatch.setattr(study, "sweep", lambda *given: pytest.fail("trains again"))
    assert ("comes to nothing with each of 12 settings" in capsys.readouterr().err) is (chosen is None)
    monkeypatch.setattr(study_table, "lines", lambda *given: [])
    shown = table(TINY, record)
    assert chosen is None or f"features.l2={chosen:.3g}` |" in shown
    assert shown.endswith(f"; dropped {2 * n} runs, {2 * n:.1f} hours of one core." if n else "hours of one core.")


def test_speeds_are_taken_by_turns_with_the_setting_that_was_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, trained = Record(tmp_path / "study.json"), []

    def sweep(place: Path, words: list[str], *rest: Any) -> None:
        trained.append((place.parent.name, words))

    def runs(place: Path) -> list[dict[str, Any]]:
        speed = {"hard_sharing.mlp": 300.0, "hard_sharing.din": 100.0}[place.parent.name] + int(place.name)
        return [{"rows_per_s": speed, "machine": {"cpu": "Z80"}}]

    monkeypatch.setattr(study, "sweep", sweep)
    monkeypatch.setattr(study, "runs", runs)
    words = ["interact", "source=x", f"folder={tmp_path}", f"record={record.file}", "speed"]
    scored = {"test": {"interact/auc": 0.5, "rating/rmse": 1.0}, "parameters": 1, "floors": {}}
    for name in ("fm", "mlp", "din"):
        add(record, f"hard_sharing.{name}", 0.4)
    for name, lr in (("hard_sharing.mlp", 0.002), ("hard_sharing.din", 0.004)):
        its = {"params": {"optimizer.lr": lr}, "rows_per_s": 1.0, **scored}
        record.add("final", name, ["words"], [{**its, "seed": seed} for seed in (1, 2)])
    for _ in range(2):  # what is done is not done again
        assert main(words) == 0
        assert [name for name, _ in trained] == ["hard_sharing.mlp", "hard_sharing.din"] * study.ROUNDS
    given = dict(word.split("=", 1) for word in trained[0][1])
    assert len(given) == len(trained[0][1])  # hydra takes a key once
    assert (given["backbone"], given["optimizer.lr"], given["method.epochs"]) == ("mlp", "0.002", "3")
    lines = study_table.lines(STUDIES["interact"], Record(record.file))
    assert {line.name: line.speed for line in lines} == {"hard_sharing.mlp": 300.5, "hard_sharing.din": 100.5}


def test_another_sampler_searches_the_same_by_other_chances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    monkeypatch.setattr(study, "sweep", lambda place, words, source, jobs: trained.append(words))
    words = ["interact", "source=x", "only=hard_sharing.fm", "search", f"folder={tmp_path}"]
    for name, more in (("one", []), ("two", ["sampler=2"])):
        assert main([*words, f"record={tmp_path / name}.json", *more]) == 0
    one, two = trained
    assert [word for word in two if word not in one] == ["hydra.sweeper.seed=2"]
    assert {*one} < {*two}


def test_a_sweep_begun_with_other_settings_is_told(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps({"overrides": ["model=mmoe", "seed=1", "data.source=x"]}))
    with pytest.raises(SystemExit, match=r"was begun with other settings \(seed=1\); remove it"):
        study.sweep(tmp_path, ["model=mmoe", "seed=2"], "x", 1)


def test_every_study_names_members_and_keys_that_there_are() -> None:
    for its in STUDIES.values():
        assert {member.name for member in backbones(its)} <= {f"hard_sharing.{name}" for name in names("backbone")}
    assert set(study_members.SCHEMES) <= set(names("model"))


RECORDS = sorted((study.ROOT / "docs/studies").glob("*.json"))


@pytest.mark.parametrize("file", RECORDS, ids=[file.stem for file in RECORDS])
def test_the_page_of_results_has_what_the_record_says(file: Path, tmp_path: Path) -> None:
    page, again = study.ROOT / "docs/results.md", tmp_path / "results.md"
    shutil.copy(page, again)
    write(again, file.stem, table(STUDIES[file.stem], Record(file)))
    assert page.read_text() == again.read_text(), f"run: python scripts/study.py {file.stem} page"


def test_a_table_goes_between_two_comments(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- study it -->\nold\n<!-- end -->\nb\n")
    write(page, "it", "new\nrows")
    assert page.read_text() == "a\n<!-- study it -->\nnew\nrows\n<!-- end -->\nb\n"
    with pytest.raises(ValueError, match="has 0 places <!-- study other -->"):
        write(page, "other", "rows")


def test_each_task_of_the_baseline_is_searched_by_itself() -> None:
    made = schemes(STUDIES["movielens_1m"], lambda name: (0.5, 1.0), "single_task")
    assert {member.name: member.chosen[:2] for member in made} == {
        "single_task.like": ("model=single_task", "tasks=[like]"),
        "single_task.rating": ("model=single_task", "tasks=[rating]"),
    }
    interact = STUDIES["interact"]
    one = schemes(interact, lambda name: (0.5, 1.0), "single_task.rating")[0]
    assert [word for word in study.shared(interact, one) if word.startswith("tasks=")] == []


def test_what_another_step_has_to_do_first_is_told(tmp_path: Path) -> None:
    words = ["census_income", "source=x", f"record={tmp_path / 'none.json'}"]
    with pytest.raises(SystemExit, match=r"hard_sharing\.mlp: `search` is not done; run it first"):
        main([*words, "only=hard_sharing.mlp", "promote"])
    with pytest.raises(SystemExit, match=r"hard_sharing\.mlp: `promote` is not done; run it first"):
        main([*words, "only=hard_sharing.mlp", "final"])


@pytest.mark.parametrize("module", [study, study_record, study_table])
def test_the_examples_of_its_parts_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_what_is_typed_wrongly_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    again = ["movielens_1m", "source=x", "sampler=2", "folder=x", "search"]  # nothing says where its record is
    for words in ([], ["movielens_1m"], ["movielens_1m", "search"], ["nothing", "table"], ["interact", "tabel"], again):
        assert main(words) == 2
        assert "python scripts/study.py movielens_1m" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_search_to_table(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    monkeypatch.setattr(study, "TRIALS", 2)
    monkeypatch.setattr(study, "MOST", 4)  # each run is a process
    monkeypatch.setattr(study, "NOTHING", -9.0)  # one epoch of few rows need not come to anything
    monkeypatch.setattr(study, "BASE", (*study.BASE, f"paths.root={tmp_path}"))
    monkeypatch.setattr(study_members, "names", lambda group: ["hard_sharing", "single_task"])
    words = ["tiny", f"source={films}", f"folder={tmp_path / 'study'}", f"record={tmp_path / 'tiny.json'}", "jobs=1"]
    words += [f"picture={tmp_path / 'tiny.png'}"]
    assert main([*words, "search", "promote", "final", "table"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    *lines, _, one, two, three = lines  # behind them the settings
    assert all("`optimizer.lr=0." in line for line in (one, two, three))
    first = [line.split(" | ")[0] for line in lines]
    assert first[1] == "| floor: constant"
    assert first[-2:] == ["| `single_task`", "| `hard_sharing.fm`"]
    assert all(re.search(r"0\.\d{4} ± 0\.\d{4} \| [01]\.\d{4} ± ", line.replace("*", "")) for line in lines[-2:])
    # A search sees a part of the rows; what comes after it sees all of them.
    seen = [
        json.loads(file.read_text())["summary"][1]
        for step in ("search", "promote", "final")
        for file in sorted((tmp_path / "study" / "tiny" / step / "single_task.like").rglob("run.json"))
    ]
    assert 2 + 4 + 2 <= len(seen) <= 2 + study.MOST + 2
    assert len({*seen[:2]}) == len({*seen[2:]}) == 1
    assert seen[0] != seen[2]
    # The final runs are those of the promoted trial that validation rows like best.
    record = Record(tmp_path / "tiny.json")
    for name in ("single_task.like", "single_task.rating", "hard_sharing.fm"):
        promoted, runs = record.runs("promote", name), record.runs("final", name)
        assert [run["seed"] for run in (*promoted, *runs)] == [1] * len(promoted) + [1, 2, 3]
        assert runs[0]["score"] == max(run["score"] for run in promoted)
        assert all(run["params"] == runs[0]["params"] for run in runs)
        first = record.best(name)["params"]
        keys = ("optimizer.lr", "features.l2")
        rates, factors = zip(*([run["params"][key] / first[key] for key in keys] for run in promoted), strict=True)
        scores = [run["score"] for run in promoted]
        # The rest goes by the better of two rates, and on until the best penalty lies between two others.
        rate = 0.5 if scores[1] > scores[0] else 1
        assert rates == pytest.approx((1, 0.5, *[rate] * (len(scores) - 2)))
        assert factors[:3] == pytest.approx((1, 1, 2))
        at = dict(zip(factors[2:], scores[2:], strict=True)) | {1.0: max(scores[:2])}
        best = max(at, key=lambda factor: at[factor])
        assert min(at) < best < max(at) or len(scores) == study.MOST
    line = {found.name: found for found in study_table.lines(TINY, record)}["single_task"]
    like, rating = (record.runs("final", f"single_task.{task}") for task in ("like", "rating"))
    assert line.scores == [[run["test"]["like/auc"] for run in like], [run["test"]["rating/rmse"] for run in rating]]
    assert line.parameters == like[0]["parameters"] + rating[0]["parameters"]
    assert line.speed < min(run["rows_per_s"] for run in (*like, *rating))
    # What is done is left alone, with the run folders and, by the record, without them.
    monkeypatch.setattr(study, "train", lambda words: pytest.fail(f"trains again: {words}"))
    (tmp_path / "tiny.json").unlink()
    for folder in ("study", "none"):
        words[2] = f"folder={tmp_path / folder}"
        assert main([*words, "search", "promote", "final", "table", "draw"]) == 0
        again = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
        assert again == [*lines, "| member | validation score, search | all rows | chosen |", one, two, three]
        assert matplotlib.image.imread(tmp_path / "tiny.png").std() > 0
