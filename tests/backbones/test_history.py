"""A history among the fields: with nothing earlier, fm; every YAML switches the history on."""

import pytest
import torch

import members
from backbones.history_views import INPUTS, view
from taskloom.backbones.fm import FM
from taskloom.backbones.history import mean
from taskloom.config.preflight import preflight
from taskloom.data.spec import parse_features
from taskloom.features import View

READERS = ("din", "gru", "sasrec")


@pytest.mark.parametrize("name", READERS)
def test_without_any_event_a_factorised_one_is_fm_with_empty_fields(name):
    backbone, of = members.backbone(name, hidden=[])(INPUTS).double(), view()
    of.mask[:] = False
    h, wide = backbone(of), FM(INPUTS, hidden=[]).double()(of)
    assert h.shape == (6, backbone.width) == (6, wide.shape[1] + 2)
    torch.testing.assert_close(h[:, [0, 1, 2, 3, *range(6, 9)]], wide)
    assert not h[:, 4:6].any()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("norm", [None, "batch", "layer"])
@pytest.mark.parametrize("factorise", [True, False])
def test_widths_are_those_of_the_stages(name, norm, factorise):
    backbone = members.backbone(name, norm=norm, factorise=factorise)(INPUTS).double()
    wide, x = backbone.encoder(view())
    assert x.shape == (6, backbone.encoder.width)
    assert (0 if wide is None else wide.shape[1]) == backbone.wide
    assert backbone(view()).shape == (6, backbone.width)
    assert backbone.reads_history


def test_the_mean_is_that_of_the_events_that_are_there():
    of = view()
    found = mean(of.history.flatten(2), of.mask)
    assert not found[0].any()
    torch.testing.assert_close(found[2], (of.history[2, -1] + of.history[2, -2]).flatten() / 2)


@pytest.mark.parametrize("name", READERS)
def test_the_yaml_switches_the_history_on(name):
    assert members.node("backbone", name)[1]["data"]["features"]["history"]["length"] > 0


def test_the_command_line_has_the_last_word(compose):
    assert compose()["data"]["features"]["history"]["length"] == 0
    chosen = compose("backbone=din", "data.features.history.length=7")
    assert chosen["data"]["features"]["history"] == {"kind": "history", "of": ["item"], "length": 7}


NONE = "backbone: DIN reads earlier events, and the data has none: describe them, as in '+data.features.history="
ALONE = "data.features.history has a length, and the data describes no such history: describe it, as in"
OFF = "backbone: DIN reads earlier events, and data.features.history.length is 0: set data.features.history.length=20"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["backbone=din", "data=census_income"], [NONE]),
        (["backbone=din", "data.features.history.length=0"], [OFF]),
        (["backbone=fm", "data=census_income", "+data.features.history.length=20"], [ALONE]),
        (["backbone=din", "data=census_income", "+data.features.past={kind: history, of: [race]}"], []),
        (["backbone=din", "data=census_income", "+data.features.history={kind: history, of: [race]}"], []),
    ],
    ids=["none", "off", "alone", "another_name", "added"],
)
def test_data_without_a_history_is_said_in_a_sentence(overrides, said, compose):
    problems = [problem.text for problem in preflight(compose(*overrides, "floors=[constant]"))]
    assert len(problems) == len(said)
    assert all(problem.startswith(start) for problem, start in zip(problems, said, strict=True))


def test_a_history_of_another_name_keeps_its_own_length():
    other = {"item": {"kind": "categorical"}, "past": {"kind": "history", "of": ["item"], "length": 9}}
    found = parse_features({**other, "history": {"length": 20}})
    assert [(spec.name, spec.length) for spec in found if spec.kind == "history"] == [("past", 9)]


@pytest.mark.parametrize("name", READERS)
def test_half_precision_runs(name):
    backbone, of = members.backbone(name)(INPUTS), view()
    single = View(of.fields.float(), of.dense.float(), of.history.float(), of.mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h = backbone(single)
    torch.testing.assert_close(h.float(), backbone(single), rtol=0.1, atol=0.1)
