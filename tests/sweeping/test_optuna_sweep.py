"""A search from its first trial to its last, with jobs that only write what a training would leave."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

from taskloom.errors import ConfigError, RunError
from taskloom.sweeping import search as searching
from taskloom.sweeping.ledger import Ledger
from taskloom.sweeping.objectives import higher_is_better, objective_values
from taskloom.sweeping.optuna_sweep import check_search, representatives, search
from taskloom.sweeping.search import MAX_FAILURES, why_not
from taskloom.sweeping.search_settings import read_settings
from taskloom.sweeping.study import load_study
from taskloom.tracking.metrics_file import MetricsFile
from taskloom.tracking.run_folder import RunFolder

SETTINGS: dict[str, Any] = {
    "params": {"lr": "interval(0, 1)", "width": "choice(16, 32)"},
    "n_trials": 6,
    "objectives": ["val/score"],
    "sampler": "tpe",
    "seed": 1,
    "pruner": "none",
    "n_jobs": 1,
    "storage": None,
    "study": None,
    "save_as": None,
}
CONFIG = {"hydra": {"runtime": {"choices": {"model": "soft"}}}, "method": {"epochs": 2}}


class KilledError(BaseException):
    """Stands for kill -9."""


def settings(**changes: Any) -> dict[str, Any]:
    return SETTINGS | changes


def train(folder: Path, values: Mapping[str, str], score: float | None = None) -> None:
    """What a training of two epochs leaves; it goes on with a run that is there."""
    run = RunFolder(folder)
    if not run.file.exists():
        RunFolder.create(folder, {"config": dict(values)})
    run.update(state="running")
    score = float(values["lr"]) * (1 - float(values["lr"])) if score is None else score
    log = MetricsFile(run.metrics)
    log.log_metrics({"val/score": score, "val/like/auc": 0.5 + score, "val/rating/rmse": 1 + score, "epoch": 0}, 9)
    log.log_metrics({"val/score": 0.0, "val/like/auc": 0.1, "val/rating/rmse": 9.0, "epoch": 1}, 19)
    run.update(state="done", best={"all": {"score": score, "epoch": 0, "since": 1}}, test={"like/auc": 0.99})


class Jobs:
    """A launcher of ours: trains one job after the other, whatever ``train`` does."""

    def __init__(self, ledger: Ledger, train: Callable[[Path, dict[str, str]], Any] = train) -> None:
        self.ledger, self.train = ledger, train
        self.launched: list[str] = []

    def run(self, overrides: Sequence[str]) -> JobReturn:
        values = dict(line.split("=", 1) for line in overrides)
        name = values.pop("hydra.sweep.subdir")
        self.launched.append(name)
        job = self.ledger.job(name)
        with self.ledger.claim(job) as mine:
            assert mine
            given = self.train(self.ledger.folder(job), values)
        return JobReturn(status=JobStatus.COMPLETED, _return_value=given or {"state": "done", "reason": ""})

    def stream(self, jobs: Iterator[Sequence[str]]) -> Iterator[tuple[int, JobReturn]]:
        for place, overrides in enumerate(jobs):
            yield place, self.run(overrides)


class Batches:
    """Any other launcher of Hydra's."""

    def __init__(self, ledger: Ledger, train: Callable[[Path, dict[str, str]], Any] = train) -> None:
        self.jobs = Jobs(ledger, train)
        self.sizes: list[int] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        self.sizes.append(len(job_overrides))
        return [self.jobs.run(overrides) for overrides in job_overrides]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path / "sweep", ["-m"], "optuna")


def run(ledger: Ledger, launcher: Any, section: Mapping[str, Any], *arguments: str) -> list[optuna.trial.FrozenTrial]:
    search(section, arguments, CONFIG, launcher, ledger)
    return trials(ledger, section)


def trials(ledger: Ledger, section: Mapping[str, Any] = SETTINGS) -> list[optuna.trial.FrozenTrial]:
    study, _ = load_study(ledger.path, section["storage"], section["study"] or ledger.path.name)
    return study.trials


def states(found: Sequence[optuna.trial.FrozenTrial]) -> list[str]:
    return [trial.state.name for trial in found]


