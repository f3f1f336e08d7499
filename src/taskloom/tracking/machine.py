"""What a run ran on: versions, the code's commit, and the machine without its name."""

import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "taskloom",
    "torch",
    "lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "wandb",
    "polars",
    "numpy",
)
_IMPORTED = time.time()


def describe(root: Path | None = None) -> dict[str, Any]:
    """Versions, git commit and machine, as plain values for run.json.

    Args:
        root: the project's root, for git; by default the checkout this file lies in.

    Example:
        >>> facts = describe()
        >>> sorted(facts)
        ['git', 'machine', 'versions']
        >>> facts["versions"]["torch"] == torch.__version__
        True
    """
    return {
        "versions": _versions(),
        "git": _git(root or Path(__file__).resolve().parents[3]),
        "machine": _machine(),
    }


def peak_memory_mb() -> dict[str, float]:
    """The most memory that this process has held so far, in MiB: the machine's, and a GPU's if it used one.

    Example:
        >>> peak_memory_mb()["host"] > 1
        True
    """
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "darwin":  # the one system that counts in bytes
        kilobytes /= 1024
    peak = {"host": round(kilobytes / 1024, 1)}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        peak["cuda"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return peak


def seconds_since_start() -> float:
    """Seconds since this process started; where the system does not tell, since this module was imported."""
    try:
        stat = Path("/proc/self/stat").read_text()
        # The command, second of the fields, is in brackets and may hold spaces: count from its end.
        started = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - started
    except (OSError, ValueError, IndexError):
        return time.time() - _IMPORTED


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    found["torch"] = torch.__version__  # with the build (+cpu, +cu128), which the package's number may lack
    return found


def _git(root: Path) -> dict[str, Any] | None:
    """The commit and whether files differ from it; None where the project is not under git."""
    if not (root / ".git").exists():
        return None  # do not ask git: it would answer for whatever repository lies above
    commit = _ask_git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    changes = _ask_git(root, "status", "--porcelain")
    if changes is None:
        return None
    return {"commit": commit or None, "dirty": bool(changes)}


def _ask_git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},  # a status must not disturb a commit under way
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _machine() -> dict[str, Any]:
    facts: dict[str, Any] = {
        "system": platform.system(),
        "cpu": _cpu_name(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
    }
    if torch.cuda.is_available():
        facts["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return facts


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
