"""Which runs are one configuration with several seeds, and what sets configurations apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from taskloom.comparing.reading import Run
from taskloom.comparing.same_data import name_data
from taskloom.comparing.settings import Value, show
from taskloom.comparing.where import names_of
from taskloom.config.suggest import unknown_key
from taskloom.errors import ConfigError
from taskloom.tracking.silent_settings import is_silent

DATA = "data"
#: axes in the order in which a command line is thought of
_GROUPS = ("data", "model", "backbone", "balancer", "method", "optimizer", "scheduler", "trainer", "experiment")


@dataclass
class Point:
    """One configuration.

    Args:
        id: its place, from 0.
        data: the data it was tested on, in words.
        settings: its values of the keys by which runs were grouped.
        runs: those that count; of two with the same seed, the later one.
    """

    id: int
    data: str
    settings: dict[str, Value]
    runs: list[Run] = field(default_factory=list)

    @property
    def done(self) -> list[Run]:
        """The runs with test metrics."""
        return [run for run in self.runs if run.done]


@dataclass
class Design:
    """How a set of runs is laid out.

    Args:
        keys: the settings that tell points apart.
        varying: every setting that differs among the runs.
        points: in the order of their first runs.
        over: what a mean is over: ``seeds``, or ``splits`` where the runs on a data set have several. Runs on one
            split are not independent of each other, so that their mean is one observation.
        pairs: of each run's folder, the observation that it belongs to, by which points are paired: its seed or its
            split's, and settings that are averaged over.
        notes: what a reader should know.
    """

    keys: list[str]
    varying: list[str]
    points: list[Point]
    over: str
    pairs: dict[str, tuple[Value, ...]]
    notes: list[str]


def lay_out(runs: Sequence[Run], by: Sequence[str] | None = None) -> Design:
    """Groups runs into points.

    Runs are one point where they agree in all that shapes learning. Settings come as members of config groups first
    (``model``, ``backbone``), then as config keys that differ and that the members alone do not explain:
    ``features.l2`` that comes with ``model=hard_sharing`` is no setting of its own; one that a command line names is.
    Data that are not the same rows and labels never share a point; splits by another seed do, and means are then over
    splits.

    Args:
        runs: in their order.
        by: the settings to group by; runs that differ in others are then averaged over. None takes all.

    Raises:
        ConfigError: ``by`` names a setting that no run has.
    """
    notes = name_data(runs)
    choices = _differing_choices(runs)
    config, explained, newer = _differing_keys(runs, choices)
    found = [*_as_typed(choices, runs), *_as_typed(config, runs)]
    if by is not None:
        known = names_of(runs)
        for key in by:
            if key not in known:
                raise ConfigError(f"by: {unknown_key(key, [n for n in known if '.' not in n], known)}")
    keys = list(dict.fromkeys(by)) if by is not None else found
    if explained:
        members = " and ".join(_as_typed(choices, runs))
        notes.append(f"{_count(len(explained), 'more key')} differ with {members}: {_listed(explained)}")
    if newer:
        notes.append(f"some runs are older than {_listed(newer)}: taken for the same")
    several = len({run.data for run in runs}) > 1
    if several and len({(run.data, *(run.get(key) for key in keys)) for run in runs}) > len(
        {tuple(run.get(key) for key in keys) for run in runs}
    ):
        keys = [DATA, *(key for key in keys if key != DATA)]
        for run in runs:
            run.choices[DATA] = run.data
    others = [key for key in found if key not in keys]
    over = {data: _over(runs, data) for data in dict.fromkeys(run.data for run in runs)}
    pairs: dict[str, tuple[Value, ...]] = {}
    groups: dict[tuple[Value, ...], dict[tuple[Value, ...], list[Run]]] = {}
    for run in runs:
        group = groups.setdefault((run.data, *(run.get(key) for key in keys)), {})
        rest = tuple(run.get(key) for key in others)
        group.setdefault((run.seed, run.split_seed, *rest), []).append(run)
        pairs[str(run.folder)] = (run.split_seed if over[run.data] == "splits" else run.seed, *rest)
    points, repeats = [], 0
    for place, ((data, *values), by_seed) in enumerate(groups.items()):
        kept = [_latest(same) for same in by_seed.values()]
        repeats += sum(map(len, by_seed.values())) - len(kept)
        points.append(Point(place, str(data), dict(zip(keys, values, strict=True)), kept))
    if repeats:
        notes.append(f"{_count(repeats, 'run')} repeated with the same settings and seed: the latest counts")
    varying = [*found, *explained, *(key for key in keys if key not in found)]
    return Design(keys, varying, points, " or ".join(sorted(set(over.values()))), pairs, notes)


def label(point: Point, keys: Sequence[str], otherwise: str = "all runs") -> str:
    """A point in a few words: members of groups as they are, config keys by their last part.

    Example:
        >>> label(Point(0, "films", {"model": "hard_sharing", "optimizer.lr": 0.01}), ["model", "optimizer.lr"])
        'hard_sharing · lr=0.01'
    """
    last = [key.rpartition(".")[2] for key in keys]
    words = []
    for key in keys:
        value, short = point.settings.get(key), key.rpartition(".")[2]
        if value is None:
            continue
        name = key if last.count(short) > 1 else short
        words.append(show(value) if isinstance(value, str) and "." not in key else f"{name}={show(value)}")
    return " · ".join(words) or otherwise


def _over(runs: Sequence[Run], data: str) -> str:
    return "splits" if len({run.split_seed for run in runs if run.data == data}) > 1 else "seeds"


def _latest(runs: Sequence[Run]) -> Run:
    """A finished run before one that is not; then the later one."""
    return max(runs, key=lambda run: (run.done, run.created))


def _differing_choices(runs: Sequence[Run]) -> list[str]:
    """Groups that every run tells of, and in which they differ."""
    groups = dict.fromkeys(group for run in runs for group in run.choices)
    told = [group for group in groups if all(run.knows_choices or group in run.choices for run in runs)]
    return [group for group in told if len({run.choices.get(group) for run in runs}) > 1]


def _differing_keys(runs: Sequence[Run], choices: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Config keys in which runs differ: settings of their own, those that differing members explain, and those with
    one value alone, which some runs do not have: they were made before there was such a key.
    """
    own: list[str] = []
    explained: list[str] = []
    newer: list[str] = []
    members = [tuple(run.choices.get(group) for group in choices) for run in runs]
    groups = {group for run in runs for group in run.choices}
    by_hand = {key for run in runs for key in run.named} - groups
    for key in dict.fromkeys(key for run in runs for key in run.settings):
        if is_silent(key) or key.endswith(".about"):
            continue
        values = [run.settings.get(key) for run in runs]
        if len(set(values)) < 2:
            continue
        by_itself = any(key == given or key.startswith(f"{given}.") for given in by_hand)
        if key.endswith("._target_") and not by_itself and key.partition(".")[0] in choices:
            continue  # the member's name says it
        follows = len(set(zip(members, values, strict=True))) == len(set(members))
        one_value = len({run.settings[key] for run in runs if key in run.settings}) == 1
        if by_itself or not (follows or one_value):
            own.append(key)
        else:
            (explained if follows else newer).append(key)
    return own, explained, newer


def _as_typed(keys: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """Settings in the order of the command lines, then as the design lists its groups, then as they are."""
    typed = list(dict.fromkeys(key for run in runs for key in run.named))
    order = [*typed, *(group for group in _GROUPS if group not in typed)]
    return sorted(keys, key=lambda key: order.index(key) if key in order else len(order))


def _listed(keys: Sequence[str], most: int = 3) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
