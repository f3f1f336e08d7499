import hashlib
import zipfile
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from samples import movielens_1m, movielens_latest_small
from taskloom.data.readers.movielens import LAYOUTS, MovieLens, _lines, parsed
from taskloom.errors import ConfigError, DataError


@pytest.fixture
def dat(tmp_path):
    movielens_1m.write(tmp_path / "ml-1m")
    return tmp_path / "ml-1m"


@pytest.fixture
def csv(tmp_path):
    movielens_latest_small.write(tmp_path / "ml-latest-small")
    return tmp_path / "ml-latest-small"


@pytest.fixture
def read(tmp_path_factory):
    """A layout's table, collected while its scratch folder is there, and the lines that were said."""

    def run(layout, source, lines=None, reader=None):
        reader = reader or MovieLens(layout)
        say = (lambda line: None) if lines is None else lines.append
        raw = reader.acquire(source, tmp_path_factory.mktemp("raw"), say)
        table = reader.read(raw, tmp_path_factory.mktemp("scratch"), say)
        frame = table.frame.collect()
        assert frame.columns == list(reader.columns)
        assert table.account.kept == len(frame)
        return frame, table

    return run


def change(path: Path, line: int, new: str | None) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[line - 1 : line] = [] if new is None else [new.encode("latin-1")]
    path.write_bytes(b"\n".join(lines))


def zipped(folder: Path, inner: str) -> Path:
    path = folder.parent / "mine.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inner}/{file.name}")
    return path


def test_1m_rows_are_those_of_its_files(read, dat):
    frame, table = read("1m", dat)
    lines = (dat / "ratings.dat").read_text().splitlines()
    assert frame.select("user", "item", "rating", "timestamp").rows() == [
        tuple(int(field) for field in line.split("::")) for line in lines
    ]
    users = {int(line.split("::")[0]): line.split("::")[1:] for line in (dat / "users.dat").read_text().splitlines()}
    films = (dat / "movies.dat").read_text(encoding="latin-1").splitlines()
    genres = {int(line.split("::")[0]): line.split("::")[2].split("|") for line in films}
    for row in frame.iter_rows(named=True):
        assert [row["gender"], str(row["age"]), str(row["occupation"]), row["zip"]] == users[row["user"]]
        assert row["genres"] == genres[row["item"]]
    titles = {row["item"]: (row["title"], row["year"]) for row in frame.unique("item").iter_rows(named=True)}
    assert titles[2] == ("Café Society 2", 1920)
    assert titles[6] == ('"Great Performances" Cats 6', 1922)
    assert titles[8] == ("2001: A Space Odyssey 8", 1923)
    assert frame["rating"].dtype == pl.Float64
    assert frame["genres"].dtype == pl.List(pl.String)
    assert table.account.read == len(lines)


def test_csv_rows_are_those_of_their_files(read, csv):
    frame, _ = read("latest_small", csv)
    lines = (csv / "ratings.csv").read_text().splitlines()[1:]
    assert frame.select("user", "item", "rating", "timestamp").rows() == [
        (int(user), int(item), float(rating), int(second))
        for user, item, rating, second in (line.split(",") for line in lines)
    ]
    films = {row["item"]: row for row in frame.unique("item").iter_rows(named=True)}
    assert (films[12]["title"], films[12]["year"]) == ("Café, The 12", 1962)
    assert (films[9]["title"], films[9]["year"]) == ('Say "Hello" 9', 1959)
    assert (films[6]["title"], films[6]["year"]) == ("Series 6", 2007)
    assert (films[3]["title"], films[3]["year"]) == ("No year 3", None)
    assert films[15]["genres"] == []  # (no genres listed)
    assert films[9]["genres"] == ["Children", "Drama"]


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Heat (1995)", ("Heat", 1995)),
        ("Heat (1995) ", ("Heat", 1995)),
        ("Seven (a.k.a. Se7en) (1995)", ("Seven (a.k.a. Se7en)", 1995)),
        ("Death Race 2000 (1975)", ("Death Race 2000", 1975)),
        ("(500) Days of Summer (2009)", ("(500) Days of Summer", 2009)),
        ("Fawlty Towers (1975\u20131979)", ("Fawlty Towers", 1975)),
        ("Doctor Who (2005-)", ("Doctor Who", 2005)),
        ("Babylon 5", ("Babylon 5", None)),
        ("Big (1988) Bad", ("Big (1988) Bad", None)),
        ("1984 (12345)", ("1984 (12345)", None)),
    ],
)
def test_year_is_taken_from_the_end_of_the_title(title, said):
    films = parsed(pl.DataFrame({"item": [1], "title": [title], "genres": ["Drama"]}))
    assert films.select("title", "year").row(0) == said


