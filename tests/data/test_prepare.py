"""Preparing: two processes at once, killed ones, raw files that change, and what names a store."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from taskloom.data.acquire import Raw
from taskloom.data.datamodule import DataModule
from taskloom.data.recipe import Known, Recipe, fingerprint
from taskloom.data.spec import parse_features, parse_split, parse_tasks

SRC = Path(__file__).resolve().parents[2] / "src"
SCRIPT = """
import sys, time
from pathlib import Path
import polars as pl
from taskloom.data import build as room
from taskloom.data.acquire import Raw
from taskloom.data.datamodule import DataModule
from taskloom.data.table import Account, Table

class Csv:
    name, user, item, time, columns = "csv", "user", "item", "time", None
    def acquire(self, source, raw_dir, say=print):
        return Raw(Path(source), "here", trusted=False)
    def read(self, raw, scratch, say=print):
        print("reading", flush=True)
        frame = pl.read_csv(raw.path)
        return Table(frame.lazy(), Account(read=len(frame)))

if sys.argv[2] == "slow":  # stop in the middle of writing, until killed
    add = room.NpyWriter.add
    def slowly(self, values):
        add(self, values)
        print("writing", flush=True)
        sys.stdin.read()
    room.NpyWriter.add = slowly
kinds = {"user": {"kind": "categorical", "side": "user"}, "item": {"kind": "categorical", "side": "item"}}
data = DataModule(Csv(), "csv", kinds, {"r": {"kind": "regression", "target": "rating"}}, {"kind": "random"}, 8, 8,
                  source=sys.argv[1] + "/t.csv", raw_dir="raw", processed_dir=sys.argv[1] + "/processed")
data.prepare_data()
data.setup()
print("fingerprint", data.fingerprint, len(data.store.split("train")), flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    rows = [f"{i % 7},{i % 5},{i % 4},{i}" for i in range(60)]
    (tmp_path / "t.csv").write_text("user,item,rating,time\n" + "\n".join(rows) + "\n")
    return tmp_path


def start(folder, how="fast"):
    environment = {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), how], text=True, env=environment, **pipes)


