"""The commands as a person calls them, each a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def call(*arguments: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_help_lists_every_group(command: str, tmp_path: Path) -> None:
    answer = call(str(ROOT / "src" / f"{command}.py"), "--help", cwd=tmp_path)
    assert answer.returncode == 0
    assert answer.stderr == ""
    assert "\033[" not in answer.stdout  # no colours in a pipe
    assert max(map(len, answer.stdout.splitlines())) <= 100
    lines = [line.split() for line in answer.stdout.splitlines()]
    if command == "train":
        for group in (path for path in (ROOT / "conf").iterdir() if path.is_dir()):
            assert [words for words in lines if words[:1] == [group.name] and len(words) > 1]
            for member in group.glob("*.yaml"):
                about = [words for words in lines if member.stem in words[:2]]
                # A wrapped sentence may begin with the same word.
                assert max(map(len, about)) > 3, f"{member} begins with no comment that says what it is"


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.path.insert(0, 'src'); import train; sys.argv = ['', '--help']; train.main();"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = call("-c", script).stderr.split()
    assert "taskloom.config.help" in loaded
    assert not {"torch", "lightning", "hydra", "omegaconf", "wandb", "pydantic", "yaml", "polars"} & set(loaded)


def test_a_mistake_from_any_folder(tmp_path: Path) -> None:
    answer = call(str(ROOT / "src" / "train.py"), "optimizer.lrr=1", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "Unknown key optimizer.lrr: did you mean lr?\n"
    assert list(tmp_path.iterdir()) == []


def test_a_value_out_of_range_in_the_real_configs() -> None:
    answer = call("src/train.py", "model=soft_sharing", "model.strength=-1", "data.features.age.kind=dnse")
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == [
        "data.features.age.kind must be categorical, bag, dense, text, time, asof, history or group, got 'dnse': "
        "did you mean dense?",
        "model.strength must be >= 0, got -1",
    ]


def test_the_config_is_shown_whole() -> None:
    answer = call("src/train.py", "--cfg", "job", "--resolve", "model=hard_sharing")
    assert answer.returncode == 0
    assert "name: hard_sharing\n" in answer.stdout
    assert f"logs: {ROOT}/logs\n" in answer.stdout


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("python src/train.py mod", {"model="}),
        ("python src/train.py model=", {"model=hard_sharing", "model=single_task", "model=soft_sharing"}),
        ("python src/train.py trainer=g", {"trainer=gpu"}),
        ("python src/train.py model=soft_sharing model.str", {"model.strength="}),
    ],
)
def test_completion(line: str, choices: set[str]) -> None:
    answer = call("src/train.py", "-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert answer.returncode == 0
    assert choices <= set(answer.stdout.split())


def test_completion_in_a_shell(tmp_path: Path) -> None:
    install = call("src/train.py", "-sc", "install=bash")
    script = f"""
{install.stdout}
COMP_LINE="python src/train.py balancer=e"; COMP_POINT=${{#COMP_LINE}}; COMP_CWORD=2
hydra_bash_completion
echo "${{COMPREPLY[@]}}"
"""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    answer = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.stdout.split() == ["balancer=equal"]