@pytest.mark.parametrize("layout", ["1m", "latest_small"])
def test_folder_outer_folder_and_zip_give_the_same_rows(read, dat, csv, layout):
    folder = dat if layout == "1m" else csv
    frame, _ = read(layout, folder)
    file = folder / MovieLens(layout).layout.files[0]
    for source in (folder.parent, file, zipped(folder, "ml"), zipped(folder, "deep/er")):
        assert_frame_equal(read(layout, source)[0], frame)


def test_windows_line_ends_change_nothing(read, csv, dat):
    for layout, folder in (("latest_small", csv), ("1m", dat)):
        frame, _ = read(layout, folder)
        for path in folder.iterdir():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert_frame_equal(read(layout, folder)[0], frame)


def test_the_zip_from_its_home_page_is_checked_and_kept(csv, site, tmp_path):
    body = zipped(csv, "ml-latest-small").read_bytes()
    with site(body) as home:
        reader = MovieLens("latest_small", address=home.address, md5=hashlib.md5(body).hexdigest())
        raw = reader.acquire(None, tmp_path / "raw", lambda line: None)
        assert raw.trusted
        assert sorted(path.name for path in raw.path.iterdir()) == ["came_from.txt", "movies.csv", "ratings.csv"]
        wrong = MovieLens("latest_small", address=home.address, md5="00ff")
        with pytest.raises(DataError, match="expected 00ff"):
            wrong.acquire(None, tmp_path / "other", lambda line: None)
    assert list((tmp_path / "other").iterdir()) == []


def test_a_download_with_too_few_ratings_stops_and_leaves_nothing(dat, site, tmp_path):
    with (
        site(zipped(dat, "ml-1m").read_bytes()) as home,
        pytest.raises(DataError, match=r"not ml-1m\.zip as published: 600 ratings, expected 1,000,209; delete"),
    ):
        MovieLens("1m", address=home.address).acquire(None, tmp_path / "raw", lambda line: None)
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_header_is_no_rating(csv, tmp_path):
    reader = MovieLens("20m")
    raw = reader.acquire(csv, tmp_path / "raw", lambda line: None)
    assert "600 ratings, expected 20,000,263" in reader._difference(_lines(reader.files(raw)[0]), raw)


def test_only_the_home_page_has_the_known_checksum():
    assert MovieLens("25m")._origin.md5 == LAYOUTS["25m"].md5
    assert MovieLens("25m")._origin.address == "https://files.grouplens.org/datasets/movielens/ml-25m.zip"
    mirror = MovieLens("25m", address="http://mirror/ml-25m.zip")
    assert mirror._origin.md5 is None
    assert mirror.settings == MovieLens("25m").settings  # so that the fingerprint is one


def test_ones_own_copy_with_other_ratings_is_used_and_said(read, dat):
    lines = []
    _, table = read("1m", dat, lines)
    said = "not ml-1m.zip as published: 600 ratings, expected 1,000,209; it is used as it is"
    assert any(line.startswith("warning: data.source=") and said in line for line in lines)
    assert any(said in note for note in table.notes)


def test_a_renewed_set_has_no_number_of_ratings_to_keep(read, csv):
    lines = []
    _, table = read("latest_small", csv, lines)
    assert not any("warning" in line for line in lines)
    assert list(table.notes) == []


