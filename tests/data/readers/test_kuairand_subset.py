"""The subset of KuaiRand-27K: tabs in a .csv, time in seconds, dates that cut it."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from samples import kuairand_subset as sample
from taskloom.data.readers.kuairand_subset import KuaiRandSubset
from taskloom.data.table import Table
from taskloom.errors import DataError

CONF = Path(__file__).resolve().parents[3] / "conf/data/kuairand_subset.yaml"


def quiet(line: str) -> None:
    """Says nothing."""


def read(source: Path, scratch: Path) -> Table:
    scratch.mkdir()
    reader = KuaiRandSubset()
    return reader.read(reader.acquire(source, scratch / "raw", quiet), scratch, quiet)


def test_tabs_are_read_and_time_is_in_seconds(tmp_path: Path) -> None:
    sample.write(tmp_path)
    table = read(tmp_path, tmp_path / "scratch")
    frame = table.frame.collect()
    assert tuple(frame.columns) == KuaiRandSubset.columns
    assert (table.account.kept, len(frame)) == (500, 500)
    beijing = pl.from_epoch(frame["timestamp"].cast(pl.Int64) + 28_800)
    assert (beijing.dt.strftime("%Y%m%d").cast(pl.Int64) == frame["date"]).all()
    assert (frame["timestamp"] * 1000).round().cast(pl.Int64).to_list() == frame["time_ms"].to_list()


def test_the_file_itself_can_be_named(tmp_path: Path) -> None:
    sample.write(tmp_path)
    assert read(tmp_path / "processed_standard_kcore_15.csv", tmp_path / "scratch").account.read == 500


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    sample.write(tmp_path)
    file = tmp_path / "processed_standard_kcore_15.csv"
    file.write_text(file.read_text().replace("long_view", "longview", 1))
    with pytest.raises(DataError, match="there is no column 'long_view'"):
        read(tmp_path, tmp_path / "scratch")


def test_the_page_says_that_it_is_not_representative() -> None:
    text = CONF.read_text()
    assert "not representative" in text
    assert "No verdict on a task with under 100 positive test rows" in text


def test_the_real_file(shared_data: Path, tmp_path: Path) -> None:
    table = read(shared_data / "kuairand-27k-subset", tmp_path / "scratch")
    config = yaml.safe_load(CONF.read_text())
    frame = table.frame.with_columns(pl.sql_expr(config["split"]["column"]).alias("part")).collect()
    assert (table.account.read, frame["user_id"].n_unique(), frame["video_id"].n_unique()) == (41_828, 664, 9_359)
    named = ("is_click", "long_view", "is_profile_enter", "is_comment", "is_forward", "is_follow", "label")
    assert frame.select(pl.col(*named).sum()).row(0) == (27_484, 19_320, 2_214, 1_258, 326, 304, 33_745)
    parts = frame.group_by("part").agg(pl.len(), pl.col("date").min(), last=pl.col("date").max()).sort("part")
    assert parts.rows() == [
        ("test", 3_835, 20220420, 20220421),
        ("train", 33_485, 20220408, 20220417),
        ("val", 4_508, 20220418, 20220419),
    ]
    test = frame.filter(part="test").select(pl.col(*named).sum()).row(0, named=True)
    assert min(test[str(task["target"])] for task in config["tasks"].values() if task["target"] in test) > 100
    assert (test["is_follow"], test["is_forward"]) == (20, 22)  # so they are no tasks
