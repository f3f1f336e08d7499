"""The made ratings have the layout that the reader takes, and the script says what preparing them took."""

import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import prepare_speed


def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ml-20m").mkdir()
    prepare_speed.write_ratings(tmp_path / "ml-20m", rows=5000)
    ratings = pl.read_csv(tmp_path / "ml-20m" / "ratings.csv")
    assert ratings.columns == ["userId", "movieId", "rating", "timestamp"]
    assert len(ratings) == 5000
    assert ratings["rating"].is_between(0.5, 5).all()
    prepare_speed.prepare(tmp_path, [])
    said = capsys.readouterr().out
    assert "prepared in" in said
    (store,) = (path for path in (tmp_path / "data" / "processed").iterdir() if not path.name.startswith("."))
    assert (store / "events.npy").is_file()
