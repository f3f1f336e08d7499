"""A sweep from its command line to its end: jobs into the ledger, the jobs themselves, the table, the exit code."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from taskloom.config.check import check
from taskloom.config.compose import Composed, Composer, composer
from taskloom.config.find_run import LAST, find_sweep
from taskloom.config.launch import hydra_main
from taskloom.config.origin import origin
from taskloom.config.report import tell
from taskloom.config.sweep_job import JobOfSweep, argument, overrides_of_jobs, same_config
from taskloom.errors import ConfigError, TaskloomError
from taskloom.sweeping.jobs import apart, folder_name, list_jobs
from taskloom.sweeping.ledger import INTERRUPTED, Ledger
from taskloom.tracking.run_folder import RunFolder

COMMAND = "train"
RESUME = "resume="


def sweep(given: Sequence[str], conf: Path) -> int:
    """Runs a sweep, or goes on with one where ``resume=<folder>`` is among the overrides.

    Args:
        given: the overrides.
        conf: the folder of the configs.

    Returns:
        The exit code: 0, 1 where a job failed, 130 where the sweep was interrupted.

    Raises:
        ConfigError: what is wrong with any job, before any of them has begun.
        RunError: there is no sweep to go on with.
    """
    if os.environ.get("WANDB_SWEEP_ID"):
        raise ConfigError("-m inside an agent of W&B: the agent gives each run its settings, so leave out -m")
    overrides = [override for override in given if not override.startswith(RESUME)]
    named = [override.removeprefix(RESUME) for override in given if override.startswith(RESUME)]
    with composer(conf, COMMAND) as compose:
        ledger = _named(compose, named[-1], overrides) if named and named[-1] != "null" else None
        if ledger is not None and not overrides_of_jobs(overrides):
            overrides = [*_recorded(ledger, overrides), *overrides]
        parsed = compose.parse(overrides)
        fixed = [o.input_line or "" for o in parsed if not o.is_sweep_override()]
        settings = compose.hydra(fixed)
        kind = "optuna" if settings.sweeper._target_.endswith(".OptunaSweeper") else "grid"
        if ledger is not None and ledger.read()["kind"] != kind:
            raise ConfigError(
                f"{ledger.path} is a sweep of kind {ledger.read()['kind']}, and this command line asks for {kind}"
            )
        jobs = _jobs(compose, parsed, kind, settings)
        composed = check(compose, jobs, conf)
        if kind == "optuna":
            from taskloom.sweeping.optuna_sweep import check_search

            base = compose.compose(overrides_of_jobs(fixed)).config
            check_search(settings, parsed, [each.config for each in composed], base, conf, ledger)
        _check_launcher(settings.launcher)
        if ledger is None:
            ledger = Ledger.create(Path(str(settings.sweep.dir)), overrides, kind)  # type: ignore[arg-type]
        if kind == "grid":
            _write_down(ledger, jobs, composed, overrides)
    interrupted = stopped = False
    n_jobs = len(ledger.jobs) if kind == "grid" else None
    lines = ["-m", *overrides, f"hydra.sweep.dir={argument(ledger.path)}"]
    try:
        hydra_main(COMMAND, lines, conf, JobOfSweep(conf, n_jobs))
    except KeyboardInterrupt:
        interrupted = True
    except SystemExit as end:
        if isinstance(end.__cause__, ConfigError):
            raise end.__cause__ from None
        if isinstance(end.__cause__, TaskloomError):
            tell(end.__cause__)  # else Hydra has told what it could not do
        stopped = True
    if kind == "optuna":
        from taskloom.sweeping.conclusion import conclude

        with composer(conf, COMMAND) as compose:
            name = settings.runtime.choices.get("sweep")
            return conclude(settings.sweeper, ledger, compose.compose, conf, name, interrupted) or int(stopped)
    return _finish(ledger, interrupted) or int(stopped)


def _named(compose: Composer, name: str, overrides: Sequence[str]) -> Ledger:
    if name != LAST:
        return Ledger.open(Path(name).expanduser())
    paths = [override for override in overrides if override.startswith("paths")]
    return Ledger.open(find_sweep(Path(compose.compose(paths).config["paths"]["logs"]) / COMMAND))


def _recorded(ledger: Ledger, given: Sequence[str]) -> list[str]:
    """The command line that a sweep began with, less what overrides given now say anew of how it runs.

    Another launcher takes none of the settings of the one before it.
    """
    recorded = ledger.overrides
    keys = {_key(override) for override in given}
    if _launcher(given) not in (None, _launcher(recorded) or "serial"):
        recorded = [override for override in recorded if not _key(override).startswith("hydra.launcher.")]
    return [override for override in recorded if _key(override) not in keys]


def _launcher(overrides: Sequence[str]) -> str | None:
    """The launcher that overrides name."""
    named = [override.partition("=")[2] for override in overrides if _key(override) == "hydra/launcher"]
    return named[-1] if named else None


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _check_launcher(settings: Any) -> None:
    """Raises:
    ConfigError: settings of our launcher that cannot be; other launchers tell when they begin.
    """
    if settings._target_.endswith(".JoblibLauncher"):
        from taskloom.sweeping.launchers.processes import JoblibLauncher

        JoblibLauncher(**{str(key): value for key, value in settings.items() if key != "_target_"})


def _jobs(compose: Composer, parsed: Sequence[Override], kind: str, settings: Any) -> list[list[str]]:
    """The overrides of each job of a grid; of a search, some that stand for all."""
    if kind == "grid":
        return [overrides_of_jobs(job) for job in list_jobs(parsed)]
    from taskloom.sweeping.optuna_sweep import representatives

    return [overrides_of_jobs(job) for job in representatives(settings, parsed)]


def _write_down(
    ledger: Ledger, jobs: Sequence[list[str]], composed: Sequence[Composed], overrides: Sequence[str]
) -> None:
    """Puts the jobs into the ledger, and tells what is there already."""
    before = {job.name for job in ledger.jobs}
    entries = [(folder_name(parts), job, " ".join(parts)) for job, parts in zip(jobs, apart(jobs), strict=True)]
    placed = ledger.add(entries, overrides)
    if not before:
        return
    states = ledger.states()
    told = ", ".join(f"{n} {state}" for state, n in Counter(states.values()).items())
    print(f"Going on with {ledger.path}: {told}")
    changed = []
    for job, now in zip(placed, composed, strict=True):
        if job.name in before and states[job.name] == "done":
            config = deepcopy(now.config)
            origin(config, job.overrides, {})  # its paths made absolute, as they were recorded
            if not same_config(RunFolder(ledger.folder(job)).read()["config"], config):
                changed.append(job.label or job.name)
    if changed:
        print(
            f"{len(changed)} of the jobs that are done were made with other settings than conf/ gives now "
            f"({changed[0]}{', ...' if len(changed) > 1 else ''}): they stay; delete their folders to repeat them"
        )


def _finish(ledger: Ledger, interrupted: bool) -> int:
    """The table and the failures of a sweep, and the exit code."""
    from taskloom.comparing.summary import print_summary

    jobs = ledger.jobs
    states = ledger.states()
    if any(state not in ("pending", "failed") for state in states.values()):
        print_summary(ledger.path)
    else:
        print(f"sweep folder  {ledger.path}")
    reasons = {job.name: ledger.reason(job) for job in jobs if states[job.name] in ("failed", "killed")}
    stopped = [name for name, why in reasons.items() if why == INTERRUPTED]
    failed = [job for job in jobs if job.name in reasons and job.name not in stopped]
    left = [name for name, state in states.items() if state == "pending"] + stopped
    elsewhere = [name for name, state in states.items() if state == "running"]
    for job in failed:
        why = " ".join(reasons[job.name].split()) or "it was killed"
        print(f"failed: {job.label}: {why} ({ledger.folder(job)})", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(jobs)} jobs failed", file=sys.stderr)
    if elsewhere:
        print(f"{len(elsewhere)} of {len(jobs)} jobs are running in another process", file=sys.stderr)
    if interrupted:
        print(f"interrupted: {len(left)} of {len(jobs)} jobs are left", file=sys.stderr)
    if failed or left or interrupted:
        print(f"to go on: python src/train.py -m resume={ledger.path}", file=sys.stderr)
    return 130 if interrupted else int(bool(failed or left))
