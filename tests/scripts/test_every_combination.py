"""The run over all combinations goes on where it was, and tells what does not hold."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import every_combination


def test_it_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "found.jsonl"
    words = ["--jobs=1", "--only=esmm/mlp/ordinal", f"--file={file}"]
    assert every_combination.main(words) == 0
    said = capsys.readouterr().out
    assert "3 combinations, 3 to look at" in said
    assert "2 hold, 1 refused, 0 fail" in said
    lines = file.read_text().splitlines(keepends=True)
    # Killed in the middle of the last line: that one is looked at again.
    file.write_text("".join(lines[:2]) + lines[2][:20])
    assert every_combination.main(words) == 0
    assert "3 combinations, 1 to look at" in capsys.readouterr().out
    assert len(every_combination.read(file)) == 3


def test_what_fails_is_told_and_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "found.jsonl"
    one = ["hard_sharing", "mlp", "count", 2]
    file.write_text(json.dumps({"combination": one, "state": "fails", "reason": "AssertionError: shape"}) + "\n")
    assert every_combination.conclude(every_combination.read(file)) == 1
    assert "fails: hard_sharing/mlp/count/2: AssertionError: shape" in capsys.readouterr().out
    assert every_combination.main(["--jobs=1", "--only=hard_sharing/mlp/count/2", f"--file={file}"]) == 0
    assert "1 combinations, 1 to look at" in capsys.readouterr().out


def test_it_tells_what_learnt_from_another_initialisation_only(capsys: pytest.CaptureFixture[str]) -> None:
    found = [{"combination": ["mmoe", "fm", "count", n], "state": "holds", "tries": n - 1} for n in (2, 3)]
    assert every_combination.conclude(found) == 0
    assert "1 of those that hold learnt" in capsys.readouterr().out
