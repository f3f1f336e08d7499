"""The tables of docs/own_tables.md run with nothing but their YAML."""

import re
import shutil
from pathlib import Path

import pytest

from taskloom.config.compose import composer
from taskloom.config.preflight import preflight
from taskloom.training.job import run_job

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "own_tables.md"
FENCE = re.compile(r"^```(\w+) ?([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TASKS = {
    "shoppers": ("shoppers.csv", {"purchase", "page_value"}),
    "mails": ("mails.csv", {"opened", "clicked", "spend"}),
    "ads": ("ads.csv", {"interest", "conversion", "effect"}),
    "health": ("visits.tsv", {"pressure", "hba1c", "mood"}),
}


@pytest.fixture(scope="module")
def reader_s_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the project's configs, those of the page and the tables that the page makes up."""
    if not PAGE.exists():
        pytest.skip("docs/own_tables.md is not there")
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(ROOT / "conf", folder / "conf")
    for language, name, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "yaml":
            (folder / name).write_text(text, encoding="utf-8")
        elif language == "python":
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                exec(compile(text, str(PAGE), "exec"), {})
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_it_composes_and_trains(name: str, reader_s_folder: Path, small_run: list[str], tmp_path: Path) -> None:
    file, tasks = TASKS[name]
    overrides = [o for o in small_run if not o.startswith(("data.source", "floors="))]
    overrides += [f"data={name}", f"data.source={reader_s_folder / file}", "debug=step"]
    with composer(reader_s_folder / "conf", "train") as compose:
        composed = compose.compose(overrides)
    assert not composed.problems
    assert preflight(composed.config) == []
    record = run_job(composed.config, tmp_path / "run")
    assert record["state"] == "done"
    assert set(record["main_metrics"]) == tasks
