"""KuaiRand, on made files in the publisher's layout: logs, features, dates, and what must not be read."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from samples import kuairand as sample
from taskloom.data.readers.kuairand import KuaiRand
from taskloom.data.table import Table
from taskloom.errors import DataError

CONF = Path(__file__).resolve().parents[3] / "conf/data/kuairand.yaml"


def quiet(line: str) -> None:
    """Says nothing."""


def read(folder: Path, variant: str = "pure") -> Table:
    reader = KuaiRand(variant)  # type: ignore[arg-type]
    scratch = folder / "scratch"
    scratch.mkdir()
    return reader.read(reader.acquire(folder, folder / "raw", quiet), scratch, quiet)


def test_logs_are_joined_with_users_and_videos(tmp_path: Path) -> None:
    sample.write(tmp_path)
    table = read(tmp_path)
    frame = table.frame.collect()
    assert tuple(frame.columns) == KuaiRand.columns
    assert (table.account.read, table.account.kept, len(frame)) == (500, 500, 500)
    known = frame.filter(pl.col("user_id") != 29, pl.col("video_id") != 49)
    assert (known["register_days"] == known["user_id"] + 400).all()
    assert (known["author_id"] == known["video_id"] % 11).all()
    assert set(known["follow_user_num_range"]) == {"(0,10]"}
    assert set(known["tag"]) == {"12,65", "12"}
    assert frame.filter(user_id=29)["user_active_degree"].null_count() == len(frame.filter(user_id=29)) > 0
    assert [note.split(" of ")[1] for note in table.notes] == [
        str(len(frame.filter(user_id=29))),
        str(len(frame.filter(video_id=49))),
    ]


def test_rows_stay_in_the_order_of_the_files(tmp_path: Path) -> None:
    sample.write(tmp_path)
    frame = read(tmp_path).frame.collect()
    data = tmp_path / "data"
    names = ("log_standard_4_08_to_4_21", "log_standard_4_22_to_5_08", "log_random_4_22_to_5_08")
    times = pl.concat([pl.read_csv(data / f"{name}_pure.csv")["time_ms"] for name in names])
    assert frame["time_ms"].to_list() == times.to_list()
    assert frame["log"].to_list() == ["standard"] * 420 + ["random"] * 80


def test_the_dates_cut_it_as_published(tmp_path: Path) -> None:
    sample.write(tmp_path)
    split = yaml.safe_load(CONF.read_text())["split"]["column"]
    frame = read(tmp_path).frame.with_columns(pl.sql_expr(split).alias("part")).collect()
    days = {part: (rows["date"].min(), rows["date"].max()) for (part,), rows in frame.group_by("part")}
    assert days["train"] == (20220408, 20220419)
    assert days["val"] == (20220420, 20220421)
    assert days["test"] == (20220422, 20220508)
    assert set(frame.filter(part="random")["log"]) == {"random"}
    assert len(frame.filter(part="random")) == 80


def test_a_large_variant_in_parts_and_without_a_random_log(tmp_path: Path) -> None:
    sample.write(tmp_path, "27k", parts=2, random_log=False)
    frame = read(tmp_path, "27k").frame.collect()
    assert (len(frame), set(frame["log"])) == (420, {"standard"})


def test_the_statistics_of_the_whole_month_are_never_opened(tmp_path: Path) -> None:
    sample.write(tmp_path)
    reader = KuaiRand()
    files = reader.files(reader.acquire(tmp_path, tmp_path / "raw", quiet))
    assert {file.name for file in files} == {
        *("log_standard_4_08_to_4_21_pure.csv", "log_standard_4_22_to_5_08_pure.csv", "user_features_pure.csv"),
        *("log_random_4_22_to_5_08_pure.csv", "video_features_basic_pure.csv"),
    }
    assert not {"play_cnt", "show_cnt"} & set(KuaiRand.columns)


def test_age_and_beijing_time(tmp_path: Path) -> None:
    sample.write(tmp_path)
    row = read(tmp_path).frame.filter(pl.col("video_id") == 9).collect().row(0, named=True)
    uploaded = {0: 15, 1: 46, 2: 74}[9 % 3]  # 15 January, February, March as a day of the year
    april = int(row["date"]) % 100 if row["date"] < 20220501 else 30 + int(row["date"]) % 100
    assert row["video_age"] == 90 + april - uploaded
    beijing = (row["timestamp"] + 28_800) % 86_400
    assert int(beijing // 3600) == row["hourmin"] // 100


def test_another_variant_is_not_taken(tmp_path: Path) -> None:
    sample.write(tmp_path, "1k")
    with pytest.raises(DataError, match="log_standard_4_08_to_4_21_pure"):
        read(tmp_path, "pure")


def test_each_half_of_the_standard_log_is_needed(tmp_path: Path) -> None:
    sample.write(tmp_path)
    (tmp_path / "data" / "log_standard_4_22_to_5_08_pure.csv").unlink()
    with pytest.raises(DataError, match=r"holds no log_standard_4_22_to_5_08_pure\.csv"):
        read(tmp_path)


def test_a_user_with_two_different_rows_of_features_is_refused(tmp_path: Path) -> None:
    sample.write(tmp_path)
    file = tmp_path / "data" / "user_features_pure.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, lines[5]]) + "\n")  # word for word the same: no matter
    assert len(read(tmp_path).frame.collect()) == 500
    (tmp_path / "scratch").rename(tmp_path / "before")
    file.write_text("\n".join([*lines, lines[5].replace("400", "1").replace("404", "1")]) + "\n")
    with pytest.raises(DataError, match="the user features: user_id 4 has 2 rows that differ"):
        read(tmp_path)


def test_a_malformed_line_has_file_and_line(tmp_path: Path) -> None:
    sample.write(tmp_path)
    file = tmp_path / "data" / "log_random_4_22_to_5_08_pure.csv"
    file.write_text(file.read_text() + "1,2\n")
    with pytest.raises(DataError, match=r"log_random_4_22_to_5_08_pure\.csv, line 82"):
        read(tmp_path)
