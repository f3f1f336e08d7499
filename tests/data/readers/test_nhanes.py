"""NHANES: codes that mean "not known", scores made of several answers, and columns that tell a target."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from samples import nhanes as sample
from taskloom.data.readers.nhanes import PHQ9, SYSTOLIC, TEXTS, UNKNOWN_NUMBERS, Nhanes
from taskloom.data.table import Table
from taskloom.errors import DataError

CONF = Path(__file__).resolve().parents[3] / "conf/data/nhanes.yaml"


def quiet(line: str) -> None:
    """Says nothing."""


def read(source: Path, scratch: Path) -> Table:
    scratch.mkdir()
    reader = Nhanes()
    return reader.read(reader.acquire(source, scratch / "raw", quiet), scratch, quiet)


def made(folder: Path, **cells: list[str]) -> pl.DataFrame:
    """Three persons, some of whose cells are given."""
    people = sample.persons(3)
    for name, values in cells.items():
        for person, value in zip(people, values, strict=True):
            person[name] = value
    sample.save(people, folder)
    return read(folder, folder / "scratch").frame.collect()


def targets(frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Of the tasks in the config."""
    tasks = yaml.safe_load(CONF.read_text())["tasks"]
    exact = {name: pl.col(task["target"]) for name, task in tasks.items() if task["target"] in frame.columns}
    return {
        name: frame.select(exact.get(name, pl.sql_expr(task["target"])).cast(pl.Float64)).to_series()
        for name, task in tasks.items()
    }


def test_codes_for_not_known_are_missing(tmp_path: Path) -> None:
    frame = made(
        tmp_path,
        OfMealsNotHomePrepared=["7777.0", "9999.0", "5555.0"],
        EnergyKcal_DR1TOT=["7777.0", "9999.0", "999.0"],  # eaten that much: not a code
        ServedActiveDutyInUsArmedForces=["Don't Know", "Refused", "1"],
        AlcoholGm_DR1TOT=[sample.ZERO, "14.0", ""],
    )
    assert frame["OfMealsNotHomePrepared"].to_list() == [None, None, 22.0]
    assert frame["EnergyKcal_DR1TOT"].to_list() == [7777.0, 9999.0, 999.0]
    assert frame["ServedActiveDutyInUsArmedForces"].to_list() == [None, None, "1"]
    assert frame["AlcoholGm_DR1TOT"].to_list() == [0.0, 14.0, None]


def test_systolic_is_the_mean_of_the_readings_that_are_there(tmp_path: Path) -> None:
    cells = dict(zip(SYSTOLIC, (["120", "", ""], ["130", "140", ""], ["131", "", ""]), strict=True))
    assert made(tmp_path, **cells)["systolic"].to_list() == [127.0, 140.0, None]


def test_phq9_needs_all_nine_answers(tmp_path: Path) -> None:
    cells = {item: ["1.0", "3.0", "0.0"] for item in PHQ9}
    cells[PHQ9[4]] = ["0.0", "", sample.ZERO]
    frame = made(tmp_path, **cells)
    assert frame["phq9"].to_list() == [8.0, None, 0.0]
    assert targets(frame)["depressed"].to_list() == [0.0, None, 0.0]


def test_targets_from_several_answers(tmp_path: Path) -> None:
    frame = made(
        tmp_path,
        DoctorToldYouHaveDiabetes=["1", "Borderline", ""],
        SmokedAtLeast100CigarettesInLife=["1.0", "1.0", "0.0"],
        DoYouNowSmokeCigarettes=["Some days", "Not at all", ""],
        VigorousRecreationalActivities=["0.0", "0.0", ""],
        ModerateRecreationalActivities=["1.0", "0.0", ""],
    )
    found = targets(frame)
    assert found["diabetes"].to_list() == [1.0, None, None]
    assert found["smoker"].to_list() == [1.0, 0.0, 0.0]
    assert found["active"].to_list() == [1.0, 0.0, None]


def test_a_person_twice_is_refused(tmp_path: Path) -> None:
    people = sample.persons(3)
    people[2]["SEQN"] = people[0]["SEQN"]
    sample.save(people, tmp_path)
    with pytest.raises(DataError, match=r"person 93703 \(SEQN\) has 2 rows"):
        read(tmp_path, tmp_path / "scratch")


def test_a_column_of_a_score_that_is_missing_is_named(tmp_path: Path) -> None:
    people = [{name: cell for name, cell in person.items() if name != PHQ9[0]} for person in sample.persons(3)]
    sample.save(people, tmp_path)
    with pytest.raises(DataError, match=f"there is no column {PHQ9[0]}"):
        read(tmp_path, tmp_path / "scratch")


def test_no_feature_tells_a_target() -> None:
    config = yaml.safe_load(CONF.read_text())
    used = {str(spec.get("column", name)) for name, spec in config["features"].items()}
    made_of = {*SYSTOLIC, *PHQ9, "Glycohemoglobin", "SleepHoursWeekdaysOrWorkdays", "BloodCadmiumUgl"}
    assert made_of <= set(config["excluded"])
    assert not used & (set(config["excluded"]) | made_of | {"systolic", "phq9"})
    assert not any(word in column for column in used for word in ("Smok", "BloodPres", "A1C", "Insulin", "Depress"))


def test_the_real_file(shared_data: Path, tmp_path: Path) -> None:
    table = read(shared_data / "nhanes-2017-2018", tmp_path / "scratch")
    frame = table.frame.collect()
    assert (table.account.read, frame["SEQN"].n_unique(), len(frame.columns)) == (8_366, 8_366, 198 + 2)
    config = yaml.safe_load(CONF.read_text())
    assert set(config["excluded"]) <= set(frame.columns)
    labels = {name: (series.count(), round(series.mean(), 4)) for name, series in targets(frame).items()}  # type: ignore[arg-type]
    assert labels == {
        "systolic": (6_714, 121.6932),
        "hba1c": (6_045, 5.7696),
        "diabetes": (8_187, 0.1042),
        "sleep_hours": (5_783, 7.643),
        "smoker": (5_533, 0.1757),
        "active": (5_533, 0.469),
        "phq9": (5_068, 3.2411),
        "depressed": (5_068, 0.0906),
    }
    for name in UNKNOWN_NUMBERS:
        assert frame[name].max() < (1_100 if "days" in name.lower() and "Age" in name else 1_321), name  # type: ignore[operator]
    texts = frame.select(pl.selectors.string())
    assert set(texts.columns) == set(TEXTS) & set(frame.columns)
    assert not texts.select((pl.all() == "Don't Know").any()).row(0).count(True)
