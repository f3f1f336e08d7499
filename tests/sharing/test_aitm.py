"""AITM against its formula, its calibrator, who hands over to whom, and chains that make no sense."""

from functools import partial

import pytest
import torch

from sharing.by_hand import BACKBONES, assert_same, embedded, encoded, linear, run
from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError
from taskloom.sharing.aitm import AITM
from taskloom.tasks import Task

CLICK, DWELL = Task("click", "binary"), Task("dwell", "regression", parent="click")
BUY, RETURN = Task("buy", "binary", parent="click"), Task("return", "binary", parent="buy")
LIKE = Task("like", "binary")
#: children before their parents, two followers of one task, and a task beside the chain
TASKS = [RETURN, DWELL, BUY, CLICK, LIKE]
BEFORE = {0: 2, 1: 3, 2: 3}


def make(backbone="fm", tasks=TASKS, chain=None, strength=0.5):
    torch.manual_seed(3)
    return AITM(BACKBONES[backbone], tasks, chain, strength).double()


def link(scheme, k):
    return scheme.upstream[str(k)] if str(k) in scheme.upstream else scheme.private[k]


def by_hand(scheme, batch, before):
    """h_k of every row: z of the task before first, then attention over two candidates."""
    h = []
    for row in range(5):
        z, wide = {}, {}
        while len(z) < len(scheme.tasks):
            for k in range(len(scheme.tasks)):
                if k in z or before.get(k, -1) not in {-1, *z}:
                    continue
                own = link(scheme, k)
                u, x = encoded(own.trunk.encoder, batch)
                wide[k], q = u[row], run(own.trunk.stages, x[row])
                if k not in before or not len(q):
                    z[k] = q
                    continue
                p = run(own.transfer.hand_over, z[before[k]])
                scores, values = [], []
                for candidate in (p, q):
                    key, query = linear(own.transfer.key, candidate), linear(own.transfer.query, candidate)
                    scores.append(torch.exp(sum(a * b for a, b in zip(key, query, strict=True)) / len(q) ** 0.5))
                    values.append(linear(own.transfer.value, candidate))
                z[k] = sum(score / sum(scores) * value for score, value in zip(scores, values, strict=True))
        h.append(torch.stack([torch.cat([wide[k], z[k]]) for k in range(len(z))]))
    return torch.stack(h)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(
    ("chain", "before"),
    [(None, BEFORE), (["like", "return", "dwell"], {0: 4, 1: 0})],
    ids=["parents", "given"],
)
def test_it_is_the_formula(backbone, chain, before):
    scheme, batch = make(backbone, chain=chain), embedded()
    h = scheme(batch).h
    assert h.shape == (5, 5, scheme.width)
    assert_same(h, by_hand(scheme, batch, before), scheme, batch)


def test_a_network_is_moved_by_its_task_and_those_behind_it():
    scheme = make("mlp")
    names, parameters = zip(*scheme.named_parameters(), strict=True)
    h = scheme(embedded()).h
    moved = [torch.autograd.grad(h[:, k].sum(), parameters, allow_unused=True, retain_graph=True) for k in range(5)]
    for i, name in enumerate(names):
        k = int(name.split(".")[1])
        behind = {3: {0, 1, 2, 3}, 2: {0, 2}}.get(k, {k})
        assert {j for j in range(5) if moved[j][i] is not None and moved[j][i].any()} == behind, name
        assert scheme.owner(name) == (k if len(behind) == 1 else None)


def test_what_a_task_does_not_look_for_does_not_reach_it():
    """With keys that match its own network's output alone, a task is as if none came before it."""
    scheme, batch = make("mlp"), embedded()
    own = link(scheme, 1)
    with torch.no_grad():
        own.transfer.value.weight.copy_(torch.eye(4))
        own.transfer.key.weight.copy_(1e4 * torch.eye(4))
        own.transfer.query.weight.copy_(1e4 * torch.eye(4))
        own.transfer.hand_over[0].weight.zero_()
        own.transfer.hand_over[0].bias.zero_()
    torch.testing.assert_close(scheme(batch).h[:, 1], own.trunk(batch.shared()))


