"""Lists, filters, tags and deletes runs: ``python src/runs.py --help``."""

import sys
from pathlib import Path


def main() -> int:
    """Runs the command; what it needs is imported when it is needed."""
    from taskloom.config.command import run_command

    return run_command("runs", sys.argv[1:], Path(__file__).resolve().parents[1] / "conf")


if __name__ == "__main__":
    sys.exit(main())
