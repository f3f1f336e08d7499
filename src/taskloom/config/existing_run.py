"""Commands on a run that exists: ``resume=`` goes on with it, ``run=`` tests it again."""

import importlib
from collections.abc import Sequence
from pathlib import Path

from taskloom.config.compose import composer
from taskloom.config.find_run import LAST, find_run
from taskloom.config.report import report
from taskloom.errors import ConfigError, RunError
from taskloom.sweeping.ledger import ENDED, SWEEP
from taskloom.tracking.run_folder import RunFolder

# By name, because an import would let this room reach up into training.
_JOB = "taskloom.training.job"


def resume(argv: Sequence[str], conf: Path) -> int:
    """Goes on with the run of ``resume=<folder>``, with the config that is in its record."""
    folder = _folder("resume", argv, conf, "train", ("running", "failed"))
    state = RunFolder(folder).read()["state"]
    if state in ENDED:
        print(f"{folder} is {state}: nothing to resume; python src/evaluate.py run={folder} tests it again")
        return 0
    print(f"Going on with {folder}")
    return report(lambda: importlib.import_module(_JOB).resume_job(folder))


def evaluate(argv: Sequence[str], conf: Path) -> int:
    """Tests the run of ``run=<folder>`` again."""
    folder = _folder("run", argv, conf, "evaluate", ("done",))
    record = RunFolder(folder).read()
    if record["state"] != "done":
        raise RunError(f"{folder} is {record['state']}, not done; first python src/train.py resume={folder}")
    return report(lambda: importlib.import_module(_JOB).evaluate_job(folder))


def _folder(key: str, argv: Sequence[str], conf: Path, command: str, states: Sequence[str]) -> Path:
    """The run folder that the arguments name.

    Raises:
        ConfigError: other arguments beside it: a run keeps the config with which it began.
    """
    name = next(argument for argument in argv if argument.startswith(f"{key}=")).partition("=")[2]
    # paths say where `last` looks
    others = [a for a in argv if not a.startswith((f"{key}=", *(["paths"] if name == LAST else [])))]
    if others or sum(argument.startswith(f"{key}=") for argument in argv) > 1:
        raise ConfigError(
            f"{key}={name} stands alone, because a run keeps the config it began with: leave out "
            f"{' '.join(others) or f'the other {key}='}"
        )
    if name != LAST:
        if (Path(name).expanduser() / SWEEP).exists():
            what = "add -m to go on with it" if key == "resume" else "name one of its jobs"
            raise ConfigError(f"{name} is a sweep of several runs: {what}")
        return find_run(name, Path(), states)
    paths = [argument for argument in argv if not argument.startswith(f"{key}=")]
    with composer(conf, command) as compose:
        composed = compose.compose([f"{key}=last", *paths])
    if composed.problems:
        raise ConfigError("\n".join(problem.text for problem in composed.problems))
    return find_run(name, Path(composed.config["paths"]["logs"]) / "train", states)
