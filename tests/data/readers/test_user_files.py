"""Files that the user gets: found in a folder, a zip or as they are, or a sentence that says what to get and where."""

import zipfile
from pathlib import Path

import pytest

from taskloom.data.acquire import Raw
from taskloom.data.readers.user_files import UserFiles
from taskloom.errors import DataError


class Clicks(UserFiles):
    name = "clicks"
    home = "https://example.org/clicks"
    wanted = {"log": ("log_*.csv", "log.tsv"), "users": ("users.csv",)}  # noqa: RUF012
    optional = ("users",)


NAMES = ["b/log_2.csv.gz", "b/log_1.csv", "users.csv", "__MACOSX/._log_1.csv", "other.csv"]


def silent(line: str) -> None:
    pass


def found(raw: Raw) -> dict[str, list[str]]:
    return {role: [path.name for path in paths] for role, paths in Clicks().located(raw).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "clicks"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


@pytest.fixture
def archive(folder: Path) -> Path:
    path = folder.parent / "clicks.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in NAMES:
            file.write(folder / name, name)
    return path


def test_a_folder(folder: Path, tmp_path: Path) -> None:
    raw = Clicks().acquire(str(folder), tmp_path / "raw", silent)
    assert raw == Raw(folder, f"data.source={folder}", trusted=False)
    assert found(raw) == {"log": ["log_1.csv", "log_2.csv.gz"], "users": ["users.csv"]}
    assert [path.name for path in Clicks().files(raw)] == ["log_1.csv", "log_2.csv.gz", "users.csv"]


def test_one_file(folder: Path, tmp_path: Path) -> None:
    raw = Clicks().acquire(folder / "b" / "log_2.csv.gz", tmp_path / "raw", silent)
    assert found(raw) == {"log": ["log_2.csv.gz"], "users": []}


def test_a_zip_is_unpacked_once(archive: Path, tmp_path: Path) -> None:
    raw = Clicks().acquire(archive, tmp_path / "raw", silent)
    assert raw.path.parent == tmp_path / "raw"
    assert found(raw) == {"log": ["log_1.csv", "log_2.csv.gz"], "users": ["users.csv"]}
    assert not (raw.path / "other.csv").exists()
    written = raw.path.stat().st_mtime_ns
    assert Clicks().acquire(archive, tmp_path / "raw", silent) == raw
    assert raw.path.stat().st_mtime_ns == written


def test_what_is_missing_is_named_with_the_place_to_get_it(folder: Path, archive: Path, tmp_path: Path) -> None:
    def fails(source: Path | None, said: str) -> None:
        with pytest.raises(DataError, match=said):
            Clicks().acquire(source, tmp_path / "raw", silent)

    fails(None, r"https://example.org/clicks and give data.source=<folder, zip or file> with log_\*.csv or log.tsv$")
    fails(tmp_path / "none", r"data.source: .*none is not there")
    fails(folder / "users.csv", r"holds no log_\*.csv or log.tsv \(log of clicks\); get it from https://example.org")
    archive.write_bytes(archive.read_bytes()[:-40])
    fails(archive, "not a zip, or one that is cut off")
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "other.csv", "other.csv")
    fails(archive, "does not hold the data set's files")
    assert not list((tmp_path / "raw").glob("*"))
