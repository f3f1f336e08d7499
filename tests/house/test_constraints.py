import re
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]


def pins() -> dict[str, Version]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(name): Version(pin) for name, pin in pairs}


def test_every_requirement_has_a_pin_inside_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["dev"]]
    pinned = pins()
    missing = [r.name for r in requirements if canonicalize_name(r.name) not in pinned]
    assert missing == []
    assert [str(r) for r in requirements if not r.specifier.contains(pinned[canonicalize_name(r.name)])] == []


def test_torch_is_the_version_that_the_stack_was_tried_with() -> None:
    assert pins()["torch"] == Version("2.13.0")


def test_no_pin_ties_the_set_to_one_platform_or_place() -> None:
    text = (ROOT / "constraints.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if re.search(r"[+@/]", line)] == []
    assert [line for line in lines if re.match(r"nvidia|triton|cuda|taskloom", line, re.IGNORECASE)] == []


def test_the_cpu_build_of_torch_brings_no_cuda_package() -> None:
    if not version("torch").endswith("+cpu"):
        pytest.skip("torch here is not the CPU build")
    names = {canonicalize_name(found.metadata["Name"]) for found in distributions()}
    assert sorted(name for name in names if re.match(r"nvidia-|triton|cuda-", name)) == []
