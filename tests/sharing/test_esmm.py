"""ESMM: probabilities along a chain, exact at every size of logit, and chains that make no sense."""

from decimal import Decimal, localcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from sharing.by_hand import BACKBONES, assert_same, embedded, encoded, run
from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError
from taskloom.sharing.esmm import ESMM, joint_logit
from taskloom.tasks import Task

CLICK, DWELL = Task("click", "binary"), Task("dwell", "regression", parent="click")
BUY, RETURN = Task("buy", "binary", parent="click"), Task("return", "binary", parent="buy")
LIKE = Task("like", "binary")
#: children before their parents, another kind, and a task beside the chain
TASKS = [RETURN, DWELL, BUY, CLICK, LIKE]


def make(backbone="fm", tasks=TASKS):
    torch.manual_seed(3)
    return ESMM(BACKBONES[backbone], tasks).double()


def network(scheme, k):
    return scheme.upstream[str(k)] if str(k) in scheme.upstream else scheme.private[k]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_representations_are_those_of_a_network_a_task(backbone):
    scheme, batch = make(backbone), embedded()
    rows = []
    for row in range(5):
        each = []
        for k in range(5):
            wide, x = encoded(network(scheme, k).encoder, batch)
            each.append(torch.cat([wide[row], run(network(scheme, k).stages, x[row])]))
        rows.append(torch.stack(each))
    h = scheme(batch).h
    assert h.shape == (5, 5, scheme.width)
    assert_same(h, torch.stack(rows), scheme, batch)


def test_probabilities_are_products_along_the_chain():
    g = torch.Generator().manual_seed(0)
    raw = [torch.randn(7, 1, generator=g, dtype=torch.float64, requires_grad=True) for _ in TASKS]
    rows = []
    for row in range(7):
        given_buy, dwell, given_click, click, like = (r[row, 0] for r in raw)
        p_click = 1 / (1 + torch.exp(-click))
        p_buy = p_click / (1 + torch.exp(-given_click))
        p_return = p_buy / (1 + torch.exp(-given_buy))
        logits = [torch.log(p) - torch.log(1 - p) for p in (p_return, p_buy)]
        rows.append(torch.stack([logits[0], dwell, logits[1], click, like]))
    expected, composed = torch.stack(rows), torch.cat(make().compose(raw), 1)
    torch.testing.assert_close(composed, expected, rtol=1e-5, atol=1e-9)
    direction = torch.randn(7, 5, generator=g, dtype=torch.float64)
    one, other = (torch.autograd.grad((c * direction).sum(), raw) for c in (composed, expected))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-9)


def exactly(a, b):
    """log p - log(1 - p) of p = σ(a) σ(b), to 400 digits."""
    with localcontext() as context:
        context.prec = 400
        p = 1 / (1 + (-Decimal(a)).exp()) / (1 + (-Decimal(b)).exp())
        return float((p / (1 - p)).ln())


