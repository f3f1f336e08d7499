"""Which runs are one configuration, and by which settings configurations are told apart."""

import pytest

from taskloom.comparing.points import Design, lay_out
from taskloom.comparing.reading import read_runs
from taskloom.errors import ConfigError


def design(folders, by=None) -> Design:
    runs, notes = read_runs(folders)
    assert notes == []
    return lay_out(runs, by)


def settings(found: Design) -> list[dict]:
    return [point.settings for point in found.points]


def test_seeds_are_one_point_and_members_tell_points_apart(make_run) -> None:
    folders = [make_run(f"{m}{s}", f"model={m}", seed=s) for m in ("soft_sharing", "hard_sharing") for s in (1, 2)]
    found = design(folders)
    assert found.keys == ["model"]
    assert sorted(s["model"] for s in settings(found)) == ["hard_sharing", "soft_sharing"]
    assert [len(point.runs) for point in found.points] == [2, 2]
    assert "features.l2" in found.varying  # for the table of config differences
    assert any("more keys differ with model: features.views, features.l2" in note for note in found.notes)


def test_a_key_on_the_command_line_is_a_setting_of_its_own(make_run) -> None:
    # features.l2 follows the model here as well; but somebody chose it.
    found = design(
        [make_run("a", "model=hard_sharing", settings={"features.l2": 0.5}), make_run("b", "model=soft_sharing")]
    )
    assert found.keys == ["model", "features.l2"]
    assert {(s["model"], s["features.l2"]) for s in settings(found)} == {("hard_sharing", 0.5), ("soft_sharing", 0.12)}


def test_a_key_that_members_do_not_explain_is_a_setting(make_run) -> None:
    # Nobody named it: the default in conf/ changed between these runs.
    one = make_run("a", "model=soft_sharing")
    two = make_run(
        "b", "model=soft_sharing", record={"overrides": ["model=soft_sharing"]}, settings={"features.dim": 8}
    )
    assert design([one, two]).keys == ["features.dim"]


@pytest.mark.parametrize(
    "silent",
    [
        {"name": "other"},
        {"paths.logs": "/elsewhere"},
        {"trainer.threads": 3},
        {"trainer.log_every_n_steps": 1},
        {"callbacks.checkpoint.every_steps": 9},
        {"callbacks.conflict.rows": 9},
        {"logger.wandb.project": "other"},
        {"data.source": "/my/copy"},
        {"data.eval_batch_size": 7},
    ],
    ids=lambda silent: next(iter(silent)),
)
def test_what_has_no_say_in_learning_makes_no_point(make_run, silent: dict) -> None:
    found = design([make_run("a", seed=1), make_run("b", seed=2, settings=silent)])
    assert found.keys == []
    assert [len(point.runs) for point in found.points] == [2]


def test_settings_come_in_the_order_of_the_command_line(make_run) -> None:
    grid = [(b, m) for b in ("fm", "mlp") for m in ("hard_sharing", "soft_sharing")]
    typed = [make_run(f"{b}{m}", f"backbone={b}", f"model={m}", settings={"optimizer.lr": len(b)}) for b, m in grid]
    assert design(typed).keys == ["backbone", "model", "optimizer.lr"]


def test_an_older_run_and_a_new_one_are_one_point(make_run) -> None:
    found = design([make_run("a", "model=hard_sharing", seed=1, old=True), make_run("b", "model=hard_sharing", seed=2)])
    assert found.keys == []
    assert len(found.points) == 1


def test_a_key_that_is_newer_than_some_runs(make_run) -> None:
    newer = make_run("b", seed=2, record={"overrides": ["seed=2"]}, settings={"trainer.shards": 1})
    found = design([make_run("a", seed=1), newer])
    assert [len(point.runs) for point in found.points] == [2]
    assert found.notes == ["some runs are older than trainer.shards: taken for the same"]
    asked = make_run("c", seed=3, settings={"trainer.shards": 1})  # a command line names it
    assert design([make_run("d", seed=1), asked]).keys == ["trainer.shards"]


