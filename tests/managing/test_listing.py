"""What is listed, how it is picked and sorted, and what is found to be broken."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from managing.made_logs import Logs, age
from taskloom.errors import ConfigError
from taskloom.managing.listing import find

Call = Callable[..., str]
ROOT = Path(__file__).resolve().parents[2]


def names(text: str) -> list[str]:
    """Of the runs and sweeps listed, in order."""
    return re.findall(r"^logs/\w+/(?:multi)?runs/(\S+)", text, re.MULTILINE)


def record(call: Call, *arguments: str) -> dict:
    return json.loads(call("format=json", *arguments))


def test_newest_first_with_all_that_is_known(logs: Logs, call: Call) -> None:
    logs.run("old", days=3, tags=["good", "first"])
    logs.run("new", "failed", model="soft_sharing")
    lines = call().splitlines()
    assert [line.split("  ")[0].strip() for line in lines[:3]] == [
        "folder",
        "logs/train/runs/new",
        "logs/train/runs/old",
    ]
    cells = re.split(r"\s{2,}", lines[1])
    assert cells[:4] == ["logs/train/runs/new", "failed", "soft_sharing films optimizer.lr=0.01", "the loss is nan"]
    assert all(re.fullmatch(r"5m( \d+s)?", cell) for cell in cells[4:6])
    assert cells[6].endswith(" KB")
    assert re.split(r"\s{2,}", lines[2])[3:6] == ["like/auc 0.8000", "rating/rmse 0.7000", "3d"]
    assert "1m 30s" in lines[2]
    assert lines[2].endswith("good, first")
    assert lines[-1].startswith("2 runs (1 done, 1 failed), ")
    assert "checkpoints 2.0 KB, predictions 20 B, rest" in lines[-1]
    assert "\033" not in "".join(lines)


def test_a_sweep_is_one_line_unless_it_is_named(logs: Logs, call: Call) -> None:
    logs.sweep("grid", {"seed-1": "done", "seed-2": "failed", "seed-3": "running", "seed-4": None})
    logs.run("alone")
    text = call()
    assert sorted(names(text)) == ["alone", "grid"]
    assert "1 killed, 1 done, 1 failed, 1 pending" in text
    assert "sweep, 4 jobs" in text
    assert "best like/auc 0.8000" in text
    for argument in ("name=grid", "name=logs/train/multiruns/grid/", "jobs=true"):
        listed = names(call(argument))
        assert {"grid/seed-1", "grid/seed-2", "grid/seed-3", "grid/seed-4"} <= set(listed)
    assert names(call("name=grid/seed-2")) == ["grid", "grid/seed-2"]
    assert "1 of 4 jobs" in call("state=done", "name=grid")


def test_who_works_in_a_folder_is_running(logs: Logs, call: Call, hold: Callable[..., None]) -> None:
    hold(logs.run("alive", "running"))
    logs.run("dead", "running")
    sweep = logs.sweep("grid", {"seed-1": None})
    (sweep.path / "seed-1").mkdir()
    hold(sweep.path / "seed-1", ".claim")
    states = {run["name"]: run["state"] for run in record(call)["runs"]}
    assert states == {"alive": "running", "dead": "killed", "grid/seed-1": "running"}
    assert "python src/train.py resume=logs/train/runs/dead goes on" in call("problems=true")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["state=failed"], {"c"}),
        (["state=failed,killed"], {"c", "d"}),
        (["model=soft*"], {"b"}),
        (["data=films", "model=hard_sharing"], {"a", "c", "d"}),
        (["tag=good"], {"a"}),
        (["older=7d"], {"b"}),
        (["newer=7d"], {"a", "c", "d"}),
        (["larger=50KB"], {"d"}),
        (["name=[ab]"], {"a", "b"}),
        (["name=logs/train/runs/c"], {"c"}),
        (["name=logs/train/runs/*", "state=done"], {"a", "b"}),
        (["where=like/auc > 0.75"], {"a"}),
        (["where=not like/auc > 0.75"], {"b"}),
        (["where=like/auc = null"], {"c", "d"}),
        (["where=(like/auc > 0.75 or optimizer.lr < 0.005) and seed = 1"], {"a", "b"}),
        (["where=val/score >= 0.6 and model = soft_sharing"], {"b"}),
        (["where=model != 'soft_sharing' and age < 3600"], {"a", "c", "d"}),
    ],
)
def test_filters(logs: Logs, call: Call, filters: list[str], expected: set[str]) -> None:
    logs.run("a", auc=0.8, tags=["good"])
    config = {"name": "soft_sharing", "seed": 1, "data": {"name": "films"}, "optimizer": {"lr": 0.001}}
    logs.run("b", auc=0.6, model="soft_sharing", days=10, config=config)
    logs.run("c", "failed")
    logs.run("d", "running", size=60_000)
    assert {run["name"] for run in record(call, *filters)["runs"]} == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("time", ["new", "mid", "old", "none"]),
        ("size", ["old", "mid", "none", "new"]),
        ("like/auc", ["mid", "old", "new", "none"]),
        ("rating/rmse", ["mid", "old", "new", "none"]),  # lower is better
        ("seed", ["mid", "none", "old", "new"]),
    ],
)
def test_sorting(logs: Logs, call: Call, sort: str, expected: list[str]) -> None:
    logs.run("old", auc=0.7, days=2, size=9000, seed=3)
    logs.run("mid", auc=0.8, days=1, size=8000, seed=1)
    logs.run("new", auc=0.6, size=1000, seed=4)
    logs.run("none", "failed", days=3, size=7000, seed=2)
    assert names(call(f"sort={sort}")) == expected


def test_what_is_shown_may_be_limited(logs: Logs, call: Call) -> None:
    for k in range(5):
        logs.run(f"run{k}", days=k)
    text = call("limit=2")
    assert names(text) == ["run0", "run1"]
    assert "2 of 5 lines" in text
    assert text.splitlines()[-1].startswith("5 runs (5 done)")
    assert len(names(call())) == 5  # a pipe gets all


def test_debug_runs_only_where_asked_for(logs: Logs, call: Call) -> None:
    logs.run("step", room="debug")
    assert "no run in logs yet" in call()
    assert names(call("debug=true")) == ["step"]


def test_what_nothing_matches_says_what_there_is(logs: Logs, call: Call) -> None:
    logs.run("a", tags=["good"])
    assert call("model=banana") == "none of 1 run is that (models: hard_sharing)\n"
    assert call("tag=bad") == "none of 1 run is that (tags: good)\n"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("sate=done", "Unknown key sate: did you mean state?"),
        ("state=dne", "state must be running, .*, got 'dne': did you mean done?"),
        ("older=7", "older must be a number with its unit, such as 30m, 12h, 7d or 2w, got '7'"),
        ("larger=big", "larger must be a number with its unit"),
        ("where=like/auc >", "where='like/auc >': it ends too early"),
        ("where=like/auc 0.7", "no comparison"),
        ("where=(like/auc > 0.7", "ends too early"),
        ("where=like/auc > 0.7 )", "cannot go on at '\\)'"),
        ("where=__import__('os').system('true') = 1", "is no comparison"),
        ("where=like/auk > 0.7", "no run has like/auk: did you mean like/auc?"),
        ("sort=like/acu", "no run has like/acu: did you mean like/auc?"),
        ("problems=maybe", "problems must be true or false, got 'maybe'"),
        ("limit=0", "limit must be a whole number >= 1"),
        ("format=xml", "format must be table or json"),
        ("add_tag=two words", "a tag is a word of letters"),
        ("state", "Cannot read 'state': write key=value"),
        ("--verbose", "takes key=value alone"),
        ("yes=true", "nothing to agree to"),
        ("delete=true", "needs to know which runs"),
        ("prune=all", "prune must be last, checkpoints or leftovers"),
        ("add_tag=x", "needs to know which runs"),
    ],
)
def test_mistakes(logs: Logs, call: Call, argument: str, message: str) -> None:
    logs.run("a")
    before = logs.files()
    with pytest.raises(ConfigError, match=message):
        call(argument)
    assert logs.files() == before


def broken(logs: Logs, kind: str) -> Path:
    folder = logs.run("x", "running" if kind in ("killed", "no checkpoint") else "done", days=1)
    for file in {
        "no predictions": ["predictions/test.parquet"],
        "no best": ["checkpoints/best.ckpt"],
        "no metrics": ["metrics.jsonl"],
        "no record": ["run.json"],
        "no checkpoint": ["checkpoints/last.ckpt"],
    }.get(kind, []):
        (folder / file).unlink()
    if kind == "torn record":
        (folder / "run.json").write_text('{"state": "do')
    if kind == "another record":
        (folder / "run.json").write_text('{"state": "asleep"}')
    if kind == "no scores":
        (folder / "run.json").write_text('{"state": "done", "test": null, "config": [], "created": 7, "tags": "x"}')
    if kind == "torn metrics":
        (folder / "metrics.jsonl").write_text('{"step": 1}\n{"step"')
    if kind == "strays":
        (folder / "checkpoints" / ".last.ckpt.0123abcd.part").write_bytes(b"x" * 5000)
    age(folder, 3600)
    return folder


@pytest.mark.parametrize(
    ("kind", "state", "what", "advice"),
    [
        ("killed", "killed", "says that it is running, and no process does", "resume=logs/train/runs/x goes on"),
        ("no checkpoint", "killed", "says that it is running", "from the beginning: it has no checkpoint"),
        ("no predictions", "done", "without predictions/test.parquet", "name=x delete=true"),
        ("no best", "done", "without checkpoints/best.ckpt", "keep it, or python src/runs.py name=x delete=true"),
        ("no metrics", "done", "without metrics.jsonl", "delete=true"),
        ("no scores", "done", "without test scores in run.json", "delete=true"),
        ("no record", "broken", "no run.json: it ended before it began", "python src/runs.py name=x delete=true"),
        ("torn record", "broken", "run.json cannot be read", "delete=true"),
        ("another record", "broken", "its state is none of", "delete=true"),
        ("torn metrics", "done", "metrics.jsonl ends in the middle of a line", "nothing to do"),
        ("strays", "done", ".last.ckpt.0123abcd.part", "name=x prune=leftovers"),
    ],
)
def test_broken_runs_and_what_to_do(logs: Logs, call: Call, kind: str, state: str, what: str, advice: str) -> None:
    logs.run("whole")
    broken(logs, kind)
    found = {run["name"]: run for run in record(call)["runs"]}
    assert found["x"]["state"] == state
    assert found["whole"]["problems"] == []
    (problem,) = found["x"]["problems"]
    assert what in problem["what"]
    assert advice in problem["advice"]
    assert "! 1 folder with something wrong" in call()
    text = call("problems=true")
    assert names(text.split("\n\n")[0]) == ["x"]
    assert f"logs/train/runs/x: {problem['what']}\n    {problem['advice']}" in text


def test_a_folder_without_record_may_be_a_run_that_starts(logs: Logs, call: Call) -> None:
    folder = logs.folder / "train/runs/new/.hydra"
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    assert record(call)["runs"][0]["state"] == "starting"
    age(folder.parent, 3600)
    assert record(call)["runs"][0]["state"] == "broken"


def test_broken_sweeps(logs: Logs, call: Call) -> None:
    ledger = logs.sweep("gone", {"seed-1": "done", "seed-2": "done"})
    for path in sorted((ledger.path / "seed-2").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (ledger.path / "seed-2").rmdir()
    logs.sweep("torn", {"seed-1": "done"})
    (logs.folder / "train/multiruns/torn/sweep.json").write_text('{"kind": "grid", "jo')
    text = call("problems=true")
    assert "multiruns/gone: done once, and their folders are gone: seed-2\n" in text
    assert "python src/train.py -m resume=logs/train/multiruns/gone repeats them" in text
    assert "multiruns/torn: " in text
    assert "sweep.json cannot be read" in text
    assert "python src/runs.py name=torn delete=true deletes all" in text
    states = {run["name"]: run["state"] for run in record(call)["runs"]}
    assert states == {"gone/seed-1": "done", "gone/seed-2": "pending", "torn/seed-1": "done"}


def test_a_job_that_failed_before_its_record_says_why(logs: Logs, call: Call) -> None:
    ledger = logs.sweep("grid", {"seed-1": None})
    ledger.log(ledger.jobs[0], "failed", "data.source is not there")
    (run,) = record(call)["runs"]
    assert (run["state"], run["reason"]) == ("failed", "data.source is not there")


def test_runs_of_earlier_days(logs: Logs, call: Call) -> None:
    """A record without overrides, choices, tags and the like; a multirun without sweep.json."""
    folder = logs.run("0_seed-1", sweep="earlier", choices=None, overrides=None, finished=None)
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text("- model=hard_sharing\n- seed=1\n")
    (run,) = record(call)["runs"]
    assert (run["model"], run["data"], run["overrides"]) == ("hard_sharing", "films", ["model=hard_sharing", "seed=1"])
    assert run["problems"] == []
    assert record(call)["sweeps"][0]["problems"] == []


def test_what_vanishes_meanwhile_is_not_there(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    from taskloom.managing import listing

    logs.run("a")
    logs.run("b")
    contents = listing.contents

    def vanishing(folder: Path, *leave: Iterable[str]) -> object:
        if folder.name == "b":
            folder.rename(logs.root / "elsewhere")
        return contents(folder, *leave)

    monkeypatch.setattr(listing, "contents", vanishing)
    assert [run.name for run in find(logs.folder).runs] == ["a"]


def test_links_are_named_and_not_counted(logs: Logs, call: Call) -> None:
    elsewhere = Logs(logs.root / "disk").run("far", size=10**6)
    (logs.folder / "train/runs").mkdir(parents=True)
    (logs.folder / "train/runs/far").symlink_to(elsewhere)
    (run,) = record(call)["runs"]
    assert (run["state"], run["bytes"]["total"]) == ("done", 0)
    assert "done (link)" in call()


def test_as_a_person_calls_it_without_torch(logs: Logs) -> None:
    logs.run("a")
    script = (
        "import sys; sys.path.insert(0, 'src'); import runs; code = runs.main();"
        "print('loaded', *sorted({'torch', 'lightning', 'wandb', 'polars', 'numpy'} & set(sys.modules)));"
        "sys.exit(code)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, f"paths.root={logs.root}", "where=like/auc > 0.7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"{logs.folder}/train/runs/a" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "loaded"


def test_a_narrow_terminal_has_what_a_run_is_under_its_folder(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    from io import StringIO

    from rich.console import Console

    from taskloom.managing.table import lines, print_lines

    monkeypatch.setenv("TERM", "xterm")  # a dumb one has no colours
    logs.run("a", model="soft_sharing", tags=["good"])
    found = find(logs.folder)
    for width, expected in ((80, 3), (200, 2)):
        out = StringIO()
        print_lines(lines(found.runs, found, jobs=False), Console(file=out, force_terminal=True, width=width))
        text = re.sub(r"\033\[[0-9;]*m", "", out.getvalue())
        assert "\033[" in out.getvalue()
        assert len(text.splitlines()) == expected
        assert "logs/train/runs/a" in text  # whole, so that it can be copied
        assert "soft_sharing films optimizer.lr=0.01" in text
