import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Stands in for the Python that is found, for the one in .venv and so for pip: it notes each call, makes the
# little that a venv needs, and leaves a file behind when it "installs".
INTERPRETER = """\
#!/bin/sh
echo "$*" >> "$LOG"
case "$1 $2" in
  "-c "*) exit "${TOO_OLD:-0}" ;;
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip") touch .venv/package && exit "${PIP_EXIT:-0}" ;;
esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not on this machine")


class Project:
    """A folder with the real Makefile and a pretended Python, run in a bare environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / ".venv"
        self.log = folder / "log"
        self.python = folder / "pretended-python"
        self.python.write_text(INTERPRETER)
        self.python.chmod(0o755)
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder / name)

    def make(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "LOG": str(self.log), **variables}
        command = ["make", "--no-print-directory", *words]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def install(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Make any target that needs .venv; of the calls, those that made or filled .venv are noted."""
        self.log.write_text("")
        return self.make("types", f"PYTHON={self.python}", **variables)

    @property
    def installed(self) -> list[str]:
        """What the last `install` did to .venv, in order: venv, pip."""
        calls = [line.split() for line in self.log.read_text().splitlines()]
        return [call[1] for call in calls if call[0] == "-m" and call[1] in ("venv", "pip")]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def age(path: Path, seconds: int) -> None:
    stamp = path.stat().st_mtime + seconds
    os.utime(path, (stamp, stamp))


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


def test_help_is_the_default_and_lists_every_target(project: Project) -> None:
    shown = project.make().stdout
    targets = [
        "help",
        "train",
        "evaluate",
        "benchmark",
        "test",
        "test-all",
        "lint",
        "types",
        "check",
        "clean",
    ]
    listed = [line.split()[0] for line in shown.splitlines()[1:]]
    assert listed == targets
    assert all(len(line.split()) > 1 for line in shown.splitlines()[1:])
    assert not project.venv.exists()


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        ("", "model=soft_sharing"),
        ("seed=3", "model=soft_sharing seed=3"),
        ("model=hard_sharing seed=3", "model=hard_sharing seed=3"),
        ("-m model=single_task,hard_sharing", "-m model=single_task,hard_sharing"),
        ("'model=hard_sharing'", "'model=hard_sharing'"),
        ("'tasks=[like]'", "model=soft_sharing 'tasks=[like]'"),
        ("logger.wandb.log_model=true", "model=soft_sharing logger.wandb.log_model=true"),
        ("resume=last", "resume=last"),
        ("experiment=mine", "experiment=mine"),
    ],
)
def test_train_passes_args_on_and_names_a_model_once(project: Project, arguments: str, called: str) -> None:
    assert last_line(project.make("-n", "train", f"ARGS={arguments}")) == f".venv/bin/python src/train.py {called}"


def test_the_fast_suite_leaves_the_slow_tests_out(project: Project) -> None:
    pytest = "OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile"
    assert last_line(project.make("-n", "test")) == f'{pytest} -m "not slow"'
    assert last_line(project.make("-n", "test-all")) == pytest
    assert "pytest -n 7 " in last_line(project.make("-n", "test", "JOBS=7"))


def test_check_is_lint_types_and_test(project: Project) -> None:
    shown = project.make("-n", "check").stdout
    for called in ("ruff check .", "ruff format --check .", "-m mypy", "-m pytest"):
        assert called in shown


def test_the_pinned_set_is_installed_once(project: Project) -> None:
    assert project.install().returncode == 0
    assert project.installed == ["venv", "pip"]
    assert "-c constraints.txt -e .[dev]" in project.log.read_text()

    assert project.install().returncode == 0
    assert project.installed == []


def test_a_failed_install_leaves_no_stamp_and_is_made_anew(project: Project) -> None:
    failed = project.install(PIP_EXIT="3")
    assert failed.returncode != 0
    assert not (project.venv / ".installed").exists()
    assert (project.venv / "package").exists()
    assert "-m mypy" not in project.log.read_text(), "the target ran on a broken .venv"

    (project.venv / "half-copied").touch()
    assert project.install().returncode == 0
    assert project.installed == ["venv", "pip"]
    assert not (project.venv / "half-copied").exists()


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_changed_pin_installs_into_the_venv_in_place(project: Project, changed: str) -> None:
    project.install()
    age(project.folder / changed, 3600)
    project.install()
    assert project.installed == ["pip"]


def test_a_failed_update_is_no_finished_install_either(project: Project) -> None:
    project.install()
    age(project.folder / "constraints.txt", 3600)
    project.install(PIP_EXIT="3")
    age(project.folder / "constraints.txt", -7200)
    project.install()
    assert project.installed == ["venv", "pip"]


def test_a_venv_made_by_hand_is_kept(project: Project) -> None:
    (project.venv / "bin").mkdir(parents=True)
    shutil.copy(project.python, project.venv / "bin" / "python")
    (project.venv / "mine").touch()
    project.install()
    assert project.installed == ["pip"]
    assert (project.venv / "mine").exists()


def test_no_fitting_python_is_one_sentence(project: Project) -> None:
    failed = project.install(TOO_OLD="1")
    assert failed.returncode != 0
    assert "No Python 3.11 or newer with venv and pip found" in failed.stderr
    assert str(project.python) in failed.stderr
    assert "make PYTHON=" in failed.stderr
    assert not project.venv.exists()


def test_python_is_looked_for_under_its_versioned_names(project: Project) -> None:
    shelf = project.folder / "shelf"
    shelf.mkdir()
    (shelf / "python3").write_text("#!/bin/sh\nexit 1\n")
    shutil.copy(project.python, shelf / "python3.12")
    for name in ("python3", "python3.12", "python3.13"):
        (shelf / name).touch()
    (shelf / "python3.13").write_text("#!/bin/sh\nexit 1\n")
    for path in shelf.iterdir():
        path.chmod(0o755)
    made = project.make("types", PATH=f"{shelf}:{os.environ['PATH']}")
    assert made.returncode == 0, made.stderr
    assert "Making .venv with python3.12" in made.stdout


def test_clean_keeps_the_environment_the_data_and_the_runs(project: Project) -> None:
    kept = [".venv/bin/python", "data/raw/u.data", "logs/train/runs/one/run.json", "src/taskloom/tasks.py"]
    gone = [
        ".pytest_cache/x",
        ".mypy_cache/x",
        ".ruff_cache/x",
        "src/taskloom.egg-info/x",
        "src/__pycache__/x",
        "tests/__pycache__/x",
    ]
    for name in [*kept, *gone, "scripts/benchmark.py"]:
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert project.make("clean").returncode == 0
    assert [name for name in kept if not (project.folder / name).exists()] == []
    assert [name for name in gone if (project.folder / name).exists()] == []