@pytest.mark.parametrize(
    ("layout", "file", "line", "new", "says"),
    [
        ("1m", "ratings.dat", 3, "1::2::4", r"ratings\.dat, line 3"),
        ("1m", "ratings.dat", 600, "1::2::four::978300760", r"ratings\.dat, line 600.*four"),
        ("1m", "ratings.dat", 1, "x::2::4::978300760", r"ratings\.dat, line 1\b"),
        ("1m", "users.dat", 2, "1::F::25::1::55455", r"users\.dat, line 2: user 1 is there twice"),
        ("1m", "movies.dat", 4, "8::A film::Drama::more", r"movies\.dat, line 4"),
        ("1m", "movies.dat", 5, "8::A film (1990)::Drama", r"movies\.dat, line 5: item 8 is there twice"),
        ("latest_small", "ratings.csv", 2, "1,3,4.0", r"ratings\.csv, line 2"),
        ("latest_small", "ratings.csv", 1, "userId,movieId,stars,timestamp", r"ratings\.csv.*'rating'"),
        ("latest_small", "movies.csv", 3, "3,Heat (1995),Drama", r"movies\.csv, line 3: item 3 is there twice"),
    ],
)
def test_bad_lines_are_named(read, dat, csv, layout, file, line, new, says):
    folder = dat if layout == "1m" else csv
    change(folder / file, line, new)
    with pytest.raises(DataError, match=says):
        read(layout, folder)


def test_ids_that_nothing_is_known_of_are_kept_and_said(read, dat):
    change(dat / "movies.dat", 1, None)
    change(dat / "users.dat", 2, None)
    frame, table = read("1m", dat)
    unknown = frame.filter(pl.col("item") == 2)
    assert len(frame) == 600
    assert unknown["title"].null_count() == len(unknown) > 0
    assert frame.filter(pl.col("user") == 2)["age"].null_count() == movielens_1m.EACH
    said = "ratings have an id that {} does not list; what it says is missing there"
    assert f"{len(unknown)} {said.format('movies.dat')}" in table.notes
    assert f"{movielens_1m.EACH} {said.format('users.dat')}" in table.notes


@pytest.mark.parametrize("missing", ["users.dat", "movies.dat", "ratings.dat"])
def test_files_that_lack(read, dat, missing):
    (dat / missing).unlink()
    with pytest.raises(DataError, match=r"holds no ratings\.dat, movies\.dat, users\.dat beside each other"):
        read("1m", dat)


def test_an_empty_file(read, csv):
    (csv / "ratings.csv").write_text("")
    with pytest.raises(DataError, match=r"ratings\.csv"):
        read("latest_small", csv)


def test_a_layout_that_there_is_not():
    with pytest.raises(ConfigError, match=r"data\.reader\.layout must be one of 1m, latest_small, .*, got '10m'"):
        MovieLens("10m")


def test_files_are_all_that_is_read(read, dat, tmp_path):
    reader = MovieLens("1m")
    raw = reader.acquire(dat, tmp_path, lambda line: None)
    assert [path.name for path in reader.files(raw)] == ["ratings.dat", "movies.dat", "users.dat"]


@pytest.mark.slow
def test_all_ratings_of_1m(read, shared_data):
    frame, table = read("1m", shared_data / "ml-1m" / "ml-1m-all-ratings.zip")
    assert table.account.kept == 1_000_209
    assert list(table.notes) == []
    counts = dict(frame["rating"].value_counts().iter_rows())
    assert counts == {1: 56_174, 2: 107_557, 3: 261_197, 4: 348_971, 5: 226_310}
    assert (frame["user"].n_unique(), frame["item"].n_unique()) == (6040, 3706)
    assert sum(frame.null_count().row(0)) == 0
    assert frame.row(0, named=True) | {"genres": None} == {
        "user": 1,
        "item": 1193,
        "rating": 5.0,
        "timestamp": 978300760,
        "gender": "F",
        "age": 1,
        "occupation": 10,
        "zip": "48067",
        "title": "One Flew Over the Cuckoo's Nest",
        "year": 1975,
        "genres": None,
    }