def test_an_experiment_that_only_some_runs_have(make_run) -> None:
    found = design([make_run("a", "experiment=tuned_single_task"), make_run("b", "model=single_task")])
    assert found.keys[0] == "experiment"
    assert {s["experiment"] for s in settings(found)} == {"tuned_single_task", None}


def test_of_two_runs_with_one_seed_the_later_finished_one_counts(make_run) -> None:
    first = make_run("a", auc=0.1, created="2026-01-01")
    make_run("c", state="failed", created="2026-01-03")
    second = make_run("b", auc=0.2, created="2026-01-02")
    found = design([first, second, first.parent / "c"])
    (point,) = found.points
    assert [run.folder for run in point.runs] == [second]
    assert "2 runs repeated with the same settings and seed: the latest counts" in found.notes


def test_grouping_by_some_settings_averages_over_the_others(make_run) -> None:
    grid = [(m, b, s) for m in ("hard_sharing", "soft_sharing") for b in ("fm", "mlp") for s in (1, 2)]
    found = design([make_run(f"{m}{b}{s}", f"model={m}", f"backbone={b}", seed=s) for m, b, s in grid], by=["model"])
    assert found.keys == ["model"]
    assert [len(point.runs) for point in found.points] == [4, 4]
    assert set(found.pairs.values()) == {(s, b) for s in (1, 2) for b in ("fm", "mlp")}


def test_grouping_by_what_no_run_has(make_run) -> None:
    with pytest.raises(ConfigError, match=r"by: Unknown key modle: did you mean model\?"):
        design([make_run("a")], by=["modle"])


class TestData:
    def test_two_data_sets_never_share_a_point(self, make_run) -> None:
        found = design([make_run("a"), make_run("b", "data=movielens_1m", fingerprint="f" * 16)], by=["model"])
        assert sorted(point.data for point in found.points) == ["movielens_100k", "movielens_1m"]
        assert found.keys == ["data", "model"]
        assert any(note.startswith("metrics on different data are not put against each other") for note in found.notes)

    def test_other_raw_files_under_the_same_settings(self, make_run) -> None:
        found = design([make_run("a", fingerprint="a" * 16), make_run("b", seed=2, fingerprint="b" * 16)])
        assert [len(point.runs) for point in found.points] == [1, 1]
        assert found.keys == ["data"]
        assert {point.data for point in found.points} == {f"movielens_100k (fingerprint={x * 16})" for x in "ab"}

    def test_another_kind_of_split(self, make_run) -> None:
        change = {"settings": {"data.split.kind": "per_user"}, "fingerprint": "b" * 16}
        found = design([make_run("a"), make_run("b", **change)])
        assert {point.data for point in found.points} == {
            f"movielens_100k (split.kind={k})" for k in ("random", "per_user")
        }
        assert found.keys == ["data.split.kind"]

    def test_features_are_a_setting_on_the_same_rows(self, make_run) -> None:
        change = {"settings": {"data.features.history.length": 20}, "fingerprint": "b" * 16}
        found = design([make_run("a"), make_run("b", **change)])
        assert {point.data for point in found.points} == {"movielens_100k"}
        assert found.keys == ["data.features.history.length"]

    def test_seeds_of_the_split_are_what_means_are_over(self, make_run) -> None:
        folders = [make_run(f"{s}{x}", seed=s, split_seed=x) for s in (1, 2) for x in (1, 2, 3)]
        found = design(folders)
        assert found.over == "splits"
        assert [len(point.runs) for point in found.points] == [6]
        assert set(found.pairs.values()) == {(1,), (2,), (3,)}
        assert {point.data for point in found.points} == {"movielens_100k"}
        assert design(folders[:1]).over == "seeds"

    def test_a_run_that_failed_before_its_data_were_there(self, make_run) -> None:
        failed = make_run("b", seed=2, state="failed", record={"fingerprint": None})
        assert [len(point.runs) for point in design([make_run("a"), failed]).points] == [2]
