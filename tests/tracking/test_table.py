"""The final table: directions, the best, what is absent, the width, and the lines under it."""

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from taskloom.tracking.run_folder import RunFolder
from taskloom.tracking.table import TaskRows, closing_lines, closing_lines_of_sweep, print_results, results_table
from taskloom.tracking.wandb_local import link_to_sweep

TASKS = [
    TaskRows(
        "like",
        "binary",
        10_000,
        {
            "auc": True,
            "log_loss": False,
            "average_precision": True,
            "calibration_error": False,
            "gauc": True,
            "gauc_coverage": None,
        },
    ),
    TaskRows("rating", "regression", 9_500, {"rmse": False, "mae": False, "r2": True}),
]
TEST = {
    "like/auc": 0.79,
    "like/log_loss": 0.55,
    "like/gauc_coverage": 0.9,
    "rating/rmse": 0.92,
    "rating/r2": 0.3,
}
FLOORS = {
    "constant": {"like/auc": 0.5, "like/log_loss": 0.69, "rating/rmse": 1.12, "rating/r2": 0.0},
    "factorisation": {
        "like/auc": 0.8,
        "like/gauc_coverage": 0.95,
        "rating/rmse": 0.92001,
        "rating/r2": float("nan"),
    },
}


def printed(width: int | None = None) -> str:
    out = io.StringIO()
    if width is None:
        print_results("soft_sharing", TEST, FLOORS, TASKS, file=out)
    else:
        Console(file=out, width=width).print(results_table("soft_sharing", TEST, FLOORS, TASKS))
    return out.getvalue()


def cells(text: str, name: str, nth: int = 0) -> list[str]:
    return [line.split() for line in text.splitlines() if line.split()[:1] == [name]][nth][1:]


def test_a_file_gets_plain_text_with_a_star_for_the_best() -> None:
    text = printed()
    assert "\x1b" not in text
    assert "like · binary · 10,000 test rows" in text
    assert "rating · regression · 9,500 test rows" in text
    assert "AUC ↑" in text
    assert "RMSE ↓" in text
    assert cells(text, "soft_sharing") == ["0.7900", "0.5500*", "–", "–", "–", "0.9000"]
    assert cells(text, "factorisation") == ["0.8000*", "–", "–", "–", "–", "0.9500"]


def test_what_looks_the_same_is_equally_good() -> None:
    text = printed()
    assert cells(text, "soft_sharing", 1) == ["0.9200*", "–", "0.3000*"]
    assert cells(text, "factorisation", 1) == ["0.9200*", "–", "–"]


def test_the_model_comes_first_then_the_floors() -> None:
    first = [line.split()[0] for line in printed().splitlines() if line.strip()]
    names = [word for word in first if word in {"soft_sharing", *FLOORS}]
    assert names == ["soft_sharing", "constant", "factorisation"] * 2


def test_a_terminal_gets_bold() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system="standard")
    console.print(results_table("soft_sharing", TEST, FLOORS, TASKS))
    assert "\x1b[1m0.8000\x1b[0m" in out.getvalue()
    assert "\x1b[1m0.7900\x1b[0m" not in out.getvalue()


def test_eighty_columns_hold_every_number() -> None:
    text = printed(width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert cells(text, "soft_sharing") == ["0.7900", "0.5500", "–", "–", "–", "0.9000"]


def test_a_terminal_without_arrows_still_gets_its_table() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="latin-1")
    print_results("soft_sharing", TEST, FLOORS, TASKS, file=out)
    out.flush()
    assert b"0.8000*" in raw.getvalue()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": "done"}, "python src/evaluate.py run=logs/run"),
        ({"state": "failed"}, "python src/train.py resume=logs/run"),
        ({"state": "done"}, "python src/compare.py runs=logs/run"),
        ({"wandb": {"dir": "wandb/offline-run-1", "url": None}}, "wandb sync logs/run/wandb"),
        ({"wandb": {"dir": "wandb/offline-run-1", "url": None}}, "wandb leet logs/run/wandb"),
        ({"wandb": {"dir": "wandb/run-1", "url": "https://host/run"}}, "https://host/run"),
    ],
)
def test_the_lines_under_the_table_fit_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create(Path("logs/run"), {})
    folder.update(**changes)
    lines = closing_lines(folder)
    assert any(line.endswith(f"  {expected}") for line in lines), lines
    assert any(line.endswith("  logs/run") for line in lines)


def test_a_job_leaves_the_commands_about_all_jobs_to_the_end_of_its_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create(Path("logs/my sweep/seed-1"), {"sweep": {"folder": str(tmp_path / "logs/my sweep")}})
    folder.update(state="done", wandb={"dir": "wandb/offline-run-1", "url": None})
    job = " ".join(closing_lines(folder))
    assert "wandb" not in job
    assert "compare" not in job
    assert closing_lines_of_sweep(folder.path.parent) == [
        "sweep folder  logs/my sweep",
        "as a page     python src/compare.py 'runs=\"logs/my sweep\"'",
    ]
    made = folder.path / "wandb" / "offline-run-1"
    made.mkdir(parents=True)
    link_to_sweep(made, folder.path.parent)
    link_to_sweep(made, folder.path.parent)  # resumed in the same second
    assert closing_lines_of_sweep(folder.path.parent)[1:3] == [
        "W&B, offline     wandb sync 'logs/my sweep/.wandb'",
        "in the terminal  wandb leet 'logs/my sweep/.wandb'",
    ]
    assert (folder.path.parent / ".wandb" / "offline-run-1").resolve() == made


def test_a_job_named_after_its_overrides_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create(Path("model=soft_sharing,seed=1"), {})
    words = shlex.split(closing_lines(folder)[-1])
    override = OverridesParser.create().parse_override(words[-1])
    assert not override.is_sweep_override()
    assert override.value() == "model=soft_sharing,seed=1"


def test_notes_stand_between_the_table_and_the_run() -> None:
    out = io.StringIO()
    print_results("soft_sharing", TEST, FLOORS, TASKS, file=out, notes=["like: no verdict [on] 3 rows"])
    assert out.getvalue().rstrip("\n").endswith("\nlike: no verdict [on] 3 rows")
    assert "like: no" not in printed()
