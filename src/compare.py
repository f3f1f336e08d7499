"""Puts runs side by side: ``python src/compare.py --help``."""

import sys
from pathlib import Path


def main() -> int:
    """Runs the command; what it needs is imported when it is needed."""
    from taskloom.config.command import run_command

    return run_command("compare", sys.argv[1:], Path(__file__).resolve().parents[1] / "conf")


if __name__ == "__main__":
    sys.exit(main())
