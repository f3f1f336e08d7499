import hashlib
import subprocess
import sys

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from taskloom.data.readers.movielens_100k import MovieLens100K
from taskloom.errors import DataError


@pytest.fixture
def read(tmp_path):
    def run(source, lines=None):
        reader = MovieLens100K()
        say = (lambda line: None) if lines is None else lines.append
        table = reader.read(reader.acquire(source, tmp_path / "raw", say), tmp_path, say)
        frame = table.frame.collect()
        assert table.account.kept == len(frame)
        return frame

    return run


def test_known_rows(read, real_zip):
    lines = []
    frame = read(real_zip, lines)
    assert frame.columns == list(dict.fromkeys(frame.columns))
    assert set(frame.columns) == set(MovieLens100K.columns)
    assert not any("warning" in line for line in lines)
    assert len(frame) == 100_000
    first = frame.row(0, named=True)
    # 881250949 s is Thursday 4 December 1997, 15:55:49 UTC.
    assert (first["user"], first["item"], first["rating"], first["hour"], first["weekday"]) == (
        196,
        242,
        3,
        15,
        4,
    )
    films = {row["item"]: row for row in frame.unique("item").iter_rows(named=True)}
    assert len(films) == 1682
    assert films[1]["title"] == "Toy Story"
    assert films[1]["year"] == 1995
    assert films[1]["genres"] == ["Animation", "Children's", "Comedy"]
    assert (films[267]["title"], films[267]["year"], films[267]["genres"]) == ("unknown", None, ["unknown"])
    assert films[1412]["year"] == 1995
    assert films[1412]["title"] == "Land Before Time III: The Time of the Great Giving (V)"
    assert "Café" in " ".join(film["title"] for film in films.values()) or any(
        ord(letter) > 127 for film in films.values() for letter in film["title"]
    )
    assert frame.null_count().row(0, named=True) | {"year": 0} == dict.fromkeys(frame.columns, 0)
    assert frame["user"].n_unique() == 943


def digest(source, tmp_path):
    reader = MovieLens100K()
    return reader.digest(reader.acquire(source, tmp_path / "raw", lambda line: None))


def test_all_layouts_give_the_same_rows_and_digest(read, real_zip, real_folder, tmp_path, make):
    frame = read(real_zip)
    inter = make.recbole(real_folder, tmp_path / "recbole")
    wheel = tmp_path / "recbole-1.2.1-py3-none-any.whl"
    wheel.write_bytes(make.zip_of(inter, "recbole/dataset_example/ml-100k"))
    said = digest(real_zip, tmp_path)
    for source in (real_folder, real_folder / "u.data", inter, inter / "ml-100k.inter", wheel):
        assert_frame_equal(read(source), frame)
        assert digest(source, tmp_path) == said


def test_the_digest_follows_each_of_the_files(small_folder, tmp_path):
    said = {digest(small_folder, tmp_path)}
    for name, old, new in (("u.data", "880", "881"), ("u.user", "other", "writer"), ("u.item", "Café 3", "Café 7")):
        path = small_folder / name
        path.write_text(path.read_text(encoding="latin-1").replace(old, new, 1), encoding="latin-1")
        said.add(digest(small_folder, tmp_path))
    assert len(said) == 4


def test_files_are_the_three_that_are_read(small_folder, tmp_path):
    reader = MovieLens100K()
    raw = reader.acquire(small_folder / "u.data", tmp_path / "raw", lambda line: None)
    assert [path.name for path in reader.files(raw)] == ["u.data", "u.user", "u.item"]


def test_the_zip_from_its_home_page(read, site, real_zip, tmp_path):
    body = real_zip.read_bytes()
    lines = []
    with site(body) as home:
        reader = MovieLens100K(address=home.address, md5=hashlib.md5(body).hexdigest())
        raw = reader.acquire(None, tmp_path / "home", lines.append)
    assert raw.trusted
    assert raw.came_from.startswith("home page")
    assert (raw.path / "README").is_file()  # it holds the licence
    assert_frame_equal(reader.read(raw, tmp_path, lines.append).frame.collect(), read(real_zip))
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["movielens_100k"]


