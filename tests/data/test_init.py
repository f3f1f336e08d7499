"""A first config for a table: what it guesses, what it doubts, and that it runs as it is."""

import gzip
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from taskloom.config.compose import composer
from taskloom.config.preflight import preflight
from taskloom.data.datamodule import DataModule
from taskloom.data.guess import guess
from taskloom.data.init import config_name, first_config, write_first_config
from taskloom.data.readers.tabular import Tabular
from taskloom.errors import ConfigError, DataError
from taskloom.training.job import run_job

CONF = Path(__file__).resolve().parents[2] / "conf"


def clicks(rows: int = 400) -> str:
    chance = random.Random(1)
    lines = ["row_id;user_id;movieId;genres;Page value (€);title;country;visited_at;clicked;rating;won?;shown"]
    for n in range(rows):
        user, film = chance.randrange(30), chance.randrange(25)
        click = int(chance.random() < 0.6)
        lines.append(
            f"{n};u{user:03};{film};{'|'.join('abc'[: 1 + film % 3])};{chance.random() * 9:.2f};"
            f"the {film} long story of {user};{['NO', 'DE', 'FR'][user % 3]};2024-03-{1 + n % 28:02} "
            f"{n % 24:02}:00;{click};"
            f"{chance.randrange(1, 6) if click else ''};{'yes' if (n + film) % 3 else 'no'};1"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture
def clicked(tmp_path: Path) -> Path:
    path = tmp_path / "My clicks.csv.gz"
    path.write_bytes(gzip.compress(clicks().encode()))
    return path


@pytest.fixture
def parsed(clicked: Path) -> dict[str, Any]:
    return yaml.safe_load(first_config(clicked))


def test_ids_and_time(parsed: dict[str, Any], clicked: Path) -> None:
    assert parsed["name"] == config_name(clicked) == "my_clicks"
    assert parsed["source"] == str(clicked)
    reader = parsed["reader"]
    assert (reader["user"], reader["item"], reader["time"]) == ("user_id", "movieId", "visited_at")
    assert parsed["split"]["kind"] == "global_time"
    assert parsed["floors"] == {"user": "user_id", "item": "movieId", "target": "clicked"}


def test_kinds_and_sides(parsed: dict[str, Any]) -> None:
    features = parsed["features"]
    assert features == {
        "user_id": {"kind": "categorical", "side": "user"},
        "movieId": {"kind": "categorical", "side": "item"},
        "genres": {"kind": "bag", "side": "item", "separator": "|", "width": 10},
        "Page_value": {"kind": "dense", "side": "context", "column": "Page value (€)"},
        "title": {"kind": "text", "side": "context", "words": [1, 2], "width": 32},
        "country": {"kind": "categorical", "side": "user"},
        "won": {"kind": "categorical", "side": "context", "column": "won?"},
        "when": {"kind": "time", "side": "context", "column": "visited_at", "parts": ["hour", "weekday"]},
    }


def test_outcomes_are_tasks_and_no_features(parsed: dict[str, Any], clicked: Path) -> None:
    assert parsed["tasks"] == {
        "clicked": {"kind": "binary", "target": "clicked"},
        "rating": {"kind": "ordinal", "target": "rating", "parent": "clicked"},
    }
    text = first_config(clicked)
    assert "# only where clicked in the rows looked at; or kind: regression" in text
    assert "# row_id is left out: another value in every row: a row number?" in text
    assert "# shown is left out: one value only" in text


def small(config: dict[str, Any], root: Path) -> DataModule:
    """The data module of a parsed config, without Hydra."""
    reader = Tabular(**{key: value for key, value in config["reader"].items() if key != "_target_"})
    given = {key: value for key, value in config.items() if key not in ("_target_", "reader")}
    return DataModule(reader, **given, raw_dir=root / "raw", processed_dir=root / "processed", say=lambda line: None)


@pytest.fixture
def opens(tmp_path: Path) -> Callable[[Path], DataModule]:
    def build(file: Path) -> DataModule:
        data = small(yaml.safe_load(first_config(file)), tmp_path / "root")
        data.prepare_data()
        data.setup()
        return data

    return build


def test_it_trains_as_it_is(clicked: Path, small_run: list[str], tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    written = write_first_config(clicked, conf / "data")
    assert written == conf / "data" / "my_clicks.yaml"
    overrides = [o for o in small_run if not o.startswith(("data.source", "floors="))]
    with composer(conf, "train") as compose:
        composed = compose.compose([*overrides, "data=my_clicks", "debug=step"])
    assert not composed.problems
    assert preflight(composed.config) == []
    record = run_job(composed.config, tmp_path / "run")
    assert record["state"] == "done"
    assert set(record["main_metrics"]) == {"clicked", "rating"}


def test_what_is_there_stays(clicked: Path, tmp_path: Path) -> None:
    target = tmp_path / "my_clicks.yaml"
    target.write_text("mine")
    with pytest.raises(ConfigError, match=r"my_clicks.yaml is there already and stays as it is"):
        write_first_config(clicked, tmp_path)
    assert target.read_text() == "mine"


def write(folder: Path, name: str, content: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(content.encode(encoding))
    return path


def test_a_table_without_users_items_or_outcomes(tmp_path: Path, opens: Callable[[Path], DataModule]) -> None:
    chance = random.Random(2)
    rows = [f"{chance.random():.3f},{chance.choice('ab')},{chance.choice(['old', 'new'])}" for _ in range(100)]
    file = write(tmp_path, "plain.csv", "x,colour,state\n" + "\n".join(rows))
    text = first_config(file)
    config = yaml.safe_load(text)
    assert config["tasks"] == {"state": {"kind": "binary", "target": "state = 'old'"}}
    assert "is this what you want to predict? the other value is 'new': right way round?" in text
    assert config["split"]["kind"] == "random"
    assert set(config["features"]) == {"x", "colour"}
    assert "floors" not in config
    assert opens(file).schema.targets == ("state",)


def test_separators_encodings_and_files_without_a_header(tmp_path: Path, opens: Callable[[Path], DataModule]) -> None:
    lines = [f"{n % 7}::{n % 5}::{1 + n * n % 5}::{978300000 + 5000 * n}" for n in range(200)]
    ratings = write(tmp_path, "ratings.dat", "\n".join(lines))
    config = yaml.safe_load(first_config(ratings))
    assert config["reader"]["separator"] == "::"
    assert config["reader"]["format"] == "csv"
    assert config["reader"]["header"] == ["column_1", "column_2", "column_3", "column_4"]
    assert opens(ratings)
    latin = write(tmp_path, "latin.csv", "Ort,clicked\n" + "Köln,1\nBonn,0\nUlm,1\n" * 30, "latin-1")
    text = first_config(latin)
    assert yaml.safe_load(text)["reader"]["encoding"] == "latin-1"
    assert "# not UTF-8: look whether" in text
    assert opens(latin)


def test_json_lines_parquet_and_folders(tmp_path: Path, opens: Callable[[Path], DataModule]) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    for day in (1, 2):
        rows = [
            f'{{"user": "u{n % 9}", "tags": ["a", "{n % 5}"], "bought": {str(n % 3 == 0).lower()}, "n": {n % 4}}}'
            for n in range(120)
        ]
        write(folder, f"{day}.jsonl", "\n".join(rows))
    config = yaml.safe_load(first_config(folder))
    assert config["name"] == "days"
    assert config["features"]["tags"]["kind"] == "bag"
    assert config["split"] == {"kind": "group", "column": "user", "ratios": [8, 1, 1], "seed": 1}
    assert opens(folder).schema.targets == ("bought",)
    path = tmp_path / "a.parquet"
    pl.DataFrame({"x": [0.5, 1.5] * 50, "label": [0, 1, 1, 0] * 25}).write_parquet(path)
    assert set(yaml.safe_load(first_config(path))["tasks"]) == {"label"}
    assert opens(path)


def test_malformed_lines_are_told(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", "x,label\n" + "1,0\n2,1\n3,1\n" * 100 + "oops\n")
    text = first_config(file)
    assert yaml.safe_load(text)["reader"]["tolerate"] == 0.01
    assert "1 of 301 lines are malformed, such as line 302: 1 field instead of 2: 'oops'" in text


def test_what_tells_the_outcome_is_excluded() -> None:
    frame = pl.DataFrame({"x": range(120), "paid": ["no", "yes", "no"] * 40, "purchase": [0, 1, 0] * 40})
    found = guess(frame.with_columns(pl.col("x") * 7 % 60 / 9))
    assert found.excluded == {"paid": "tells purchase in every row looked at: known only afterwards?"}


def test_a_skewed_outcome_is_learnt_as_its_logarithm() -> None:
    found = guess(pl.DataFrame({"x": [0.5, 1.5] * 50, "revenue": [0.0] * 90 + [1000.0] * 9 + [5.0]}))
    assert found.tasks["revenue"] == {"kind": "regression", "target": "revenue", "options": {"transform": "log1p"}}


def test_facts_about_the_past_are_no_outcomes() -> None:
    found = guess(pl.DataFrame({"previous_clicks": [3, 1, 1, 9, 5, 7, 0, 2] * 15, "clicked": [0, 1, 1, 0, 1, 0] * 20}))
    assert set(found.tasks) == {"clicked"}
    assert "previous_clicks" in found.features


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", "", "is empty"),
        ("words.csv", "a,b\n" + "".join(f"x{n},y{n}\n" for n in range(9)), "no column of numbers, or of two values"),
    ],
)
def test_tables_that_nothing_can_be_made_of(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        first_config(write(tmp_path, name, content))
    with pytest.raises(DataError, match="is not there"):
        first_config(tmp_path / "none.csv")
