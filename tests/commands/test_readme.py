"""README.md, CONTRIBUTING.md and docs/ as a reader follows them: files of a page are written, commands run.

Commands run in this process, beside a copy of the project's configs, on small data; what a process of its own
shows is in test_train_command.py and near the end of this file.
"""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from taskloom.config.command import run_command
from taskloom.config.compose import composer
from taskloom.config.preflight import preflight
from taskloom.heads import HEADS
from taskloom.tracking.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w+) ?([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")


@dataclass(frozen=True)
class Command:
    """One line of a shell block.

    Args:
        line: as it stands there.
        environment: the variables set before it.
        words: programme and arguments, without quotes.
    """

    line: str
    environment: dict[str, str]
    words: list[str]


@dataclass
class Page:
    """What a page asks a reader to do.

    Args:
        path: of the page.
        files: those that its blocks name, to their content.
        commands: in order.
        scripts: Python blocks that name no file.
        other: languages of the blocks that nobody runs.
    """

    path: Path
    files: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    other: set[str] = field(default_factory=set)


def read_page(path: Path) -> Page:
    """Takes a page of Markdown apart."""
    page = Page(path)
    for language, name, text in _FENCE.findall(path.read_text(encoding="utf-8")):
        if language == "sh":
            page.commands += [_command(line) for line in text.splitlines() if line.strip()]
        elif name.strip():
            page.files[name.strip()] = text
        elif language == "python":
            page.scripts.append(text)
        else:
            page.other.add(language)
    return page


def _command(line: str) -> Command:
    words = shlex.split(line)
    environment = {}
    while _ASSIGNMENT.fullmatch(words[0]):
        key, _, value = words.pop(0).partition("=")
        environment[key] = value
    return Command(line, environment, words)


PAGES = [
    read_page(path) for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
]
COMMANDS = [command for page in PAGES for command in page.commands]
NINE = "-m model=single_task,hard_sharing,soft_sharing seed=1,2,3"


def small(words: list[str], run: list[str]) -> list[str]:
    """The words, and of the overrides for a small run those that they leave open."""
    keys = {word.split("=")[0].lstrip("+~") for word in words}
    groups = {key.split(".")[0] for key in keys}
    free = [o for o in run if o.split("=")[0] not in keys]
    return [*words, *(o for o in free if o != "logger=none" or "logger" not in groups)]


def ids(value: Any) -> str:
    return value.path.name if isinstance(value, Page) else value.line if isinstance(value, Command) else ""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the project's configs, where a reader stands."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    modules, heads = set(sys.modules), dict(HEADS)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    HEADS.clear()
    HEADS.update(heads)


def call(command: Command, project: Path, extra: list[str]) -> int:
    """Runs a Python command of a page in this process."""
    name = Path(command.words[1]).stem
    words = command.words[2:]
    trains = name == "train" and not any(word.startswith("resume=") for word in words)
    if name in ("compare", "runs"):
        return run_command(name, [*words, *(o for o in extra if o.startswith("paths."))], project / "conf")
    if name == "data":
        extra = [override for override in extra if override.startswith(("data.source", "paths."))]
        return run_command(name, small(words, extra), project / "conf")
    return run_command(name, small(words, extra) if trains else [*words, *extra], project / "conf")


def settings(run: list[str], project: Path) -> list[str]:
    """Overrides for a run of one epoch on small data that writes to the project."""
    replaced = ("paths.", "method.epochs")
    return [*(o for o in run if not o.startswith(replaced)), "method.epochs=1", f"paths.root={project}"]


def interrupt(runs: Path) -> None:
    """Makes the latest run one that was killed."""
    last = max(runs.iterdir())
    RunFolder.open(last).update(state="running")


def test_links_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.path.read_text(encoding="utf-8")):
            if "://" not in target and not (page.path.parent / target).exists():
                broken.append(f"{page.path.name}: {target}")
    assert broken == []


def test_every_block_is_run_or_is_output() -> None:
    """What is not a command, a named file or a script is marked as text."""
    assert {language for page in PAGES for language in page.other} <= {"text"}
    assert len(COMMANDS) > 30
    known = ("make", "python", "bash", ".venv/bin/pre-commit")
    assert [command.line for command in COMMANDS if command.words[0] not in known] == []


def combinations() -> list[tuple[str, list[str], list[str]]]:
    """Of each row in the README's table: the axis, the members, the overrides."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\| axis \|.*?\n\n", text, re.DOTALL)
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:] if line]
    return [(axis, re.findall(r"`(\w+)`", members), shlex.split(how.strip("`"))) for axis, members, how in rows]


@pytest.mark.parametrize(("axis", "members", "how"), combinations(), ids=[c[0] for c in combinations()])
def test_the_table_of_what_can_be_combined_is_true(axis: str, members: list[str], how: list[str]) -> None:
    with composer(ROOT / "conf", "train") as compose:
        composed = compose.compose(how)
    assert composed.problems == []
    assert [p.text for p in preflight(composed.config)] == []
    group = how[0].split("=")[0]
    there = {file.stem for file in (ROOT / "conf" / group).glob("*.yaml")}
    others = {"tasks": composed.config["data"]["tasks"], "data.tasks.rating.kind": HEADS}
    assert set(members) == set(others.get(group, there))


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.words[0] == "make"], ids=ids)
def test_make_targets_are_there(command: Command) -> None:
    done = subprocess.run([*command.words, "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "src/train.py" in done.stdout or "-m " in done.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.words[0] not in ("make", "python")], ids=ids)
def test_other_commands_are_there(command: Command) -> None:
    if command.words[0] == "bash":
        assert (ROOT / command.words[1]).is_file()
    else:
        assert "pre-commit>=" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert (ROOT / ".pre-commit-config.yaml").is_file()


def test_what_python_runs_is_there() -> None:
    own = {name for page in PAGES for name in page.files}
    scripts = [c.words[1] for c in COMMANDS if c.words[0] == "python" and c.words[1] not in own]
    scripts += re.findall(r"python (\w+/\w+\.py)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [script for script in dict.fromkeys(scripts) if not (ROOT / script).is_file()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.files or page.commands], ids=ids)
def test_a_page_can_be_followed(
    page: Page,
    project: Path,
    small_run: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its files, then its Python commands in order, as they stand there but small and for one epoch."""
    for name, text in page.files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    (project / "shop.csv").write_text(shop(), encoding="utf-8")
    # Factorisation suits none of the tables of docs/own_tables.md, and the page on floors names its own.
    here = [o if not o.startswith("floors=") else "floors=[constant]" for o in settings(small_run, project)]
    runs = project / "logs/train/runs"
    for command in page.commands:
        if command.words[0] != "python" or NINE in command.line or "--help" in command.line:
            continue
        if command.words[1] in page.files:
            runpy.run_path(str(project / command.words[1]))
            continue
        extra = here
        several = "-m" in command.words  # a sweep's last is the page's own
        if "resume=last" in command.words and several:
            extra = [f"paths.root={project}"]
        elif "resume=last" in command.words or "run=last" in command.words:
            extra = [f"paths.root={project}"]
            if not runs.exists():  # the page begins with a run that is there
                first = ["debug=step", "hydra.run.dir=logs/train/runs/one", *here]
                assert run_command("train", first, project / "conf") == 0
        if "resume=last" in command.words and not several:
            interrupt(runs)
        with monkeypatch.context() as environment:
            for key, value in command.environment.items():
                environment.setenv(key, value)
            code = call(command, project, extra)
        assert code == 0, f"{command.line}\n{capsys.readouterr().err}"
    assert "Traceback" not in capsys.readouterr().err
    for script in page.scripts:
        script_runs(script, project, here)


def script_runs(script: str, project: Path, here: list[str]) -> None:
    """A Python block, with the small data's overrides where it composes a config."""
    overrides = "".join(f", {override!r}" for override in here if override != "logger=none")
    script = re.sub(r'"logger=none"\]', f'"logger=none"{overrides}]', script)
    names: dict[str, Any] = {}
    exec(compile(script, "block", "exec"), names)
    if "losses" in names:
        assert names["losses"]
    if "like" in names:
        assert len(names["like"]) == len(names["rating"]) == 64


def shop() -> str:
    """The table that docs/data.md speaks of: 400 events, half of them clicks."""
    rows = ["user,item,time,clicked,seconds"]
    for i in range(400):
        clicked = (i * 7 + i // 9) % 2
        rows.append(f"u{i % 23},i{i % 17},{1_700_000_000 + 900 * i},{clicked},{i % 50 if clicked else ''}")
    return "\n".join(rows) + "\n"


def test_nine_jobs_are_nine_folders_nine_offline_wandb_runs_and_one_table(
    project: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's multirun, with its default logger."""
    (command,) = [c for c in COMMANDS if NINE in c.line]
    monkeypatch.setenv("WANDB_MODE", "offline")
    here = [override for override in settings(small_run, project) if override != "logger=none"]
    assert call(command, project, here) == 0
    records = [RunFolder.open(f.parent).read() for f in project.glob("logs/train/multiruns/*/*/run.json")]
    assert len(records) == 9
    assert {(r["config"]["name"], r["seed"]) for r in records} == {
        (name, seed) for name in ("single_task", "hard_sharing", "soft_sharing") for seed in (1, 2, 3)
    }
    assert len({record["wandb"]["id"] for record in records}) == 9
    assert {record["wandb"]["mode"] for record in records} == {"offline"}
    assert len(list(project.glob("logs/train/multiruns/*/*/wandb/offline-run-*/*.wandb"))) == 9
    printed = capsys.readouterr().out
    above, _ = printed.split("mean ± standard error over seeds")
    table = above[above.rindex("\n  model ") :]
    for name in ("single_task .*±", "hard_sharing .*±", "soft_sharing .*±", "floor: constant ", "floor: bias "):
        assert len(re.findall(rf"^ *{name}", table, re.MULTILINE)) == 1, table
    aucs = [record["test"]["like/auc"] for record in records if record["config"]["name"] == "hard_sharing"]
    assert f"{sum(aucs) / 3:.4f} ± " in table


def test_a_process_trains_and_another_tests_the_same_numbers(small_run: list[str], tmp_path: Path) -> None:
    """The README's first lines, each a process of its own, from another folder."""

    def process(script: str, *arguments: str) -> str:
        command = [sys.executable, str(ROOT / "src" / script), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "\033" not in done.stdout
        return done.stdout

    root = f"paths.root={tmp_path}"
    trained = process("train.py", *small(["model=hard_sharing", "seed=3", root], small_run))
    tested = process("evaluate.py", "run=last", root)
    assert "the same numbers as in run.json" in tested
    rows = [line for line in trained.splitlines() if line.startswith("  hard_sharing ")]
    assert len(rows) == 2
    assert [line.split()[0] for line in tested.splitlines() if line.startswith("  hard_sharing")] == [
        "hard_sharing"
    ] * 2


def test_the_output_in_the_readme_is_that_of_a_run() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- output of make train .*?-->\n```text\n(.*?)```\n<!-- end -->", text, re.DOTALL)
    for expected in (
        "data movielens_100k, fingerprint",
        "epoch  1/",
        "  soft_sharing  ",
        "  factorisation  ",
        "run folder ",
    ):
        assert expected in block
    assert str(ROOT) not in block
    assert (ROOT / "docs/images/curves.png").read_bytes().startswith(b"\x89PNG")
