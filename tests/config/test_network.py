"""What scheme and backbone refuse is told before any data is read; callbacks that are set to null."""

import pytest

from taskloom.config.preflight import preflight
from taskloom.training.build import make_callbacks, make_loggers


@pytest.fixture
def told(compose):
    """What is told of a command line."""
    return lambda *overrides: preflight(compose(*overrides))


@pytest.mark.parametrize(
    ("overrides", "path", "message"),
    [
        (
            ["model=sluice", "backbone.hidden=[15]"],
            "model.subspaces",
            "subspaces=2 does not divide a layer of width 15",
        ),
        (["model=sluice", "backbone.hidden=[16,15]"], "model.subspaces", "does not divide a layer of width 15"),
        (["model=sluice", "backbone=two_tower", "backbone.out=5", "model.subspaces=4"], "model.subspaces", "width 10"),
        (["model=ple", "model.levels=2"], "model.levels", "model.levels=2 is more than"),
        (["model=soft_sharing", "model.layers=[encoder,1]"], "model.layers", "no layer 1; choose among encoder, 0"),
        (
            ["model=pepnet", "++data.prior=[hour]", "model.personal=[usr]"],
            "model.personal",
            "usr is no field that is embedded; name some of user, item, ",
        ),
        (["model=mmoe", "++data.prior=[genres]"], "data.prior", "'genres' is no categorical feature; there are user, "),
        (["model=mmoe", "features.dim=1"], "features.dim", "features.dim must be >= 2, got 1"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_what_does_not_fit_is_told(told, overrides, path, message):
    (problem,) = told(*overrides)
    assert problem.path == path
    assert message in problem.text


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=sluice", "model.subspaces=4"],
        ["model=sluice", "backbone=two_tower", "backbone.out=6", "backbone.hidden=[5]", "model.subspaces=4"],
        ["model=ple", "model.levels=1"],
        ["model=soft_sharing", "model.layers=[encoder,0]"],
        ["model=pepnet", "++data.prior=[hour]", "model.personal=[user,genres]"],
        ["model=stem", "features.dim=100000", "backbone.hidden=[100000]"],  # 40 GB a layer, were it not for meta
    ],
    ids=str,
)
def test_what_fits_is_let_pass(told, overrides):
    assert told(*overrides) == []


def test_a_callback_or_logger_set_to_null_is_left_out(told, compose, tmp_path):
    overrides = ["callbacks.conflict=null", "callbacks.throughput=null", "+logger.extra=null"]
    assert told(*overrides) == []
    config = compose(*overrides)
    assert list(make_callbacks(config, tmp_path)) == ["checkpoint", "best", "progress"]
    assert make_loggers(config, tmp_path) == []


@pytest.mark.parametrize("name", ["checkpoint", "best"])
@pytest.mark.parametrize("override", ["callbacks.{}=null", "~callbacks.{}"])
def test_the_callbacks_that_every_run_needs_are_missed(told, name, override):
    (problem,) = told(override.format(name))
    assert problem.text.startswith(f"callbacks.{name} is missing: a run ")
