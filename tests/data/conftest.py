import hashlib
import http.server
import io
import threading
import types
import zipfile
from pathlib import Path

import polars as pl
import pytest

from taskloom.data.acquire import Raw
from taskloom.data.table import Account, Table

ROOT = Path(__file__).parents[2]
GENRES = 19


class Site:
    """A home page on this machine: serves one body, and counts who asks."""

    def __init__(self, body, status=200, promised=None):
        site = self
        self.asked = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked += 1
                self.send_response(status)
                self.send_header("Content-Length", str(promised or len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/data.zip"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class TableReader:
    """A reader of rows that are there already."""

    name = "table"
    user, item, time = "user", "item", "timestamp"

    def __init__(self, frame: pl.DataFrame):
        self.frame = frame
        self.columns = tuple(frame.columns)

    def acquire(self, source, raw_dir, say=print):
        return Raw(Path(raw_dir), "a table", trusted=False)

    def digest(self, raw):
        flat = [pl.col(n).cast(pl.List(pl.String)).list.join("|") for n, t in self.frame.schema.items() if t == pl.List]
        return hashlib.sha256(self.frame.with_columns(flat).write_csv().encode()).hexdigest()

    def files(self, raw):
        return []

    @property
    def settings(self):
        return {}

    def read(self, raw, scratch, say=print):
        return Table(self.frame.lazy(), Account(read=len(self.frame)))


def write_grouplens(folder: Path, ratings=None) -> Path:
    """A small copy in GroupLens' layout: 6 users, 5 films, 30 ratings unless others are given."""
    folder.mkdir(parents=True, exist_ok=True)
    if ratings is None:
        ratings = [(u, i, 1 + (u * i) % 5, 880000000 + 3600 * (7 * u + i)) for u in range(1, 7) for i in range(1, 6)]
    (folder / "u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in ratings))
    (folder / "u.user").write_text("".join(f"{u}|{20 + 5 * u}|{'MF'[u % 2]}|other|{u}A{u}00\n" for u in range(1, 7)))
    items = [
        f"{i}|Café {i} (199{i})|01-Jan-199{i}||http://x|"
        + "|".join("1" if g in (i, i + 1) else "0" for g in range(GENRES))
        for i in range(1, 6)
    ]
    (folder / "u.item").write_bytes(("\n".join(items) + "\n").encode("latin-1"))
    return folder


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def zip_of(folder: Path, inner: str = "ml-100k") -> bytes:
    return zipped({f"{inner}/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())})


def to_recbole(folder: Path, out: Path) -> Path:
    """The same content in RecBole's layout, with its two spellings of its own."""
    out.mkdir(parents=True, exist_ok=True)
    inter = (folder / "u.data").read_text().rstrip("\n")
    (out / "ml-100k.inter").write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + inter)
    users = (folder / "u.user").read_text().replace("|", "\t")
    (out / "ml-100k.user").write_text(
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n" + users
    )
    names = [line.split("|")[0] for line in (folder / "u.genre").read_text().splitlines() if line]
    lines = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    for line in (folder / "u.item").read_text(encoding="latin-1").split("\n"):
        if line:
            fields = line.split("|")
            item, title = fields[:2]
            genres = " ".join(name for name, flag in zip(names, fields[5:], strict=True) if flag == "1")
            bare, year = title.strip().rsplit(" (", 1) if "(" in title else ("unkonwn", "unkonwn")
            lines.append("\t".join([item, bare, year.rstrip(")"), genres]))
    (out / "ml-100k.item").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return out


@pytest.fixture(scope="session")
def real_zip() -> Path:
    path = ROOT.parent / "shared" / "data" / "ml-100k" / "ml-100k.zip"
    if not path.exists():
        pytest.skip("the real MovieLens 100K zip is not at hand")
    return path


@pytest.fixture(scope="session")
def real_folder(real_zip, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    with zipfile.ZipFile(real_zip) as archive:
        for name in ("u.data", "u.user", "u.item", "u.genre"):
            (folder / name).write_bytes(archive.read(f"ml-100k/{name}"))
    return folder


@pytest.fixture
def small_folder(tmp_path) -> Path:
    return write_grouplens(tmp_path / "ml-100k")


@pytest.fixture
def make() -> types.SimpleNamespace:
    """The makers above: test modules cannot import a conftest."""
    return types.SimpleNamespace(TableReader=TableReader, grouplens=write_grouplens, recbole=to_recbole, zip_of=zip_of)


@pytest.fixture
def site(monkeypatch) -> type[Site]:
    """Makes home pages on this machine, which no proxy may stand before."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return Site
