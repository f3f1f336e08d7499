"""Plugins: the user's own files."""

import hashlib
import sys
from pathlib import Path

import pytest

from taskloom.config.command import run_command
from taskloom.config.plugins import load_plugins, plugin_records
from taskloom.errors import ConfigError


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "my_scheme.py"
    file.write_text("count = []\n\nclass Mine:\n    def __init__(self, backbone, tasks, power: int): ...\n")
    yield file
    sys.modules.pop("my_scheme", None)


def test_twice_is_once(plugin: Path) -> None:
    assert load_plugins(["my_scheme.py"]) == ["my_scheme"]
    module = sys.modules["my_scheme"]
    assert load_plugins([plugin]) == ["my_scheme"]
    assert sys.modules["my_scheme"] is module


def test_record(plugin: Path) -> None:
    assert plugin_records(["my_scheme.py"]) == [
        {"path": str(plugin), "sha256": hashlib.sha256(plugin.read_bytes()).hexdigest()}
    ]


def test_its_classes_are_targets_that_are_checked_too(plugin: Path, conf: Path, job, capsys) -> None:
    (conf / "model" / "far.yaml").write_text("_target_: my_scheme.Mine\npower: 2\n")
    both = f"plugins=[{conf.parent / 'toys.py'},my_scheme.py]"
    assert run_command("train", ["model=far", both, "model.power=x"], conf) == 2
    assert capsys.readouterr().err == "model.power must be an integer, got 'x'\n"
    assert run_command("train", ["model=far", both], conf) == 0
    # Whoever resumes the run may stand elsewhere.
    assert job.calls[0][1]["plugins"] == [str(conf.parent / "toys.py"), str(plugin)]
    sys.modules.pop("my_scheme")
    assert run_command("train", ["model=far"], conf) == 2
    assert "my_scheme.Mine is not allowed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken_plugin.py", "x = 1\ny = z\n", "broken_plugin.py, line 2 fails on import: NameError"),
        ("broken_syntax.py", "def\n", "fails on import: SyntaxError"),
        ("json.py", "", "would hide the module json"),
        ("notes.txt", "", "must be a Python file with a name like"),
        ("my-heads.py", "", "must be a Python file with a name like"),
    ],
)
def test_refused(name: str, content: str, message: str, plugin: Path) -> None:
    (plugin.parent / name).write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_plugins([name])
    assert name.removesuffix(".py") == "json" or name.removesuffix(".py") not in sys.modules
