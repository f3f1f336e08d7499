"""DSelect-k against its formula, row by row, and what its gates choose."""

from functools import partial
from math import log

import pytest
import torch

import members
from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError
from taskloom.features import Embedded, InputSpec
from taskloom.sharing.dselect_k import DSelectK, smooth_step

INPUTS = InputSpec(tuple(members.SCHEMA.fields), dim=3, n_dense=1)
ROWS = 7


def make(backbone="mlp", hidden=(5, 4), dtype=torch.float64, **changes):
    torch.manual_seed(0)
    arguments = {"experts": 8, "chosen": 2, "gamma": 1.0, "entropy": 0.1, **changes}
    made = members.backbone(backbone, hidden=list(hidden))
    return DSelectK(partial(made, INPUTS), members.TASKS, **arguments).to(dtype)


def embed(dtype=torch.float64, n_rows=float(ROWS), seed=1):
    g = torch.Generator().manual_seed(seed)
    fields = torch.randn(ROWS, 1, len(INPUTS.fields), INPUTS.dim, generator=g, dtype=dtype).requires_grad_()
    return Embedded(fields, torch.randn(ROWS, 1, generator=g, dtype=dtype), torch.zeros(()), n_rows)


def point(gate, codes):
    """Sets each selector to one code, whatever the row."""
    n_bits = len(gate.bias) // len(codes)
    with torch.no_grad():
        gate.weight.zero_()
        gate.bias.copy_(torch.tensor([1.0 if code >> j & 1 else -1.0 for code in codes for j in range(n_bits)]))


def reference(scheme, embedded, entropy, gamma):
    """h and Ω by rows, tasks, selectors, experts and bits."""
    wide, x = scheme.encoder(embedded.shared())
    experts, penalty, h = scheme.experts.experts, 0.0, []
    n_bits = next(m for m in range(9) if 2**m >= len(experts))
    for b in range(ROWS):
        row = x[b]
        for gate in scheme.private:
            shares = (gate.shares.layer.weight @ row + gate.shares.layer.bias).exp()
            mixed = 0.0
            for i in range(len(shares)):
                total = 0.0
                for e, expert in enumerate(experts):
                    r = torch.ones((), dtype=x.dtype)
                    for j in range(n_bits):
                        z = gate.weight[i * n_bits + j] @ row + gate.bias[i * n_bits + j]
                        if z <= -gamma / 2 or z >= gamma / 2:
                            s = (z > 0).to(x.dtype)
                        else:
                            s = -2 / gamma**3 * z**3 + 3 / (2 * gamma) * z + 0.5
                        r = r * (s if e // 2**j % 2 else 1 - s)
                    mixed = mixed + shares[i] / shares.sum() * r * expert(row[None])[0]
                    penalty = penalty - entropy * r * (r + 1e-6).log()
                    total = total + r
                if len(experts) != 2**n_bits:
                    penalty = penalty + (1 - total) / (total + 0.01)
            h.append(mixed if wide is None else torch.cat([wide[b], mixed]))
    return torch.stack(h).unflatten(0, (ROWS, -1)), penalty / embedded.n_rows


@pytest.mark.parametrize("backbone", ["mlp", "fm"])
@pytest.mark.parametrize(("experts", "chosen"), [(8, 1), (4, 3), (5, 2)])
def test_equals_its_formula_row_by_row(backbone, experts, chosen):
    scheme, embedded = make(backbone, experts=experts, chosen=chosen, gamma=1.5), embed(n_rows=11.0)
    for gate in scheme.private:  # bits on the slope and beyond it
        torch.nn.init.normal_(gate.weight, std=0.4)
        torch.nn.init.normal_(gate.bias, std=0.2)
    shared = scheme(embedded)
    h, penalty = reference(scheme, embedded, entropy=0.1, gamma=1.5)
    torch.testing.assert_close(shared.h, h, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shared.penalty, penalty, atol=1e-5, rtol=1e-5)
    direction = torch.randn(h.shape, generator=torch.Generator().manual_seed(3), dtype=h.dtype)
    wanted = [embedded.fields, *scheme.parameters()]
    ours = torch.autograd.grad((shared.h * direction).sum() + shared.penalty, wanted)
    theirs = torch.autograd.grad((h * direction).sum() + penalty, wanted)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 3.0])
def test_smooth_step_and_its_slope(gamma):
    t = torch.linspace(-gamma, gamma, 41, dtype=torch.float64, requires_grad=True)
    s = smooth_step(t, gamma)
    (slope,) = torch.autograd.grad(s.sum(), t)
    inside = t.detach().abs() < gamma / 2
    torch.testing.assert_close(s.detach()[~inside], (t.detach()[~inside] > 0).double())
    assert torch.allclose(slope[~inside], torch.zeros(()).double())
    torch.testing.assert_close(slope[inside], 3 / (2 * gamma) - 6 / gamma**3 * t.detach()[inside] ** 2)
    assert s[20].item() == pytest.approx(0.5)
    assert slope[20].item() == pytest.approx(1.5 / gamma)
    torch.testing.assert_close(s + smooth_step(-t, gamma), torch.ones_like(s))
    assert (s.diff() >= 0).all()


