"""The study of all members: a search on validation rows, finals, and a table; what is done is not done again."""

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import study
from study import STUDIES, Study, backbones, main, names, schemes

TINY = Study(
    ("data=movielens_100k", "tasks=[like,rating]", "method.epochs=1", "data.batch_size=64", "features.dim=8"),
    ("+data.split.sample=0.9",),
    ("optimizer.lr=tag(log,interval(1e-3,1e-2))",),
    ("like/auc", "rating/rmse"),
    ("fm", "mlp"),
)


def record(folder: Path, score: float, **params: float) -> None:
    """A trial that is done."""
    folder.mkdir(parents=True)
    trial = {"params": params, "values": {"val/score": score}}
    (folder / "run.json").write_text(json.dumps({"state": "done", "trial": trial}))


def test_schemes_take_the_backbones_that_validation_likes_best(tmp_path: Path) -> None:
    for name, score in (("mlp", 0.3), ("fm", 0.5), ("dcn_v2", 0.1), ("deepfm", 0.4), ("autoint", 0.2)):
        record(tmp_path / "search" / f"hard_sharing.{name}" / "trial-0000", score)
    found = {member.name: member for member in schemes(STUDIES["census_income"], tmp_path)}
    assert set(found) == set(names("model")) - {"hard_sharing", "esmm", "aitm", "pepnet"}
    assert all(member.space[0] == "backbone=choice(fm,deepfm)" for member in found.values())


def test_the_best_trial_is_the_one_with_the_highest_score(tmp_path: Path) -> None:
    member = backbones(TINY)[0]
    for number, score in enumerate((0.1, 0.3, 0.2)):
        record(tmp_path / "search" / member.name / f"trial-{number:04d}", score, lr=number)
    assert study.best_trial(tmp_path, member) == (["lr=1"], 0.3)
    with pytest.raises(SystemExit, match=r"hard_sharing\.mlp: no trial is done; run `search` first"):
        study.best_trial(tmp_path, backbones(TINY)[1])


def test_every_study_names_members_and_keys_that_there_are() -> None:
    for its in STUDIES.values():
        assert {member.name for member in backbones(its)} <= {f"hard_sharing.{name}" for name in names("backbone")}
    assert set(study.SCHEMES) <= set(names("model"))


def test_what_is_typed_wrongly_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["movielens_1m"], ["movielens_1m", "search"], ["nothing", "table"], ["interact", "tabel"]):
        assert main(words) == 2
        assert "python scripts/study.py movielens_1m" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_search_to_table(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    monkeypatch.setattr(study, "TRIALS", 2)
    monkeypatch.setattr(study, "SEEDS", (1, 2))
    monkeypatch.setattr(study, "BASE", (*study.BASE, f"paths.root={tmp_path}"))
    monkeypatch.setattr(study, "names", lambda group: ["hard_sharing", "single_task"])
    words = ["tiny", f"source={films}", f"folder={tmp_path / 'study'}", "jobs=1"]
    assert main([*words, "search", "final", "table"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    first = [line.split(" | ")[0] for line in lines]
    assert first[1] == "| floor: constant"
    assert first[-3] == "| `single_task`"
    assert {*first[-2:]} == {"| `hard_sharing.fm`", "| `hard_sharing.mlp`"}
    assert all(re.search(r"0\.\d{4} ± 0\.\d{4} \| [01]\.\d{4} ± ", line) for line in lines[-3:])
    # A search sees a part of the rows and no floors; finals see all of them.
    seen = [
        json.loads(file.read_text())["summary"][1]
        for step in ("search", "final")
        for file in sorted((tmp_path / "study" / "tiny" / step / "single_task").glob("*/run.json"))
    ]
    assert len({*seen[:2]}) == len({*seen[2:]}) == 1
    assert seen[0] != seen[2]
    # What is done is left alone.
    monkeypatch.setattr(study, "train", lambda words: pytest.fail(f"trains again: {words}"))
    assert main([*words, "search", "final", "table"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")] == lines
