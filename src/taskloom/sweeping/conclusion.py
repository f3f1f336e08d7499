"""What a search came to: the table of its best trials, the importance of its parameters, the best configuration."""

import contextlib
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from taskloom.atomic import file_beside
from taskloom.errors import RunError
from taskloom.sweeping.best_config import Composed, best_config
from taskloom.sweeping.domain import shown
from taskloom.sweeping.ledger import Ledger
from taskloom.sweeping.search import MAX_FAILURES
from taskloom.sweeping.search_settings import SearchSettings, read_settings
from taskloom.sweeping.trial_file import folder_of
from taskloom.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

#: trials from which on the importance of parameters is told
ENOUGH = 10
_SHOWN = 10
_ABSENT = "–"


def conclude(
    section: Mapping[str, Any],
    ledger: Ledger,
    compose: Callable[[Sequence[str]], Composed],
    conf: Path,
    name: str | None,
    interrupted: bool,
) -> int:
    """Prints what a search came to, writes ``best.yaml`` and gives the exit code.

    Args:
        section: ``hydra.sweeper`` of the composed config.
        ledger: the sweep's.
        compose: a command line to its config.
        conf: the folder of the configs.
        name: of the search, such as its member of conf/sweep; None where it has none.
        interrupted: whether the search was stopped.

    Returns:
        0; 1 where it ended with fewer trials than it was to have; 130 where it was interrupted.

    Raises:
        RunError: there is no study, because the search ended before it began.
    """
    from taskloom.sweeping.study import load_study

    settings = read_settings(section)
    try:
        study, _ = load_study(ledger.path, settings.storage, settings.study or ledger.path.name)
    except KeyError:
        raise RunError(f"{ledger.path} has no study yet: go on with -m resume={ledger.path}") from None
    trials = study.get_trials(deepcopy=False)
    number = {state: sum(t.state.name == state for t in trials) for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")}
    best = best_trials(study, settings)
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a log file has no width
    if best:
        console.print(trial_table(best, settings))
    _print_importance(study, settings)
    print(f"{number['COMPLETE']} done, {number['PRUNED']} pruned, {number['FAIL']} failed of {len(trials)} trials")
    for trial in trials:
        if trial.state.name == "FAIL":
            reason = " ".join(str(trial.user_attrs.get("reason", "")).split())
            print(f"failed: trial {trial.number}: {reason} ({ledger.path / folder_of(trial.number)})", file=sys.stderr)
    front = best if len(settings.objectives) > 1 else best[:1]
    _write_best(front, settings, ledger, compose, conf, name)
    print(f"\nsweep folder  {ledger.path}")
    if best:
        print(f"as page  python src/compare.py runs={ledger.path}")
    return _code(settings, number, interrupted, ledger)


def best_trials(study: "Study", settings: SearchSettings) -> "list[FrozenTrial]":
    """The done trials, best first; the Pareto front alone where there are several objectives.

    A point that was proposed again stands once, as the trial that ran.
    """
    if len(settings.objectives) > 1:
        return sorted((t for t in study.best_trials if "same_as" not in t.user_attrs), key=lambda t: t.values)
    done = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE" and "same_as" not in t.user_attrs]
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    return sorted(done, key=lambda t: (sign * t.value, t.number))  # type: ignore[operator]


def trial_table(best: "Sequence[FrozenTrial]", settings: SearchSettings) -> Table:
    """A row a trial: its values, then its parameters."""
    several = len(settings.objectives) > 1
    table = Table(
        title="Pareto front, validation rows" if several else "best trials, validation rows",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    rows = best if several else best[:_SHOWN]
    names = dict.fromkeys(name for trial in rows for name in trial.params)
    table.add_column("trial", justify="right")
    for objective in settings.objectives:
        table.add_column(objective, justify="right", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    for trial in rows:
        values = [f"{value:.4f}" for value in trial.values]
        params = [shown(trial.params[name]) if name in trial.params else _ABSENT for name in names]
        table.add_row(str(trial.number), *values, *params, style="bold" if trial is rows[0] and not several else "")
    return table


def importance(study: "Study", settings: SearchSettings) -> dict[str, dict[str, float]]:
    """Of each objective the share of its variance that each parameter explains (fANOVA, Hutter et al. 2014).

    Parameters that only some trials have are left out; empty where there are too few trials, or nothing varies.
    """
    import optuna

    done = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    if len(done) < ENOUGH:
        return {}
    found: dict[str, dict[str, float]] = {}
    for place, objective in enumerate(settings.objectives):
        values = {t.values[place] for t in done}
        if len(values) < 2:
            continue
        with warnings.catch_warnings(), contextlib.suppress(ValueError, RuntimeError):
            warnings.simplefilter("ignore")
            found[objective] = optuna.importance.get_param_importances(
                study,
                evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                target=partial(_value, place),
            )
    return {objective: shares for objective, shares in found.items() if shares}


def _value(place: int, trial: "FrozenTrial") -> float:
    return float(trial.values[place])


def _print_importance(study: "Study", settings: SearchSettings) -> None:
    for objective, shares in importance(study, settings).items():
        told = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
        print(f"importance for {objective} (of parameters that every trial has): {told}")


def _write_best(
    front: "Sequence[FrozenTrial]",
    settings: SearchSettings,
    ledger: Ledger,
    compose: Callable[[Sequence[str]], Composed],
    conf: Path,
    name: str | None,
) -> None:
    """``best.yaml``, or ``best_0.yaml``, ``best_1.yaml``, ... of a front, and how to use them."""
    several = len(settings.objectives) > 1
    for old in ledger.path.glob("best_*.yaml"):  # of a front that was larger
        old.unlink()
    for place, trial in enumerate(front):
        told = ", ".join(f"{key} {value:.4f}" for key, value in zip(settings.objectives, trial.values, strict=True))
        what = f"Number {place} of {len(front)} on the Pareto front" if several else "The best"
        comments = [
            f"{what} of the trials of {name or 'a search'}: {told} on validation rows.",
            f"Trial {trial.number} of the study {trial_study(ledger, trial.number)}.",
        ]
        record = RunFolder(ledger.path / folder_of(trial.number)).read()
        made = best_config(record, compose, comments)
        suffix = f"_{place}" if several else ""
        file = ledger.path / f"best{suffix}.yaml"
        with file_beside(file) as path:
            path.write_text(made.text, encoding="utf-8")
        saved = f"{settings.save_as or f'best_{name or ledger.path.name}'}{suffix}"
        target = conf / "experiment" / f"{saved}.yaml"
        print(f"best configuration  {file}" if not several else f"trial {trial.number} of the front  {file}")
        if settings.save_as and not target.exists():
            shutil.copyfile(file, target)
            print(f"  written to {target}")
        elif settings.save_as and target.read_text(encoding="utf-8") != made.text:
            print(f"  {target} is there already and stays as it is; cp {file} {target}")
        elif not settings.save_as:
            print(f"  cp {file} {target}")
        print(f"  python src/train.py experiment={saved}{''.join(f' {each}' for each in made.deletions)}")


def trial_study(ledger: Ledger, number: int) -> str:
    """The study of a trial, and where it is kept."""
    from taskloom.sweeping.trial_file import read_trial

    trial = read_trial(ledger.path / folder_of(number)) or {}
    return f"{trial.get('study')} ({trial.get('storage')})"


def _code(settings: SearchSettings, number: Mapping[str, int], interrupted: bool, ledger: Ledger) -> int:
    missing = settings.n_trials - number["COMPLETE"] - number["PRUNED"]
    resume = f"to go on: python src/train.py -m resume={ledger.path}"
    if interrupted:
        print(f"interrupted: {missing} of {settings.n_trials} trials are left\n{resume}", file=sys.stderr)
        return 130
    if missing <= 0:
        return 0
    if number["RUNNING"]:
        print(f"{number['RUNNING']} trials are at work in other processes, which go on with the search")
        return 0
    print(
        f"the search ended with {missing} trials missing: {MAX_FAILURES} in a row failed\n{resume}",
        file=sys.stderr,
    )
    return 1
