"""Census-Income: the official parts, their quirks, and files that only look like it."""

from pathlib import Path

import polars as pl
import pytest

from samples import census_income as sample
from taskloom.data.readers.census_income import FIELDS, CensusIncome
from taskloom.data.table import Table
from taskloom.errors import DataError


def quiet(line: str) -> None:
    """Says nothing."""


def read(folder: Path, scratch: Path) -> Table:
    scratch.mkdir()
    reader = CensusIncome()
    return reader.read(reader.acquire(folder, scratch / "raw", quiet), scratch, quiet)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "census"
    folder.mkdir()
    sample.write(folder)
    return folder


def test_both_parts_are_read_and_every_row_is_accounted_for(folder: Path, tmp_path: Path) -> None:
    table = read(folder, tmp_path / "scratch")
    frame = table.frame.collect()
    assert tuple(frame.columns) == CensusIncome.columns
    assert frame["part"].value_counts().sort("part").rows() == [("test", 150), ("train", 400)]
    assert (table.account.read, table.account.kept) == (550, 550)
    assert list(table.notes) == ["train: 1 row repeats an earlier one word for word and is kept"]


def test_the_weight_goes_and_values_are_what_they_say(folder: Path, tmp_path: Path) -> None:
    frame = read(folder, tmp_path / "scratch").frame.collect()
    assert len(FIELDS) == len(set(FIELDS)) == 42
    assert FIELDS[24] == "instance_weight"
    assert "instance_weight" not in frame.columns
    assert set(frame["income"]) == {"50000+.", "- 50000."}
    assert "Foreign born- Not a citizen of U S" in set(frame["citizenship"])  # its blank at the end is gone
    assert "NA" in set(frame["hispanic_origin"])
    assert set(frame["state_of_previous_residence"]) == {"?"}
    assert frame.null_count().sum_horizontal().item() == 0
    assert frame.schema["age"] == frame.schema["weeks_worked_in_year"] == pl.Int64
    codes = ("detailed_industry_recode", "own_business_or_self_employed", "veterans_benefits", "year")
    assert {frame.schema[name] for name in codes} == {pl.String()}


def test_the_later_file_names_are_known(folder: Path, tmp_path: Path) -> None:
    (folder / "census-income.test").rename(folder / "census_income_test.csv")
    (folder / "census-income.data.gz").rename(folder / "census_income_learn.csv.gz")
    assert read(folder, tmp_path / "scratch").account.read == 550


def test_uci_adult_is_told_by_its_15_columns(folder: Path, tmp_path: Path) -> None:
    (folder / "census-income.test").write_text("39, State-gov, 77516, Bachelors" + ", x" * 10 + ", <=50K\n")
    with pytest.raises(DataError, match=r"census-income\.test, line 1: it has 15 fields, so this is UCI Adult"):
        read(folder, tmp_path / "scratch")


def test_another_number_of_columns_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "census-income.test").write_text("39, 40\n")
    with pytest.raises(DataError, match="it has 2 fields and must have 42; give the files of https"):
        read(folder, tmp_path / "scratch")


def test_a_file_and_its_packed_copy_are_not_read_as_twice_the_people(folder: Path, tmp_path: Path) -> None:
    (folder / "census-income.test.gz").write_bytes((folder / "census-income.data.gz").read_bytes())
    with pytest.raises(DataError, match=r"census-income\.test\.gz: each of them could be the test part"):
        read(folder, tmp_path / "scratch")


def test_a_broken_line_has_file_and_line(folder: Path, tmp_path: Path) -> None:
    file = folder / "census-income.test"
    lines = file.read_text().splitlines()
    lines[6] = lines[6].replace(lines[6].split(",")[0], "old", 1)
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"census-income\.test, line 7: age is 'old'"):
        read(folder, tmp_path / "scratch")


def test_a_damaged_packed_file_is_no_traceback(folder: Path, tmp_path: Path) -> None:
    (folder / "census-income.data.gz").write_bytes(b"no gz")
    with pytest.raises(DataError, match="line 1: it cannot be read"):
        read(folder, tmp_path / "scratch")


def test_without_files_the_home_page_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"archive\.ics\.uci\.edu.*data\.source"):
        CensusIncome().acquire(None, tmp_path)


@pytest.mark.slow
def test_the_real_files(shared_data: Path, tmp_path: Path) -> None:
    table = read(shared_data / "census-income", tmp_path / "scratch")
    frame = table.frame.collect()
    assert (table.account.read, table.account.refused) == (299_285, 0)
    said = frame.group_by("part").agg(
        pl.len(),
        rich=(pl.col("income") == "50000+.").sum(),
        single=(pl.col("marital_stat") == "Never married").sum(),
        na=(pl.col("hispanic_origin") == "NA").sum(),
    )
    assert said.sort("part").rows() == [("test", 99_762, 6_186, 43_143, 405), ("train", 199_523, 12_382, 86_485, 874)]
    train = frame.filter(part="train").select(pl.selectors.string())
    assert train.select((pl.all() == "?").sum()).sum_horizontal().item() == 415_717
    assert [note.split(" row")[0] for note in table.notes] == ["train: 3,229", "test: 883"]
