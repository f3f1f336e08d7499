"""Trains as `make train` does, and puts what it printed and its curves into README.md and docs/images/."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- output of make train .*?-->\n```text\n).*?(```\n<!-- end -->)", re.DOTALL)


def main() -> int:
    """Runs the training, its lines shown as they come; writes nothing where it fails."""
    command = [sys.executable, "src/train.py", "model=soft_sharing", *sys.argv[1:]]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line.replace(f"{ROOT}/", "").rstrip())
    if process.wait() != 0:
        return process.returncode
    printed = "\n".join(lines)
    folder = re.search(r"^run folder +(.+)$", printed, re.MULTILINE)
    assert folder is not None, "the run did not say where its folder is"
    shutil.copy(ROOT / folder[1] / "curves.png", ROOT / "docs" / "images" / "curves.png")
    update(ROOT / "README.md", printed)
    return 0


def update(readme: Path, printed: str) -> None:
    """Replaces the block of output."""
    before = readme.read_text(encoding="utf-8")
    text, n = BLOCK.subn(lambda found: f"{found[1]}{printed.rstrip()}\n{found[2]}", before)
    assert n == 1, f"{readme} has {n} blocks of output, not one"
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