SIZES = [-300.0, -90.0, -20.0, -1.0, -1e-6, 0.0, 1e-6, 1.0, 20.0, 90.0, 300.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_it_is_exact_for_very_small_and_very_large_logits(dtype):
    pairs = torch.tensor([(a, b) for a in SIZES for b in SIZES]).to(dtype)
    expected = torch.tensor([exactly(a, b) for a, b in pairs.tolist()])
    joint = joint_logit(pairs[:, 0], pairs[:, 1])
    assert joint.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(joint.float(), expected, rtol=1e-6, atol=1e-6)


WILD = st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(-200, 200, width=32)


@given(a=WILD, b=WILD, dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
def test_a_child_is_never_likelier_than_its_parent(a, b, dtype):
    raw = [torch.tensor([[x]], dtype=dtype, requires_grad=True) for x in (a, b)]
    click, buy = ESMM.compose(CHAIN, raw)
    assert click is raw[0]
    assert buy.isfinite()
    assert buy <= torch.minimum(click, raw[1])
    assert buy.float().sigmoid() <= click.float().sigmoid()
    loss = functional.binary_cross_entropy_with_logits(buy.float(), torch.ones(1, 1))
    for gradient in torch.autograd.grad(loss, raw):
        assert -1 - 1e-6 <= gradient <= 0


CHAIN = ESMM(BACKBONES["mlp"], [CLICK, BUY])


def test_where_the_parent_is_certain_the_child_is_what_its_head_says():
    b = torch.linspace(-30, 30, 61)
    torch.testing.assert_close(joint_logit(torch.full_like(b, 60.0), b), b)


def test_parents_learn_from_their_children(schema, make_batch, make_module):
    tasks = [Task("click", "binary", "like"), Task("buy", "binary", "like", parent="click"), Task("n", "count", "like")]
    module = make_module(schema, tasks, ESMM)
    batch = make_batch(schema, n_tasks=3)
    losses, _ = module.losses(module(batch).raw, batch)
    names, parameters = zip(*module.named_parameters(), strict=True)
    moved = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses]
    found = {
        name: {k for k in range(3) if moved[k][i] is not None and moved[k][i].any()} for i, name in enumerate(names)
    }
    assert found["sharing.upstream.0.stages.0.0.weight"] == {0, 1}
    assert found["sharing.private.1.stages.0.0.weight"] == {1}
    assert found["sharing.private.2.stages.0.0.weight"] == {2}
    assert found["heads.0.tower.0.weight"] == {0, 1}
    assert found["features.tables.0.weight"] == {0, 1, 2}


def test_under_autocast_the_module_keeps_the_order_of_probabilities(schema, make_batch, make_module):
    tasks = [Task("click", "binary", "like"), Task("buy", "binary", "like", parent="click")]
    module = make_module(schema, tasks, ESMM, init_std=1000.0)
    batch = make_batch(schema)
    with torch.autocast("cpu", torch.bfloat16):
        click, buy = module.predict(batch)
        loss = module.objective(batch)[0]
    loss.backward()
    assert (buy <= click).all()
    assert click.max() > 0.999
    assert buy.min() < 0.001
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (
            [CLICK, DWELL],
            "none of the tasks click, dwell is binary and has a parent: name one, as in .data.tasks.<task>.parent=",
        ),
        (
            [DWELL, BUY],
            "the probability of buy by that of its parent, and click is not among the tasks dwell, buy: add it, as in "
            r"tasks=\[click,dwell,buy\], or set data.tasks.buy.parent=null",
        ),
        (
            [CLICK, DWELL, Task("buy", "binary", parent="dwell")],
            "that of its parent, and dwell is of kind regression, which has none: set data.tasks.buy.parent to a "
            "binary task or to null, or choose a model without a chain of probabilities, such as aitm",
        ),
        (
            [Task("a", "binary", parent="b"), Task("b", "binary", parent="a")],
            "a, b are one another's parents; set the parent of one of them to null",
        ),
    ],
    ids=["no chain", "no parent there", "parent of another kind", "circle"],
)
def test_a_chain_that_makes_no_sense_is_refused(tasks, message):
    with pytest.raises(ConfigError, match=message):
        ESMM(BACKBONES["mlp"], tasks)
    with pytest.raises(ConfigError, match=message):
        ESMM.check_tasks(tasks, {})


def test_preflight_tells_it_before_any_data_is_read(compose):
    told = preflight(compose("model=esmm"))
    assert [problem.path for problem in told] == ["model"]
    assert "none of the tasks like, rating is binary and has a parent" in told[0].text
    synthetic = ["model=esmm", "data=synthetic", "data.source=null"]
    assert preflight(compose(*synthetic)) == []
    assert (
        "add it, as in tasks=[click,dwell,purchase]" in preflight(compose(*synthetic, "tasks=[dwell,purchase]"))[0].text
    )