@pytest.mark.parametrize("codes", [[0, 7], [3, 5, 6], [1]])
def test_hard_codes_give_weight_to_exactly_those_experts(codes):
    scheme, embedded = make(chosen=len(codes)), embed()
    for gate in scheme.private:
        point(gate, codes)
    _, x = scheme.encoder(embedded.shared())
    weights, selectors = scheme.private[0](x)
    assert ((weights > 0).sum(1) == len(codes)).all()
    assert selectors.argmax(2).tolist() == [codes] * ROWS
    torch.testing.assert_close(weights.sum(1), torch.ones(ROWS, dtype=torch.float64))
    assert float(scheme(embedded).penalty.detach()) == pytest.approx(0, abs=1e-6)


def test_one_hard_selector_is_one_expert():
    scheme, embedded = make(chosen=1), embed()
    for k, gate in enumerate(scheme.private):
        point(gate, [k + 3])
    _, x = scheme.encoder(embedded.shared())
    expected = torch.stack([scheme.experts.experts[k + 3](x) for k in range(3)], dim=1)
    torch.testing.assert_close(scheme(embedded).h, expected)


@pytest.mark.parametrize("experts", [2, 4, 16])
def test_weights_add_up_to_one_and_begin_open(experts):
    scheme, embedded = make(experts=experts, dtype=torch.float32), embed(torch.float32)
    _, x = scheme.encoder(embedded.shared())
    for gate in scheme.private:
        weights, selectors = gate(x)
        torch.testing.assert_close(weights.sum(1), torch.ones(ROWS))
        assert (selectors > 0.5 / experts).all()
        torch.nn.init.normal_(gate.weight, std=0.5)
        torch.testing.assert_close(gate(x)[0].sum(1), torch.ones(ROWS))


def test_indecision_begins_at_its_most():
    penalty = float(make(experts=4, chosen=3, entropy=0.2)(embed()).penalty.detach())
    assert penalty == pytest.approx(0.2 * 3 * 3 * log(4), rel=0.02)  # 3 tasks with 3 selectors each


@pytest.mark.parametrize(("experts", "n_bits"), [(5, 3), (3, 2)])
def test_penalty_alone_leads_selectors_to_a_choice_among_the_experts(experts, n_bits):
    scheme, embedded = make(experts=experts, chosen=2, entropy=0.3), embed()
    for gate in scheme.private:  # in a corner of codes that belong to no expert
        point(gate, [2**n_bits - 1] * 2)
        gate.bias.data.mul_(0.45)
    optimizer = torch.optim.Adam([p for gate in scheme.private for p in gate.parameters()], lr=0.1)
    first = scheme(embedded).penalty.detach()
    for _ in range(60):
        optimizer.zero_grad()
        scheme(embedded).penalty.backward()
        optimizer.step()
    _, x = scheme.encoder(embedded.shared())
    for gate in scheme.private:
        weights, _ = gate(x)
        torch.testing.assert_close(weights.sum(1), torch.ones(ROWS, dtype=torch.float64), atol=1e-3, rtol=0)
        assert ((weights > 1e-3).sum(1) <= 2).all()
    assert scheme(embedded).penalty.detach() < 0.01 * first


def test_codes_of_no_expert_cost_something_finite():
    scheme, embedded = make(experts=5, chosen=1, entropy=0.0), embed()
    for gate in scheme.private:
        point(gate, [7])
    penalty = scheme(embedded).penalty
    assert float(penalty.detach()) == pytest.approx(3 * 100)
    gradients = torch.autograd.grad(penalty, list(scheme.private.parameters()), allow_unused=True)
    assert all(g is None or g.isfinite().all() for g in gradients)


def test_without_entropy_a_power_of_two_costs_nothing():
    assert float(make(entropy=0.0)(embed()).penalty.detach()) == 0


def test_two_ranks_have_the_penalty_of_one():
    scheme, whole = make(experts=5), embed()
    halves = [
        Embedded(whole.fields[rows], whole.dense[rows], torch.zeros(()), ROWS / 2)
        for rows in (slice(0, 3), slice(3, ROWS))
    ]
    mean = sum(scheme(half).penalty for half in halves) / 2
    torch.testing.assert_close(mean, scheme(whole).penalty)


def test_mixed_precision_leaves_the_weights_whole():
    scheme, embedded = make(dtype=torch.float32), embed(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        shared = scheme(embedded)
        weights, _ = scheme.private[0](scheme.encoder(embedded.shared())[1])
    assert shared.h.dtype == torch.bfloat16
    assert weights.dtype == shared.penalty.dtype == torch.float32
    torch.testing.assert_close(weights.sum(1), torch.ones(ROWS))


@pytest.mark.filterwarnings("error")
def test_a_backbone_without_deep_part_has_nothing_to_mix():
    scheme = make("fm", hidden=())
    assert scheme(embed()).h.shape == (ROWS, 3, scheme.wide)


def test_more_than_there_are_cannot_be_chosen(compose):
    with pytest.raises(ConfigError, match=r"model.chosen=3 of model.experts=2 cannot be chosen; set .* to 2 or less"):
        make(experts=2, chosen=3)
    config = compose("model=dselect_k", "model.chosen=9")
    (problem,) = preflight(config)
    assert problem.text.startswith("model.chosen=9 of model.experts=8 cannot be chosen")
    config["model"] |= {"experts": 1, "chosen": 1}
    (problem,) = preflight(config)
    assert problem.text == "model.experts must be >= 2, got 1"
