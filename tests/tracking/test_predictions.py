"""What is written is what is read, and half a file is never there."""

from pathlib import Path

import polars as pl
import pytest
import torch

from taskloom.errors import RunError
from taskloom.tracking.predictions import read_predictions, write_predictions
from taskloom.tracking.run_folder import RunFolder

ROW, GROUP = torch.tensor([5, 3, 9]), torch.tensor([1, 1, 2])
TARGET = [torch.tensor([1.0, 0.0, 7.0]), torch.tensor([4.0, 2.0, 5.0])]
PREDICTION = [torch.tensor([0.9, 0.25, 0.5]), torch.tensor([3.5, float("nan"), 4.5])]
LABELLED = torch.tensor([[True, True], [True, True], [False, True]])


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {})


def test_round_trip(folder: RunFolder) -> None:
    path = write_predictions(folder, ["like", "rating"], ROW, GROUP, TARGET, PREDICTION, LABELLED)
    assert path == folder.path / "predictions" / "test.parquet"
    frame = read_predictions(folder)
    assert frame.columns == [
        "row",
        "user",
        "target_like",
        "prediction_like",
        "target_rating",
        "prediction_rating",
    ]
    assert frame["row"].to_list() == [5, 3, 9]
    assert frame["user"].to_list() == [1, 1, 2]
    assert frame["target_like"].to_list() == [1.0, 0.0, None]  # no label: not 7, whatever stood there
    assert frame["prediction_like"].to_list() == [pytest.approx(0.9), 0.25, 0.5]
    assert frame["target_rating"].to_list() == [4.0, 2.0, 5.0]
    assert frame["prediction_rating"].is_nan().to_list() == [False, True, False]
    assert frame["prediction_rating"].dtype == pl.Float32  # exactly what the model said


def test_a_task_of_several_columns(folder: RunFolder) -> None:
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    shares = torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.25, 0.5, 0.25]])
    write_predictions(
        folder,
        ["topics", "mood"],
        ROW,
        GROUP,
        [labels, torch.tensor([7.0, 8.0, 9.0])],
        [labels / 2, shares],
        LABELLED,
        [["topics_0", "topics_1"], ["mood_7", "mood_8", "mood_9"]],
    )
    frame = read_predictions(folder)
    assert frame.columns[2:] == [
        "target_topics_0",
        "target_topics_1",
        "prediction_topics_0",
        "prediction_topics_1",
        "target_mood",
        "prediction_mood_7",
        "prediction_mood_8",
        "prediction_mood_9",
    ]
    assert frame["target_topics_0"].to_list() == [1.0, 0.0, None]
    assert frame["prediction_topics_1"].to_list() == [0.0, 0.0, 0.5]
    assert frame["target_mood"].to_list() == [7.0, 8.0, 9.0]
    assert frame["prediction_mood_8"].to_list() == [0.25, 1.0, 0.5]


def test_a_failure_leaves_the_old_file(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_predictions(folder, ["like", "rating"], ROW, GROUP, TARGET, PREDICTION, LABELLED)
    before = path.read_bytes()

    def disk_full(frame: pl.DataFrame, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", disk_full)
    with pytest.raises(OSError, match="no space left"):
        write_predictions(folder, ["like", "rating"], ROW, GROUP, TARGET, PREDICTION, LABELLED)
    assert path.read_bytes() == before
    assert [file.name for file in folder.predictions.iterdir()] == ["test.parquet"]


def test_absent_and_damaged_are_sentences(folder: RunFolder) -> None:
    with pytest.raises(RunError, match="has no predictions"):
        read_predictions(folder)
    folder.predictions.mkdir()
    (folder.predictions / "test.parquet").write_bytes(b"half a file")
    with pytest.raises(RunError, match="is damaged"):
        read_predictions(folder)
