"""Ali-CCP: the official skeleton with common features, and the prepared form."""

from pathlib import Path

import polars as pl
import pytest

from samples import ali_ccp as sample
from taskloom.data.readers.ali_ccp import RULE, AliCCP
from taskloom.data.table import Table
from taskloom.errors import DataError


def quiet(line: str) -> None:
    """Says nothing."""


def read(folder: Path, scratch: Path | None = None) -> Table:
    scratch = scratch or folder / "scratch"
    scratch.mkdir()
    reader = AliCCP()
    return reader.read(reader.acquire(folder, scratch / "raw", quiet), scratch, quiet)


def official(folder: Path, skeleton: str, common: str) -> None:
    """The same lines for training and for test, with readable signs."""
    signs = str.maketrans({"/": "\x01", "=": "\x02", "*": "\x03"})
    for part in ("train", "test"):
        (folder / f"sample_skeleton_{part}.csv").write_text(skeleton.translate(signs))
        (folder / f"common_features_{part}.csv").write_text(common.translate(signs))


def test_a_known_sample(tmp_path: Path) -> None:
    official(
        tmp_path,
        "1,1,0,c1,5,205=20511*1.0/210=2101*1.0/210=2102*1.0/508=5081*3.5/301=9351665*1.0\n2,0,0,c2,1,205=20512*1.0\n",
        "c1,4,109_14=71*1.5/109_14=72*2.0/101=333*1.0/121=3438658*1.0\nc2,1,101=444*1.0\n",
    )
    row, other = read(tmp_path).frame.filter(part="train").collect().rows(named=True)
    assert (row["click"], row["purchase"]) == (1, 0)
    assert (row["field_205"], row["field_301"], row["field_101"], row["field_121"]) == (
        "20511",
        "9351665",
        "333",
        "3438658",
    )
    assert (row["field_210"], row["field_109_14"]) == (["2101", "2102"], ["71", "72"])
    assert (row["field_508"], row["value_508"], row["value_109_14"]) == ("5081", 3.5, 3.5)
    assert (row["field_509"], row["value_509"], row["field_110_14"]) == (None, None, [])
    assert (other["field_101"], other["field_121"], other["field_210"]) == ("444", None, [])


def test_a_field_is_not_found_inside_another(tmp_path: Path) -> None:
    official(tmp_path, "1,0,0,c,2,1205=7*1.0/205=8*1.0\n", "c,2,9121=5*1.0/121=6*1.0\n")
    row = read(tmp_path).frame.collect().row(0, named=True)
    assert (row["field_205"], row["field_121"]) == ("8", "6")


def test_purchases_without_a_click_are_left_out_and_counted(tmp_path: Path) -> None:
    sample.write(tmp_path)
    table = read(tmp_path)
    frame = table.frame.collect()
    assert tuple(frame.columns) == AliCCP.columns
    assert (table.account.read, dict(table.account.dropped), table.account.kept) == (550, {RULE: 3}, 547)
    assert frame["part"].value_counts().sort("part").rows() == [("test", 150), ("train", 397)]
    assert (frame["purchase"] <= frame["click"]).all()


def test_both_parts_have_their_own_common_features(tmp_path: Path) -> None:
    signs = str.maketrans({"=": "\x02", "*": "\x03"})
    for part, user in (("train", "1"), ("test", "2")):
        (tmp_path / f"sample_skeleton_{part}.csv").write_text("1,0,0,c,1,205=5*1.0\n".translate(signs))
        (tmp_path / f"common_features_{part}.csv").write_text(f"c,1,101={user}*1.0\n".translate(signs))
    assert read(tmp_path).frame.select("part", "field_101").collect().rows() == [("train", "1"), ("test", "2")]


def test_a_key_without_common_features_is_counted(tmp_path: Path) -> None:
    official(tmp_path, "1,0,0,c1,1,205=5*1.0\n2,0,0,c9,1,205=5*1.0\n", "c1,1,101=4*1.0\n")
    notes = read(tmp_path).notes
    assert notes[0] == "common_features_train.csv: nothing on the common_index of 1 of 2 rows, whose facts are empty"


def test_features_whose_signs_were_lost(tmp_path: Path) -> None:
    sample.write(tmp_path)
    file = tmp_path / "common_features_test.csv"
    file.write_text(file.read_text().replace("\x02", " ").replace("\x03", " "))
    with pytest.raises(DataError, match=r"common_features_test\.csv: features must be field .x02 id .x03 value"):
        read(tmp_path)


def test_the_prepared_form_has_a_part_for_validation(tmp_path: Path) -> None:
    sample.write_prepared(tmp_path)
    frame = read(tmp_path).frame.collect()
    assert tuple(frame.columns) == AliCCP.columns
    assert frame["part"].value_counts().sort("part").rows() == [("test", 20), ("train", 60), ("val", 20)]
    line = (tmp_path / "ali_ccp_train.csv").read_text().splitlines()[1].split(",")
    by_name = dict(zip(sample.HEADER, line, strict=True))
    row = frame.row(0, named=True)
    assert row["field_216"] == int(by_name["216"])
    assert row["field_150_14"] == [int(by_name["150_14"])]
    assert row["value_853"] == float(by_name["D853"])


def test_neither_form(tmp_path: Path) -> None:
    sample.write(tmp_path)
    (tmp_path / "common_features_train.csv").unlink()
    with pytest.raises(DataError, match=r"neither all of sample_skeleton_train\.csv.* nor ali_ccp_train\.csv"):
        read(tmp_path)


def test_the_real_sample(shared_data: Path, tmp_path: Path) -> None:
    table = read(shared_data / "ali-ccp-sample", tmp_path / "scratch")
    said = table.frame.collect().group_by("part").agg(pl.len(), pl.col("click", "purchase").sum()).sort("part")
    assert said.rows() == [("test", 50, 2, 1), ("train", 100, 7, 1), ("val", 50, 3, 1)]
    assert dict(table.account.dropped) == {}