def test_the_calibrator_is_the_mean_excess_over_the_step_before():
    g = torch.Generator().manual_seed(0)
    raw = [torch.randn(6, 1, generator=g, dtype=torch.float64, requires_grad=True) for _ in TASKS]
    expected = 0.0
    for row in range(6):
        p = [1 / (1 + torch.exp(-r[row, 0])) for r in raw]
        for child, parent in ((0, 2), (2, 3)):  # dwell is a time: it has no probability
            if p[child] > p[parent]:
                expected = expected + 0.5 * (p[child] - p[parent]) / 8
    penalty = make().calibration(raw, n_rows=8.0)
    torch.testing.assert_close(penalty, expected, rtol=1e-12, atol=0)  # in double precision throughout
    one, other = (torch.autograd.grad(x, raw, allow_unused=True) for x in (penalty, expected))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    half = [r.detach().bfloat16() for r in raw]
    widened = make().calibration([r.float() for r in half], n_rows=8.0)
    torch.testing.assert_close(make().calibration(half, n_rows=8.0), widened)


def test_the_calibrator_is_left_out_where_there_is_nothing_to_calibrate():
    raw = [torch.zeros(6, 1) for _ in range(2)]
    assert make(strength=0.0).calibration(raw, 6.0) is None
    assert make(tasks=[CLICK, DWELL]).calibration(raw, 6.0) is None
    falling = [torch.full((6, 1), float(k)) for k in (-2, 0, -1, 1, 5)]
    assert make().calibration(falling, 6.0) == 0


def test_the_calibrator_makes_probabilities_fall_along_the_chain(schema, make_batch, make_module):
    """Labels that contradict the chain: with a large α the child ends at or below its parent, without it above."""
    tasks = [Task("click", "binary", "like"), Task("buy", "binary", "like", parent="click")]
    excess = []
    for strength in (0.0, 20.0):
        module = make_module(schema, tasks, partial(AITM, chain=None, strength=strength))
        batch = make_batch(schema)
        batch.targets[:, 0] = 1.0
        optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            output = module(batch)
            click, buy = module.losses(output.raw, batch)[0]
            # the parent is told that nothing happens, the child that everything does
            nothing = torch.nn.functional.softplus(output.raw[0]).mean()
            (nothing + 0 * click + buy + output.penalty).backward()
            optimizer.step()
        click, buy = module.predict(batch)
        excess.append(float((buy - click).detach().mean()))
    assert excess[0] > 0.8
    assert excess[1] < 0.05


@pytest.mark.parametrize(
    ("tasks", "chain", "message"),
    [
        ([CLICK, LIKE], None, "none of the tasks click, like has a parent: name the chain, as in model.chain="),
        (
            [DWELL, LIKE],
            None,
            "aitm hands over to dwell from its parent, and click is not among the tasks dwell, like: add it, as in "
            r"tasks=\[click,dwell,like\], or set data.tasks.dwell.parent=null",
        ),
        (TASKS, ["click", "pay"], "model.chain: pay is none of the tasks that are trained, return, dwell, buy, click"),
        (TASKS, ["click", "buy", "click"], "model.chain: click stands there twice; name each task once"),
        (TASKS, ["click"], "model.chain: a chain has two tasks or more, got 1; the tasks are return, dwell"),
        (
            [Task("a", "binary", parent="b"), Task("b", "binary", parent="a")],
            None,
            "a, b are one another's parents; set the parent of one of them to null",
        ),
    ],
    ids=["no chain", "no parent there", "unknown", "twice", "one", "circle"],
)
def test_a_chain_that_makes_no_sense_is_refused(tasks, chain, message):
    with pytest.raises(ConfigError, match=message):
        AITM.check_tasks(tasks, {"chain": chain})
    with pytest.raises(ConfigError, match=message):
        make(tasks=tasks, chain=chain)


def test_preflight_tells_it_before_any_data_is_read(compose):
    told = preflight(compose("model=aitm"))
    assert [problem.path for problem in told] == ["model"]
    assert "none of the tasks like, rating has a parent" in told[0].text
    assert preflight(compose("model=aitm", "model.chain=[rating,like]")) == []
    assert preflight(compose("model=aitm", "data=synthetic", "data.source=null")) == []


def test_it_learns_under_autocast(schema, make_batch, make_module):
    module = make_module(schema, sharing=partial(AITM, chain=["like", "rating"], strength=0.6))
    with torch.autocast("cpu", torch.bfloat16):
        loss = module.objective(make_batch(schema))[0]
    loss.backward()
    assert loss.isfinite()