@pytest.mark.parametrize("storage", [None, "sqlite:///study.db"])
def test_a_search_tells_the_study_what_its_trials_came_to(ledger: Ledger, storage: str | None) -> None:
    section = settings(storage=storage)
    found = run(ledger, Jobs(ledger), section, "seed=7", "tasks=[like]", "hydra.sweeper.n_trials=6")
    assert states(found) == ["COMPLETE"] * 6
    for trial, job in zip(found, ledger.jobs, strict=True):
        assert job.name == f"trial-{trial.number:04d}"
        assert job.overrides[:2] == ("seed=7", "tasks=[like]")
        assert set(job.overrides[2:]) == {f"lr={trial.params['lr']!r}", f"width={trial.params['width']}"}
        assert trial.value == pytest.approx(trial.params["lr"] * (1 - trial.params["lr"]))
        record = RunFolder(ledger.folder(job)).read()
        assert record["trial"]["values"] == {"val/score": trial.value}
        assert record["test"] == {"like/auc": 0.99}
    assert [e["event"] for e in ledger.events()] == []  # the jobs write the diary, and these do not


def test_what_a_trial_knows_of_itself_is_there_before_it_starts(ledger: Ledger) -> None:
    seen = []

    def look(folder: Path, values: dict[str, str]) -> None:
        from taskloom.sweeping.trial_file import read_trial

        seen.append((values, read_trial(folder)))
        train(folder, values)

    run(ledger, Jobs(ledger, look), settings(n_trials=2, pruner="median"))
    values, trial = seen[1]
    assert trial is not None
    assert trial["number"] == 1
    assert {key: str(value) for key, value in trial["params"].items()} == values
    assert (trial["study"], trial["storage"], trial["pruner"]) == ("sweep", "study.journal", "median")


def killed_at(point: str, number: int) -> tuple[Callable[[Path, dict[str, str]], Any], list[str]]:
    """A training that is killed at a point of one trial, and what happened in the folders."""
    began: list[str] = []

    def work(folder: Path, values: dict[str, str]) -> None:
        began.append(folder.name)
        if folder.name == f"trial-{number:04d}" and began.count(folder.name) == 1:
            if point == "before":
                raise KilledError
            RunFolder.create(folder, {"config": values})
            if point == "half done":
                raise KilledError
            if point == "interrupted":
                RunFolder(folder).fail(KeyboardInterrupt())
                raise KeyboardInterrupt
            if point == "failed":
                RunFolder(folder).fail(ValueError("no luck"))
                raise KilledError
            if point == "pruned":
                RunFolder(folder).update(state="pruned", reason="poor", best={})
                raise KilledError
            train(folder, values)
            raise KilledError
        train(folder, values)

    return work, began


@pytest.mark.parametrize("point", ["before", "half done", "interrupted", "done", "failed", "pruned"])
def test_a_killed_search_goes_on_without_losing_or_repeating_a_trial(
    ledger: Ledger, tmp_path: Path, point: str
) -> None:
    whole = run(Ledger.create(tmp_path / "b" / "sweep", [], "optuna"), Jobs(Ledger(tmp_path / "b" / "sweep")), SETTINGS)
    work, began = killed_at(point, 2)
    with pytest.raises((KilledError, KeyboardInterrupt)):
        run(ledger, Jobs(ledger, work), SETTINGS)
    assert states(trials(ledger)) == ["COMPLETE", "COMPLETE", "RUNNING"]
    found = run(ledger, Jobs(ledger, work), SETTINGS)
    ended = {"failed": "FAIL", "pruned": "PRUNED"}.get(point, "COMPLETE")
    expected = ["COMPLETE", "COMPLETE", ended, "COMPLETE", "COMPLETE", "COMPLETE"]
    assert states(found) == expected + (["COMPLETE"] if point == "failed" else [])
    twice = point in ("before", "half done", "interrupted")
    assert began.count("trial-0002") == 1 + twice
    assert all(began.count(name) == 1 for name in began if name != "trial-0002")
    if ended == "COMPLETE":  # the very trials of a search that was left alone
        assert [(t.params, t.values) for t in found] == [(t.params, t.values) for t in whole]
    if ended == "FAIL":
        assert found[2].user_attrs["reason"] == "ValueError: no luck"