@pytest.mark.slow
def test_the_wheel_itself_gives_the_same_rows(real_zip, read, tmp_path):
    lines = []
    reader = MovieLens100K(address="http://127.0.0.1:9/ml-100k.zip")
    pip = subprocess.run([sys.executable, "-m", "pip", "download", "--help"], capture_output=True)
    if pip.returncode:
        pytest.skip("no pip")
    try:
        raw = reader.acquire(None, tmp_path / "home", lines.append)
    except DataError as error:
        pytest.skip(f"the wheel cannot be fetched: {error}")
    assert_frame_equal(reader.read(raw, tmp_path, lines.append).frame.collect(), read(real_zip))


def test_a_folder_around_the_folder(read, small_folder):
    assert_frame_equal(read(small_folder.parent), read(small_folder))


def test_small_copy_by_hand(read, small_folder):
    lines = []
    frame = read(small_folder, lines)
    assert any(line.startswith("warning: data.source=") and "30 ratings" in line for line in lines)
    row = frame.filter((pl.col("user") == 2) & (pl.col("item") == 3)).row(0, named=True)
    assert row["rating"] == 1 + 6 % 5
    assert (row["gender"], row["age"], row["zip"]) == ("M", 30, "2A200")
    assert (row["title"], row["year"], row["genres"]) == ("Café 3", 1993, ["Animation", "Children's"])


def test_a_download_with_other_ratings_stops(small_folder, make, tmp_path):
    wheel = tmp_path / "fake.whl"
    wheel.write_bytes(make.zip_of(small_folder))
    copy = f"import shutil, sys; shutil.copy({str(wheel)!r}, sys.argv[sys.argv.index('--dest') + 1])"
    reader = MovieLens100K(address="http://127.0.0.1:9/ml-100k.zip", pip=(sys.executable, "-c", copy))
    with pytest.raises(DataError, match="not MovieLens 100K as published: 30 ratings"):
        reader.acquire(None, tmp_path / "raw", lambda line: None)
    assert list((tmp_path / "raw").iterdir()) == []


def test_fetched_copy_that_was_changed_later_stops(small_folder, tmp_path):
    small_folder.rename(tmp_path / "movielens_100k")
    reader = MovieLens100K()
    raw = reader.acquire(None, tmp_path, lambda line: None)
    with pytest.raises(DataError, match=r"delete .*movielens_100k where it exists to fetch it again"):
        reader.read(raw, tmp_path, lambda line: None)


@pytest.mark.parametrize(
    ("file", "line", "new", "says"),
    [
        (
            "u.data",
            3,
            "1\t3\t4",
            r"u\.data, line 3: 3 fields where 4 are expected \(user, item, rating, timestamp\)",
        ),
        ("u.data", 30, "1\t3\tfour\t880000000", r"u\.data, line 30: rating is 'four', not a number"),
        ("u.data", 1, "x1\t3\t4\t880000000", r"u\.data, line 1: user is 'x1', not a number"),
        ("u.data", 2, "1\t3\tnan\t880000000", r"u\.data, line 2: rating is 'nan', not a number"),
        ("u.data", 2, "1\t3\tinf\t880000000", r"u\.data, line 2: rating is 'inf', not a number"),
        ("u.user", 2, "1|30|M|other|22", r"u\.user, line 2: user 1 is there twice"),
        ("u.item", 4, "4|Title|||", r"u\.item, line 4: 5 fields where 24 are expected"),
    ],
)
def test_bad_lines_are_named(read, small_folder, file, line, new, says):
    path = small_folder / file
    lines = path.read_text(encoding="latin-1").split("\n")
    lines[line - 1] = new
    path.write_text("\n".join(lines), encoding="latin-1")
    with pytest.raises(DataError, match=says):
        read(small_folder)


def test_files_that_lack(read, small_folder):
    (small_folder / "u.user").unlink()
    with pytest.raises(DataError, match=r"u\.user is not there: users and films are looked for beside u\.data"):
        read(small_folder / "u.data")
    with pytest.raises(DataError, match=r"it holds neither u\.data, u\.user, u\.item nor"):
        read(small_folder)


def test_empty_ratings(read, small_folder):
    (small_folder / "u.data").write_text("\n")
    with pytest.raises(DataError, match="holds no ratings"):
        read(small_folder)


def test_windows_line_ends_change_nothing(read, small_folder):
    frame = read(small_folder)
    for name in ("u.data", "u.user", "u.item"):
        path = small_folder / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert_frame_equal(read(small_folder), frame)


def test_binary_file_as_ratings(read, small_folder):
    (small_folder / "u.data").write_bytes(b"\xff\xfe\x00\x81" * 10)
    with pytest.raises(DataError, match=r"u\.data: it is not utf-8 text"):
        read(small_folder)