def end(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.splitlines()


def stores(folder):
    return sorted(path.name for path in (folder / "processed").iterdir() if not path.name.startswith("."))


def test_two_at_once_give_one_whole_store(folder):
    said = [end(process) for process in [start(folder), start(folder)]]
    assert said[0][-1] == said[1][-1]
    assert stores(folder) == [said[0][-1].split()[1]]


def test_a_killed_build_leaves_nothing_that_looks_finished_and_the_next_one_works(folder):
    process = start(folder, "slow")
    lines = iter(process.stdout.readline, "")
    assert "writing" in [line.strip() for line in (next(lines), next(lines))]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert stores(folder) == []
    assert end(start(folder))[-1].endswith(" 48")
    assert len(stores(folder)) == 1


def test_untouched_files_are_not_read_again_and_changed_ones_are(folder):
    first, again = end(start(folder)), end(start(folder))
    assert "reading" in first
    assert "reading" not in again
    assert first[-1] == again[-1]
    table = folder / "t.csv"
    table.write_text(table.read_text().replace("\n3,", "\n4,", 1))
    changed = end(start(folder))
    assert "reading" in changed
    assert changed[-1].split()[1] != first[-1].split()[1]
    # The same bytes written anew have the fingerprint that they had.
    table.write_text(table.read_text())
    touched = end(start(folder))
    assert "reading" not in touched
    assert touched[-1] == changed[-1]


FEATURES = {"user": {"kind": "categorical", "side": "user"}}
TASKS = {"like": {"kind": "binary", "target": "rating >= 3"}}


def made(shift=0):
    values = [i + shift for i in range(60)]
    return pl.DataFrame({"user": values, "item": values, "rating": [i % 6 for i in values], "time": values})


PLUGIN = """
class Mine:
    name, user, item, time, columns, version = "mine", "user", "item", "time", None, {version}
    def __init__(self, option=1):
        self.option = option
    def acquire(self, source, raw_dir, say=print):
        return Raw(Path(source), "here", trusted=False)
    def read(self, raw, scratch, say=print):
        return doubled(raw)

def doubled(raw):
    return raw, {factor}
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A reader outside the package, and names of what it reads."""
    raw = Raw(tmp_path / "raw", "here", trusted=False)
    raw.path.mkdir()
    for name in ("a.csv", "b.csv"):
        (raw.path / name).write_text(f"x\n{name}\n")

    def reader(option=1, version=1, factor=2):
        path = tmp_path / f"v{version}_{factor}" / "my_reader.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PLUGIN.format(version=version, factor=factor))
        found = importlib.util.spec_from_file_location("my_reader", path)
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        monkeypatch.setitem(sys.modules, "my_reader", module)
        return module.Mine(option)

    return reader, raw


def a_recipe(**split):
    return Recipe(
        tuple(parse_features(FEATURES)),
        tuple(parse_tasks(TASKS)[1]),
        parse_split({"kind": "random", **split}),
        "user",
        "item",
        "time",
    )


def test_all_that_makes_other_rows_makes_another_fingerprint(plugin, monkeypatch, tmp_path):
    reader, raw = plugin
    recipe = a_recipe()

    def names(what, recipe=recipe):
        known = Known(tmp_path, what, raw, recipe)._file.name
        return fingerprint(what, raw, recipe), known

    seen = [names(reader())]
    assert names(reader()) == seen[0]
    seen += [names(reader(option=2)), names(reader(version=2)), names(reader(factor=3))]  # the last in a function
    seen += [names(reader(), a_recipe(seed=3)), names(reader(), a_recipe(sample=0.5))]
    core = Recipe(recipe.features, recipe.targets, recipe.split, "user", "item", "time", core={"user": 3})
    seen += [
        names(reader(), core),
        names(reader(), Recipe(recipe.features, recipe.targets, recipe.split, "user", "item", None)),
    ]
    raised = reader()
    type(raised).version = 7  # the same code, of a raised version
    seen.append(names(raised))
    with monkeypatch.context() as patch:
        patch.setattr("taskloom.data.recipe.FORMAT", -1)
        seen.append(names(reader()))
    (raw.path / "b.csv").write_text("x\nc.csv\n")
    seen.append(names(reader()))
    (raw.path / "b.csv").rename(raw.path / "c.csv")
    seen.append(names(reader()))
    (raw.path / "d.csv").write_text("")
    seen.append(names(reader()))
    for found in zip(*seen, strict=True):
        assert len(set(found)) == len(seen)


def test_files_of_one_size_and_time_are_told_apart_by_their_place(plugin, tmp_path):
    reader, raw = plugin
    known = Known(tmp_path / "p", reader(), raw, a_recipe())
    assert known.recall() is None
    known.remember("name")
    assert Known(tmp_path / "p", reader(), raw, a_recipe()).recall() == "name"
    path = raw.path / "a.csv"
    stat = path.stat()
    (raw.path / "new").write_text("x\nz.csv\n")
    os.utime(raw.path / "new", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(raw.path / "new", path)
    assert path.stat().st_size == stat.st_size
    assert Known(tmp_path / "p", reader(), raw, a_recipe()).recall() is None
    again = path.read_bytes()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert path.read_bytes() == again
    known = Known(tmp_path / "p", reader(), raw, a_recipe())
    known.remember("other")
    assert known.recall() == "other"


def test_a_reader_that_makes_its_rows_is_known_by_their_content(make, tmp_path):
    def known(frame):
        reader = make.TableReader(frame)
        return Known(tmp_path, reader, reader.acquire(None, tmp_path), a_recipe())

    known(made()).remember("name")
    assert known(made()).recall() == "name"
    assert known(made(1)).recall() is None


def test_a_store_that_was_deleted_is_built_again(make, tmp_path):
    def opened():
        reader = make.TableReader(made())
        reader.time = "time"
        places = {"raw_dir": tmp_path, "processed_dir": tmp_path / "p", "say": lambda line: None}
        data = DataModule(reader, "t", {"user": FEATURES["user"]}, TASKS, {"kind": "random"}, 8, 8, **places)
        data.prepare_data()
        return data

    folder = opened().store.folder
    shutil.rmtree(folder)
    assert opened().store.folder == folder
    assert (folder / "meta.json").exists()


def test_every_file_that_a_reader_names_counts(plugin, tmp_path):
    reader, raw = plugin
    what = reader()
    what.__class__.files = lambda self, raw: [raw.path / "a.csv", raw.path / "b.csv"]

    def names():
        return fingerprint(what, raw, a_recipe()), Known(tmp_path, what, raw, a_recipe())._file.name

    before = names()
    (raw.path / "c.csv").write_text("not looked at")
    assert names() == before
    (raw.path / "b.csv").write_text("other\n")
    assert not set(names()) & set(before)
