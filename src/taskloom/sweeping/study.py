"""The study of a search: Optuna's record of its trials, and what proposes the next one."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from taskloom.errors import ConfigError
from taskloom.sweeping.study_storage import is_inside, open_storage

#: trials before those that ended say anything of the next: to the pruner by their median, to ``tpe`` by their points.
#: With ``tpe``'s own 10, a search of a dozen is one at random: over 150 bowls in two dimensions, 12 trials, two at a
#: time, the best is .021 above the bottom with 10 and .016 with 5; in four dimensions .052 and .043.
STARTUP_TRIALS = 5
_FACTS = "taskloom"


class SeededByNumber(BaseSampler):
    """A sampler that is made anew for each trial, seeded by the trial's number.

    So a search that was killed goes on to the very points that it would have come to: the generator's place is not in
    the storage, and one that began again with its seed would repeat the first points.

    Args:
        make: takes a seed, gives the sampler.
        seed: of the search.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self.make, self.seed = make, seed
        self._now = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begins a trial."""
        with quiet():
            self._now = self.make((self.seed * 1_000_003 + trial.number) % 2**32)
        self._now.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are drawn together."""
        return self._now.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws those."""
        return self._now.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draws one of the others."""
        return self._now.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Ends a trial."""
        self._now.after_trial(study, trial, state, values)


def make_sampler(name: str, seed: int) -> BaseSampler:
    """What proposes the next point.

    ``tpe`` models good and bad points (Bergstra et al. 2011), all parameters of a branch together, and takes trials
    under way for bad ones, so that parallel workers spread; for several objectives it ranks by dominance (Ozaki et
    al. 2022). ``nsga2`` breeds generations (Deb et al. 2002). ``random`` draws.

    Args:
        name: of these.
        seed: of the search.
    """
    makers: dict[str, Callable[[int], BaseSampler]] = {
        "tpe": lambda seed: TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=STARTUP_TRIALS
        ),
        "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=20),
        "random": lambda seed: RandomSampler(seed=seed),
    }
    return SeededByNumber(makers[name], seed)


def make_pruner(name: str, epochs: int | None) -> BasePruner:
    """What stops trials that promise little, by the objective after each epoch.

    ``median``: the best value so far is worse than the median of what earlier trials had after as many epochs,
    asked from half of the epochs on: a setting that regularises is slow at first and ahead at last.
    ``halving``: not in the best third after 1, 3, 9, ... epochs (Jamieson and Talwalkar 2016). ``hyperband``: the
    same in several brackets that begin later and later (Li et al. 2018).

    Args:
        name: of these, or ``none``.
        epochs: of a whole trial; None takes it from the first that ends.
    """
    if name == "median":
        return MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=max(1, (epochs or 0) // 2))
    if name == "halving":
        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs or "auto", reduction_factor=3)
    return NopPruner()


def open_study(
    sweep: Path, address: str | None, name: str, facts: Mapping[str, Any], higher: Sequence[bool], seed: int
) -> tuple[Study, BaseStorage]:
    """A sweep's study, made where it is not there yet.

    Args:
        sweep: the sweep's folder.
        address: of the storage; None is a journal in the folder.
        name: of the study.
        facts: what must not change while it grows: ``objectives``, ``sampler``, ``pruner``, ``epochs``, ``space``,
            ``fixed``, ``sweep``.
        higher: of each objective, whether more is better.
        seed: of the sampler.

    Raises:
        ConfigError: the storage cannot be opened, or the study in it is another one.
    """
    with quiet():
        storage = open_storage(sweep, address)
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            sampler=make_sampler(facts["sampler"], seed),
            pruner=make_pruner(facts["pruner"], facts["epochs"]),
            directions=[StudyDirection.MAXIMIZE if up else StudyDirection.MINIMIZE for up in higher],
            load_if_exists=True,
        )
    known = study.user_attrs.get(_FACTS)
    if known is None:
        study.set_user_attr(_FACTS, dict(facts))
    elif known != dict(facts):
        changed = [key for key in facts if known.get(key) != facts[key]]
        if "sweep" in changed:
            raise ConfigError(
                f"the study {name} is that of {known.get('sweep')}: go on with -m resume=<that sweep>, or name another "
                "with hydra.sweeper.study=<name>"
            )
        first = changed[0]
        raise ConfigError(
            f"{sweep} holds a search with another {first} ({known.get(first)}, now {facts[first]}): go on with "
            f"-m resume={sweep} and no other settings than hydra.sweeper.n_trials, or begin a new one"
        )
    return study, storage


def check_free(address: str | None, name: str | None) -> None:
    """Whether a new search can have a study, as far as it lies outside of the sweep's own folder.

    Raises:
        ConfigError: the storage cannot be opened, or has a study of this name.
    """
    if address is None or is_inside(address):
        return
    with quiet():
        storage = open_storage(Path(), address)
        if name is not None and name in optuna.get_all_study_names(storage):
            raise ConfigError(
                f"{address} has a study {name} already: go on with its sweep by -m resume=<sweep folder>, or name "
                "another with hydra.sweeper.study=<name>"
            )


def load_study(sweep: Path, address: str | None, name: str) -> tuple[Study, BaseStorage]:
    """A study that is there, as it was opened: for a trial that reports to it."""
    with quiet():
        storage = open_storage(sweep, address)
        study = optuna.load_study(study_name=name, storage=storage, sampler=RandomSampler())
        facts = study.user_attrs[_FACTS]
        study.pruner = make_pruner(facts["pruner"], facts["epochs"])
    return study, storage


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's own lines on trials and its warnings that parts of it may change."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield
