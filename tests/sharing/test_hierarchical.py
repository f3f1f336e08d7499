"""Hierarchical sharing against its formula, who moves which level, and hierarchies that make no sense."""

from functools import partial

import pytest
import torch

from sharing.by_hand import BACKBONES, assert_same, embedded, encoded, linear, run
from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError
from taskloom.sharing.hard_sharing import HardSharing
from taskloom.sharing.hierarchical import Hierarchical
from taskloom.tasks import Task

CLICK, DWELL = Task("click", "binary"), Task("dwell", "regression", parent="click")
BUY, RETURN = Task("buy", "binary", parent="click"), Task("return", "binary", parent="buy")
TASKS = [BUY, CLICK, RETURN, DWELL]


def make(backbone="fm", tasks=TASKS, hierarchy=None):
    torch.manual_seed(3)
    return Hierarchical(BACKBONES[backbone], tasks, hierarchy).double()


def by_hand(scheme, batch, levels):
    """h_k of every row, one level after the other; levels: the tasks' places, lowest first."""
    wide, x = encoded(scheme.encoder, batch)
    modules = [*scheme.ladder, *(m for m in scheme.private if hasattr(m, "stages"))]
    h = []
    for row in range(len(x)):
        found, below = {}, None
        for module, places in zip(modules, levels, strict=True):
            read = x[row]
            if below is not None and len(below):
                read = x[row] + linear(module.entry, below)
            below = run(module.stages, read)
            found |= dict.fromkeys(places, torch.cat([wide[row], below]))
        h.append(torch.stack([found[k] for k in range(len(found))]))
    return torch.stack(h)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(
    ("tasks", "hierarchy", "levels"),
    [
        (TASKS, None, [[1], [0, 3], [2]]),
        (TASKS, [["dwell", "return"], ["buy", "click"]], [[2, 3], [0, 1]]),
        ([RETURN, DWELL], None, [[0], [1]]),  # nobody's parent is there: the order of the tasks
        ([CLICK], None, [[0]]),
    ],
    ids=["parents", "given", "order", "one task"],
)
def test_it_is_the_formula(backbone, tasks, hierarchy, levels):
    scheme, batch = make(backbone, tasks, hierarchy), embedded()
    h = scheme(batch).h
    assert h.shape == (5, len(tasks), scheme.width)
    assert_same(h, by_hand(scheme, batch, levels), scheme, batch)


def moved_by(scheme, k):
    """Names of the parameters that a loss on h_k moves."""
    h = scheme(embedded()).h[:, k]
    names, parameters = zip(*scheme.named_parameters(), strict=True)
    grads = torch.autograd.grad(h.square().sum(), parameters, allow_unused=True)
    return {name.rsplit(".", 1)[0] for name, grad in zip(names, grads, strict=True) if grad is not None and grad.any()}


def test_a_level_is_moved_by_its_tasks_and_those_above():
    scheme = make("mlp")
    low, middle, top = "ladder.0.stages.0.0", "ladder.1.stages.0.0", "private.2.stages.0.0"
    assert moved_by(scheme, 1) == {low}
    assert moved_by(scheme, 0) == moved_by(scheme, 3) == {low, middle, "ladder.1.entry"}
    assert moved_by(scheme, 2) == {low, middle, "ladder.1.entry", top, "private.2.entry"}
    assert {name: scheme.owner(name) for name in (low, middle, top)} == {low: None, middle: None, top: 2}


def test_a_top_level_of_several_tasks_belongs_to_none():
    scheme = make("mlp", hierarchy=[["click"], ["dwell", "buy", "return"]])
    assert all(scheme.owner(name) is None for name, _ in scheme.named_parameters())


def test_a_level_that_reads_nothing_below_stands_beside_it():
    """With A = 0 and the same weights, every level is the lowest one: hard sharing."""
    scheme = make()
    hard = HardSharing(BACKBONES["fm"], TASKS).double()
    lowest = scheme.ladder[0]
    hard.backbone.stages.load_state_dict(lowest.stages.state_dict())
    with torch.no_grad():
        for level in (scheme.ladder[1], scheme.private[2]):
            level.stages.load_state_dict(lowest.stages.state_dict())
            level.entry.weight.zero_()
    torch.testing.assert_close(scheme(embedded()).h, hard(embedded()).h)


def test_a_linear_first_layer_reads_input_and_level_below_side_by_side():
    scheme, batch = make("mlp"), embedded()
    _, x = encoded(scheme.encoder, batch)
    below = scheme.ladder[0](x, None)
    level = scheme.ladder[1]
    first = level.stages[0][0]
    weights = torch.cat([first.weight, first.weight @ level.entry.weight], 1)
    expected = (torch.cat([x, below], 1) @ weights.T + first.bias).relu()
    torch.testing.assert_close(level(x, below), expected)


@pytest.mark.parametrize(
    ("hierarchy", "message"),
    [
        (
            [["click"], ["buy"]],
            "model.hierarchy: no level has return, dwell; put them on one; the tasks are buy, click",
        ),
        ([["click", "like"], ["buy"]], "like is none of the tasks that are trained; the tasks are buy, click, return"),
        ([["click"], ["buy", "click"]], "click stands there twice; name each task once; the tasks are"),
        ([["click", "buy"], [], ["return", "dwell"]], "a level has no task; leave it out, or put one there; the"),
        ([["click", "buy", "return", "dwell"]], "all tasks stand on one level, which is hard sharing; the tasks are"),
        ([], "no level has buy, click, return, dwell; put them on one"),
    ],
)
def test_a_hierarchy_that_makes_no_sense_is_refused(hierarchy, message):
    with pytest.raises(ConfigError, match=message):
        Hierarchical.check_tasks(TASKS, {"hierarchy": hierarchy})
    with pytest.raises(ConfigError, match=message):
        make(hierarchy=hierarchy)


def test_tasks_that_are_one_anothers_parents_are_refused():
    tasks = [Task("a", "binary", parent="b"), Task("b", "binary", parent="a"), Task("c", "binary")]
    with pytest.raises(ConfigError, match="a, b are one another's parents; set the parent of one of them to null"):
        Hierarchical.check_tasks(tasks, {"hierarchy": None})


def test_preflight_tells_it_before_any_data_is_read(compose):
    assert preflight(compose("model=hierarchical")) == []
    assert preflight(compose("model=hierarchical", "model.hierarchy=[[rating],[like]]")) == []
    problems = preflight(compose("model=hierarchical", "model.hierarchy=[[rating]]"))
    assert [problem.text for problem in problems] == [
        "model.hierarchy: no level has like; put it on one; the tasks are like, rating"
    ]
    flat = preflight(compose("model=hierarchical", "model.hierarchy=[rating,like]"))
    assert flat[0].text.startswith("model.hierarchy[0] must be a list of texts")


def test_it_learns_under_autocast(schema, make_batch, make_module):
    module = make_module(schema, sharing=partial(Hierarchical, hierarchy=None))
    with torch.autocast("cpu", torch.bfloat16):
        loss = module.objective(make_batch(schema))[0]
    loss.backward()
    assert loss.isfinite()
