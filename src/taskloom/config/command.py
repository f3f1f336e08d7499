"""A command from its arguments to its exit code. Hydra, torch and the rest are imported as late as can be."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from taskloom.errors import ConfigError, TaskloomError
from taskloom.place import external

OK, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def run_command(command: str, argv: Sequence[str], conf: Path) -> int:
    """Does what a command line asks for.

    Args:
        command: ``train``, ``evaluate``, ``data``, ``compare`` or ``runs``, the name of its root config.
        argv: the arguments after the programme's name.
        conf: the folder of the configs.

    Returns:
        The exit code: 0; 1 where a job failed; 2 where the command line or a config has a mistake; 130 where
        it was interrupted.
    """
    try:
        if {"-h", "--help"} & set(argv):
            from taskloom.config.help import print_help

            print_help(command, conf)
            sys.stdout.flush()
            return OK
        if "--version" in argv:
            print(_versions())
            return OK
        asked = {"--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"} & set(argv)  # of Hydra
        if command == "compare" and not asked:
            from taskloom.comparing.command import compare_command

            return compare_command(argv, conf)
        if command == "runs" and not asked:
            from taskloom.managing.command import runs_command

            return runs_command(argv, conf)
        if command == "data" and not asked:
            from taskloom.config.data_command import data_command

            return data_command(argv, conf)
        if command in ("train", "evaluate") and (place := external()) is not None:
            from taskloom.training.rank import together

            return together(place, command, argv, lambda: _composed(command, argv, conf))
        return _composed(command, argv, conf)
    except TaskloomError as error:
        print(error, file=sys.stderr)
        return MISTAKE if isinstance(error, ConfigError) else FAILED
    except BrokenPipeError:
        # Who read our words, such as head, has had enough. Python would complain again as it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _composed(command: str, argv: Sequence[str], conf: Path) -> int:
    """A command that takes a config, or a run that has one."""
    # A folder may hold signs that mean something to Hydra, so that these two never reach its grammar.
    word = {"train": "resume=", "evaluate": "run="}.get(command, "resume=")
    named = [argument for argument in argv if argument.startswith(word) and argument not in (word, f"{word}null")]
    several = {"-m", "--multirun"} & set(argv)  # a sweep to go on with, which takes other arguments too
    if named and not several and not {"--cfg", "-c", "--info", "-i"} & set(argv):
        from taskloom.config.existing_run import evaluate, resume

        return (resume if command == "train" else evaluate)(argv, conf)
    from taskloom.config.launch import launch

    return launch(command, argv, conf)


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    from taskloom import __version__

    names = []
    for package in ("torch", "lightning", "hydra-core", "wandb"):
        try:
            names.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            names.append(f"{package} is not installed")
    return f"taskloom {__version__} ({', '.join(names)})"
