"""The picture is made for one epoch and for many, for any number of tasks, and shows the right points."""

from pathlib import Path

import pytest

from taskloom.errors import RunError
from taskloom.tracking import curves
from taskloom.tracking.curves import draw_curves
from taskloom.tracking.metrics_file import MetricsFile
from taskloom.tracking.run_folder import RunFolder


def trained(path: Path, epochs: int, tasks: list[str]) -> RunFolder:
    config = {
        "name": "soft_sharing",
        "data": {"name": "movielens_100k"},
        "backbone": {"_target_": "taskloom.x.FM"},
    }
    folder = RunFolder.create(
        path,
        {
            "config": config,
            "main_metrics": {task: {"metric": "auc", "higher_is_better": True} for task in tasks},
        },
    )
    logger = MetricsFile(folder.metrics)
    for epoch in range(epochs):
        values = {f"val/{task}/{metric}": 0.7 for task in tasks for metric in ("gauc", "auc")}
        logger.log_metrics({"val/score": -abs(epoch - 1.0), **values, "epoch": epoch}, step=epoch * 10 + 9)
        logger.log_metrics({"train/loss": 1.0 / (epoch + 1), "epoch": epoch}, step=epoch * 10 + 9)
    logger.log_metrics({"like/auc": 0.8, "epoch": epochs}, step=epochs * 10)
    return folder


@pytest.mark.parametrize(("epochs", "n_tasks"), [(1, 1), (3, 7)])
def test_a_picture_for_any_number_of_epochs_and_tasks(tmp_path: Path, epochs: int, n_tasks: int) -> None:
    folder = trained(tmp_path / "run", epochs, [f"task_{i}" for i in range(n_tasks)])
    path = draw_curves(folder.path)
    assert path == folder.path / "curves.png"
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert not list(folder.path.glob(".*partial*"))


def test_what_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list = []
    monkeypatch.setattr(curves, "_draw", lambda *arguments: seen.extend(arguments))
    draw_curves(trained(tmp_path / "run", 3, ["like"]).path)
    panels, title, _ = seen
    assert [(panel.title, panel.label) for panel in panels] == [
        ("training", "loss"),
        ("validation", "score"),
        ("like", "validation AUC"),
    ]
    assert panels[0].points == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert [panel.best for panel in panels] == [None, 2, 2]
    assert title == "soft_sharing · FM · movielens_100k"


def test_tasks_that_share_nothing_have_each_its_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list = []
    monkeypatch.setattr(curves, "_draw", lambda *arguments: seen.extend(arguments))
    folder = trained(tmp_path / "run", 3, ["like", "rating"])
    folder.update(best={"like": {"epoch": 0}, "rating": {"epoch": 2}})
    draw_curves(folder.path)
    assert [panel.best for panel in seen[0]] == [None, None, 1, 3]


def test_nothing_logged_is_a_sentence(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(RunError, match="train for an epoch before drawing"):
        draw_curves(folder.path)
