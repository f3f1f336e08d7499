"""AliExpress: the official four files and the prepared two give the same columns."""

from pathlib import Path

import polars as pl
import pytest

from samples import aliexpress as sample
from taskloom.data.readers.aliexpress import ITEM_FILE, USER_FILE, AliExpress
from taskloom.data.table import Table
from taskloom.errors import DataError


def quiet(line: str) -> None:
    """Says nothing."""


def read(folder: Path, market: str = "nl", scratch: Path | None = None) -> Table:
    scratch = scratch or folder / "scratch"
    scratch.mkdir()
    reader = AliExpress(market)  # type: ignore[arg-type]
    return reader.read(reader.acquire(folder, scratch / "raw", quiet), scratch, quiet)


def test_the_official_columns_have_the_prepared_names() -> None:
    # positions from 1, by the published script that made the prepared form
    assert (len(USER_FILE), len(ITEM_FILE)) == (33, 49)
    categories = [*USER_FILE[1:8], *USER_FILE[31:33], *(ITEM_FILE[i - 1] for i in sample.ITEM_CATEGORIES)]
    assert categories == [f"categorical_{i}" for i in range(1, 17)]
    rest = [i for i in range(2, 49) if i not in sample.ITEM_CATEGORIES]
    numbers = [*USER_FILE[8:31], *(ITEM_FILE[i - 1] for i in rest)]
    assert numbers == [f"numerical_{i}" for i in range(1, 64)]


def test_items_are_joined_with_their_search(tmp_path: Path) -> None:
    sample.write(tmp_path)
    table = read(tmp_path)
    frame = table.frame.collect()
    assert tuple(frame.columns) == AliExpress.columns
    assert (table.account.read, table.account.kept, list(table.notes)) == (500, 500, [])
    assert frame["part"].to_list() == ["train"] * 300 + ["test"] * 200
    assert frame["search_id"].to_list() == [row // 5 for row in range(500)]
    first = (tmp_path / "nl_user_train.csv").read_text().splitlines()[7].split(",")
    item = (tmp_path / "nl_item_train.csv").read_text().splitlines()[36].split(",")
    row = frame.row(36, named=True)
    assert (row["categorical_1"], row["categorical_9"]) == (int(first[1]), int(first[32]))
    assert (row["numerical_1"], row["numerical_23"]) == (float(first[8]), float(first[30]))
    assert (row["categorical_10"], row["numerical_24"], row["numerical_63"]) == (
        int(item[18]),
        float(item[1]),
        float(item[47]),
    )
    assert (row["click"], row["conversion"]) == (int(int(item[48]) > 0), int(int(item[48]) == 2))


def test_who_bought_has_clicked(tmp_path: Path) -> None:
    sample.write(tmp_path)
    frame = read(tmp_path).frame.collect()
    assert set(frame.select("click", "conversion").unique().rows()) == {(0, 0), (1, 0), (1, 1)}


def test_a_search_that_the_user_file_lacks_is_counted(tmp_path: Path) -> None:
    sample.write(tmp_path)
    file = tmp_path / "nl_user_test.csv"
    file.write_text("\n".join(file.read_text().splitlines()[1:]) + "\n")
    table = read(tmp_path)
    assert list(table.notes) == ["nl_user_test.csv: nothing on the search_id of 5 of 200 rows, whose facts are empty"]
    assert table.frame.filter(search_id=60).select("categorical_1").collect().null_count().item() == 5


def test_a_label_that_is_none_is_refused(tmp_path: Path) -> None:
    sample.write(tmp_path)
    file = tmp_path / "nl_item_test.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0].rsplit(",", 1)[0] + ",3", *lines[1:]]) + "\n")
    with pytest.raises(DataError, match=r"nl_item_test\.csv: column 49 is the label .* found 3"):
        read(tmp_path)


def test_a_user_file_in_the_place_of_an_item_file(tmp_path: Path) -> None:
    sample.write(tmp_path)
    (tmp_path / "nl_item_test.csv").write_text((tmp_path / "nl_user_test.csv").read_text())
    with pytest.raises(DataError, match=r"nl_item_test\.csv, line 1: it has 33 fields and must have 49"):
        read(tmp_path)


def test_the_prepared_form_of_the_market_asked_for(tmp_path: Path) -> None:
    sample.write_prepared(tmp_path / "AliExpress_NL")
    sample.write_prepared(tmp_path / "AliExpress_ES")
    file = tmp_path / "AliExpress_ES" / "test.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:5]) + "\n")
    for market, rows in (("nl", 50), ("es", 44)):
        frame = read(tmp_path, market, tmp_path / f"scratch_{market}").frame.collect()
        assert tuple(frame.columns) == AliExpress.columns
        assert len(frame) == rows
    with pytest.raises(DataError, match="each of them could be the train part of market fr"):
        read(tmp_path, "fr")


def test_neither_form(tmp_path: Path) -> None:
    sample.write(tmp_path)
    (tmp_path / "nl_user_test.csv").unlink()
    with pytest.raises(DataError, match=r"neither all of nl_user_train\.csv.* nor both train\.csv and test\.csv"):
        read(tmp_path)


def test_the_real_sample(shared_data: Path, tmp_path: Path) -> None:
    frame = read(shared_data / "aliexpress-sample", scratch=tmp_path / "scratch").frame.collect()
    said = frame.group_by("part").agg(pl.len(), pl.col("click", "conversion").sum()).sort("part")
    assert said.rows() == [("test", 20, 10, 2), ("train", 100, 60, 2)]