def test_killed_while_it_proposes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(optuna.trial.Trial, "suggest_categorical", kill)
        with pytest.raises(KilledError):
            run(ledger, Jobs(ledger), SETTINGS)
    (torn,) = trials(ledger)
    assert (torn.state.name, list(torn.params)) == ("RUNNING", ["lr"])
    found = run(ledger, Jobs(ledger), SETTINGS)
    assert states(found) == ["COMPLETE"] * 6
    assert found[0].params["lr"] == torn.params["lr"]
    assert {len(t.params) for t in found} == {2}


def test_more_trials_than_before(ledger: Ledger) -> None:
    run(ledger, Jobs(ledger), settings(n_trials=2))
    more = Jobs(ledger)
    assert states(run(ledger, more, settings(n_trials=5))) == ["COMPLETE"] * 5
    assert more.launched == ["trial-0002", "trial-0003", "trial-0004"]
    nothing = Jobs(ledger)
    run(ledger, nothing, settings(n_trials=5))
    assert nothing.launched == []


def test_a_failed_trial_is_told_and_made_up_for(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    def work(folder: Path, values: dict[str, str]) -> dict[str, Any] | None:
        if folder.name == "trial-0001":
            RunFolder.create(folder, {}).fail(ValueError("no luck\nat all"))
        elif folder.name == "trial-0002":
            return {"state": "failed", "reason": "conf does not compose"}  # there is no run.json
        elif folder.name == "trial-0003":
            RunFolder.create(folder, {})  # its process was killed
        elif folder.name == "trial-0004":
            train(folder, values, score=float("nan"))
        else:
            train(folder, values)
        return None

    found = run(ledger, Jobs(ledger, work), settings(n_trials=3))
    assert states(found) == ["COMPLETE", "FAIL", "FAIL", "FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    reasons = [t.user_attrs["reason"] for t in found[1:5]]
    assert reasons[:2] == ["ValueError: no luck\nat all", "conf does not compose"]
    assert "its process ended without a word" in reasons[2]
    assert reasons[3] == "val/score is not defined at the best epoch"
    assert "trial-0001 failed: ValueError: no luck at all\n" in capsys.readouterr().err


def test_a_search_whose_trials_all_fail_stops(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = Jobs(ledger, lambda folder, values: {"state": "failed", "reason": "no memory"})
    assert states(run(ledger, jobs, SETTINGS)) == ["FAIL"] * MAX_FAILURES
    assert f"the search stops: {MAX_FAILURES} trials in a row failed" in capsys.readouterr().err
    mended = Jobs(ledger)
    assert states(run(ledger, mended, SETTINGS)).count("COMPLETE") == 6
    assert mended.launched[0] == f"trial-{MAX_FAILURES:04d}"


def test_the_same_point_is_not_run_again(ledger: Ledger) -> None:
    jobs = Jobs(ledger, lambda folder, values: train(folder, values, score=float(values["width"])))
    found = run(ledger, jobs, settings(params={"width": "choice(16, 32)"}))
    assert len(jobs.launched) == 2
    assert states(found) == ["COMPLETE"] * 6
    assert all(t.value == t.params["width"] for t in found)
    assert sum("same_as" in t.user_attrs for t in found) == 4


def test_a_launcher_of_batches(ledger: Ledger) -> None:
    launcher = Batches(ledger)
    found = run(ledger, launcher, settings(n_jobs=4))
    assert launcher.sizes == [4, 2]
    assert states(found) == ["COMPLETE"] * 6
    assert len({t.params["lr"] for t in found}) == 6


def test_a_batch_that_breaks_loses_none_of_its_ended_jobs(ledger: Ledger) -> None:
    class Breaking(Batches):
        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
            if not self.sizes:
                self.sizes.append(1)
                self.jobs.run(job_overrides[0])
                raise RuntimeError("the queue is gone")
            return super().launch(job_overrides, initial_job_idx)

    found = run(ledger, Breaking(ledger), settings(n_jobs=2, n_trials=3))
    assert states(found) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert found[1].user_attrs["reason"] == "RuntimeError: the queue is gone"


def test_two_searches_share_a_study(ledger: Ledger) -> None:
    together = threading.Barrier(2, timeout=30)

    def work(folder: Path, values: dict[str, str]) -> None:
        if folder.name in ("trial-0000", "trial-0001"):
            together.wait()  # both are under way at once
        train(folder, values)

    launchers = [Jobs(Ledger(ledger.path), work) for _ in range(2)]
    threads = [threading.Thread(target=search, args=(settings(n_trials=9), [], CONFIG, x, ledger)) for x in launchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert states(trials(ledger)) == ["COMPLETE"] * 9
    launched = [name for launcher in launchers for name in launcher.launched]
    assert sorted(launched) == [f"trial-{n:04d}" for n in range(9)]
    assert all(launcher.launched for launcher in launchers)


def test_a_job_that_outlives_its_search_is_waited_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    work, _ = killed_at("half done", 0)
    with pytest.raises(KilledError):
        run(ledger, Jobs(ledger, work), settings(n_trials=1))
    folder = ledger.path / "trial-0000"
    waits: list[float] = []
    with ExitStack() as alive:
        alive.enter_context(RunFolder(folder).hold())

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                train(folder, {"lr": "0.5"})
                alive.close()

        monkeypatch.setattr(searching.time, "sleep", wait)
        again = Jobs(ledger)
        found = run(ledger, again, settings(n_trials=1))
    assert len(waits) == 3
    assert again.launched == []
    assert (states(found), found[0].value) == (["COMPLETE"], 0.25)


def test_two_trials_under_way_may_have_the_same_values(ledger: Ledger) -> None:
    together = threading.Barrier(2, timeout=30)

    def work(folder: Path, values: dict[str, str]) -> None:
        together.wait()
        train(folder, values, score=0.5)

    section = settings(params={"width": "choice(16)"}, n_trials=2)
    launchers = [Jobs(Ledger(ledger.path), work) for _ in range(2)]
    threads = [threading.Thread(target=search, args=(section, [], CONFIG, x, ledger)) for x in launchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(launchers[0].launched + launchers[1].launched) == ["trial-0000", "trial-0001"]
    assert states(trials(ledger)) == ["COMPLETE"] * 2


def test_several_objectives_at_the_best_epoch(ledger: Ledger) -> None:
    described = {"like": {"kind": "binary"}, "rating": {"kind": "regression"}}
    config = CONFIG | {"data": {"tasks": described}, "tasks": ["like", "rating"]}
    section = settings(objectives=["val/like/auc", "val/rating/rmse"])
    search(section, [], config, Jobs(ledger), ledger)
    study, _ = load_study(ledger.path, None, "sweep")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(auc == pytest.approx(rmse - 0.5) for auc, rmse in (t.values for t in study.trials))


def test_values_at_the_best_epoch_of_tasks_that_share_nothing(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    log = MetricsFile(run.metrics)
    log.log_metrics({"val/like/auc": 0.7, "val/rating/rmse": 1.0, "epoch": 0}, 9)
    log.log_metrics({"val/like/auc": 0.6, "val/rating/rmse": 0.9, "epoch": 1}, 19)
    log.log_metrics({"val/like/auc": 0.65, "val/rating/rmse": 0.8, "epoch": 1}, 19)  # a resumed run did it again
    run.update(state="done", best={"like": {"score": 0.4, "epoch": 0}, "rating": {"score": 0.2, "epoch": 1}})
    names = ["val/like/auc", "val/rating/rmse", "val/score"]
    assert objective_values(run.path, names) == [0.7, 0.8, pytest.approx(0.3)]
    with pytest.raises(RunError, match="has no val/like/ndcg of epoch 0"):
        objective_values(run.path, ["val/like/ndcg"])


DATA = {
    "tasks": {
        "like": {"kind": "binary"},
        "rating": {"kind": "regression", "options": {"transform": "log1p"}},
        "grade": {"kind": "multiclass", "options": {"classes": [1, 2, 3]}},
        "stars": {"kind": "ordinal"},
    }
}


def test_the_heads_say_which_way_is_better() -> None:
    names = ["val/score", "val/like/score", "val/like/log_loss", "val/rating/r2", "val/grade/accuracy", "val/stars/mae"]
    assert higher_is_better({"data": DATA, "tasks": None}, names) == [True, True, False, True, True, False]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("val/click/auc", "the tasks that are trained are like"),
        ("val/rating/rmse", "the tasks that are trained are like"),  # it is described and not trained
        ("val/like/rmse", "the task like has no metric 'rmse'; it has auc, "),
        ("val/like/gauc_coverage", "is neither good nor bad"),
    ],
)
def test_an_objective_that_is_not_there(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        higher_is_better({"data": DATA, "tasks": ["like"]}, [name])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"objectives": ["test/like/auc"]}, "test/like/auc is measured on test rows.*take val/like/auc"),
        ({"objectives": ["like/auc"]}, "is not a validation value"),
        ({"objectives": []}, "must name at least one value"),
        ({"objectives": ["val/score", "val/score"]}, "names a value twice"),
        ({"objectives": ["val/a/auc", "val/b/auc"], "pruner": "median"}, "pruner=median goes with one objective"),
        ({"sampler": "grid"}, "sampler must be one of tpe, nsga2, random, got 'grid'; .*hydra/sweeper=grid"),
        ({"pruner": "asha"}, "pruner must be one of none, median, halving, hyperband"),
        ({"n_trials": 0}, "n_trials must be a whole number >= 1, got 0"),
        ({"seed": None}, "seed must be a whole number >= 0, got None"),
        ({"storage": "study.db"}, "storage must be an address such as sqlite:///study.db"),
        ({"save_as": "../mine"}, "save_as must be letters"),
        ({"trials": 3}, "Unknown key hydra.sweeper.trials: there are n_jobs, n_trials"),
    ],
)
def test_settings_are_refused_in_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read_settings(settings(**changes))


def test_jobs_that_stand_for_all_trials() -> None:
    hydra = {"sweeper": settings() | {"_target_": "x"}, "runtime": {"choices": {}}}
    parsed = OverridesParser.create().parse_overrides(["seed=3", "lr=interval(0,2)", "hydra.sweeper.seed=5"])
    assert representatives(hydra, parsed) == [
        ["seed=3", "lr=0.0", "width=16"],
        ["seed=3", "lr=2.0", "width=16"],
        ["seed=3", "lr=0.0", "width=32"],
    ]


def judged(conf: Path, ledger: Ledger | None = None, *overrides: str, **changes: Any) -> None:
    configs = [{"data": DATA, "tasks": ["like"]}, {"data": DATA, "tasks": ["rating"]}]
    hydra = {"sweeper": settings(**changes), "runtime": {"choices": {}}}
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    check_search(hydra, parsed, configs, CONFIG, conf, ledger)


def test_what_is_judged_before_a_search_begins(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("")
    (tmp_path / "experiment" / "front_1.yaml").write_text("")
    judged(tmp_path, save_as="other")
    with pytest.raises(ConfigError, match=r"mine.yaml is there already"):
        judged(tmp_path, save_as="mine")
    with pytest.raises(ConfigError, match=r"trained are rating"):
        judged(tmp_path, objectives=["val/like/auc"])
    with pytest.raises(ConfigError, match=r"cannot be opened"):
        judged(tmp_path, storage="sqlite:////no/such/folder/study.db")
    judged(tmp_path, storage="sqlite:///study.db")
    assert not (tmp_path / "study.db").exists()


def test_a_name_that_another_study_has(tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / "experiment").mkdir()
    storage = f"sqlite:///{tmp_path / 'all.db'}"
    judged(tmp_path, storage=storage, study="it")
    run(ledger, Jobs(ledger), settings(storage=storage, study="it", n_trials=1))
    with pytest.raises(ConfigError, match=r"has a study it already: go on with its sweep"):
        judged(tmp_path, storage=storage, study="it")
    judged(tmp_path, storage=storage, study="other")


def test_what_is_judged_before_a_search_goes_on(tmp_path: Path, ledger: Ledger) -> None:
    run(ledger, Jobs(ledger), settings(n_trials=1))
    judged(tmp_path, ledger, n_trials=9, save_as="mine")
    with pytest.raises(ConfigError, match=r"another fixed \(\[\], now \['seed=2'\]\): go on with -m resume="):
        judged(tmp_path, ledger, "seed=2")
    with pytest.raises(ConfigError, match="another space"):
        judged(tmp_path, ledger, "lr=interval(0,2)")
    with pytest.raises(ConfigError, match="another pruner"):
        judged(tmp_path, ledger, pruner="median")


def test_what_a_launcher_returned() -> None:
    assert why_not(JobReturn(status=JobStatus.COMPLETED, _return_value={"state": "elsewhere"})) is None
    assert why_not(JobReturn(status=JobStatus.FAILED, _return_value=ValueError("x"))) == "ValueError: x"
