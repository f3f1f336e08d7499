"""Experts and gates: one form or the other, the same numbers."""

import pytest
import torch
from torch import nn

from taskloom.sharing.experts import Experts, Gate, gate_all, mix


def networks(n: int, *norms: type[nn.Module], width: int = 6) -> list[nn.Module]:
    def make() -> nn.Module:
        between = [norm(width) for norm in norms]
        return nn.Sequential(nn.Linear(5, width), nn.ReLU(), *between, nn.Linear(width, 3), nn.ReLU())

    return [make() for _ in range(n)]


def run(experts: Experts, x: torch.Tensor, form: str, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Outputs, and the gradients of a projection of them, of parameters and input."""
    monkeypatch.setattr(Experts, "form", form)
    outputs = experts(x)
    projection = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1)).to(outputs.dtype)
    return [outputs, *torch.autograd.grad((projection * outputs).sum(), [x, *experts.parameters()])]


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_forms_give_the_same(n, dtype, monkeypatch):
    torch.manual_seed(0)
    experts, x = Experts(networks(n, nn.LayerNorm)).to(dtype), torch.randn(7, 5, dtype=dtype, requires_grad=True)
    called = []
    monkeypatch.setattr(Experts, "_batched", lambda self, x, old=Experts._batched: called.append(1) or old(self, x))
    loop = run(experts, x, "loop", monkeypatch)
    assert not called
    batched = run(experts, x, "batched", monkeypatch)
    assert called == [1]
    assert loop[0].shape == (7, n, 3)
    near = 1e-5 if dtype == torch.float32 else 1e-12
    for a, b in zip(loop, batched, strict=True):
        torch.testing.assert_close(a, b, rtol=near, atol=near)
    for e, expert in enumerate(experts.experts):
        torch.testing.assert_close(batched[0][:, e], expert(x), rtol=near, atol=near)


def test_both_forms_give_the_same_under_autocast(monkeypatch):
    torch.manual_seed(0)
    experts, x = Experts(networks(3)), torch.randn(7, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loop, batched = (run(experts, x, form, monkeypatch) for form in ("loop", "batched"))
    assert loop[0].dtype == batched[0].dtype == torch.bfloat16
    torch.testing.assert_close(loop[0], batched[0], rtol=2e-2, atol=2e-2)
    # Of gradients the type alone: a ReLU on the brink may fall to either side in so few digits.
    assert [g.dtype for g in loop[1:]] == [g.dtype for g in batched[1:]] == [torch.float32] * 13


def test_second_derivatives_pass_the_batched_form(monkeypatch):
    torch.manual_seed(0)
    experts, x = Experts(networks(2)).double(), torch.randn(4, 5, dtype=torch.float64)
    found = []
    for form in ("loop", "batched"):
        monkeypatch.setattr(Experts, "form", form)
        parameters = list(experts.parameters())
        first = torch.autograd.grad(experts(x).square().sum(), parameters, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), parameters))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_experts_drop_out_independently_in_both_forms(monkeypatch):
    expert = nn.Sequential(nn.Linear(5, 400), nn.Dropout(0.5))
    experts, x = Experts([expert, nn.Sequential(nn.Linear(5, 400), nn.Dropout(0.5))]), torch.randn(3, 5)
    for form in ("loop", "batched"):
        monkeypatch.setattr(Experts, "form", form)
        zeros = (experts(x) == 0).float()
        assert 0.4 < zeros.mean() < 0.6
        assert 0.4 < (zeros[:, 0] == zeros[:, 1]).float().mean() < 0.6
        assert 0.4 < (zeros[0] == zeros[1]).float().mean() < 0.6


def uneven() -> Experts:
    return Experts([*networks(1), *networks(1, width=4)])


def normed() -> Experts:
    return Experts(networks(2, nn.BatchNorm1d))


def empty() -> Experts:
    return Experts([nn.Sequential(), nn.Sequential()])


@pytest.mark.parametrize("make", [uneven, normed, empty])
def test_what_cannot_be_stacked_runs_in_a_loop(make, monkeypatch):
    monkeypatch.setattr(Experts, "form", "batched")
    experts, x = make(), torch.randn(7, 5)
    outputs = experts(x)
    torch.testing.assert_close(outputs.detach(), torch.stack([e(x) for e in experts.experts], 1).detach())
    for module in experts.modules():
        if isinstance(module, nn.BatchNorm1d):
            assert module.num_batches_tracked == 2  # of the loop, and of the line above


def test_the_device_chooses():
    experts = Experts(networks(2))
    assert not experts._batches(torch.device("cpu"))
    assert experts._batches(torch.device("cuda"))


def test_gates_weigh_by_row_and_add_up_to_one():
    torch.manual_seed(0)
    gates, x = [Gate(5, 4), Gate(5, 4), Gate(5, 4)], torch.randn(7, 5, requires_grad=True)
    together, apart = gate_all(gates, x), torch.stack([gate(x) for gate in gates], 1)
    torch.testing.assert_close(together, apart)
    torch.testing.assert_close(together.sum(2), torch.ones(7, 3))
    assert (together[0] != together[1]).any()
    for b in range(7):
        scores = torch.stack([gates[1].layer.weight[e] @ x[b] + gates[1].layer.bias[e] for e in range(4)]).exp()
        torch.testing.assert_close(together[b, 1], scores / scores.sum())
    for a, b in zip(
        torch.autograd.grad(together[:, 1, 2].sum(), [x, gates[1].layer.weight]),
        torch.autograd.grad(apart[:, 1, 2].sum(), [x, gates[1].layer.weight]),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.filterwarnings("error")
def test_a_gate_that_reads_nothing_has_its_bias():
    gates = [Gate(0, 3), Gate(0, 3)]
    with torch.no_grad():
        gates[1].layer.bias.copy_(torch.tensor([1.0, 2.0, 0.0]).log())
    torch.testing.assert_close(gate_all(gates, torch.empty(2, 0))[:, 1], torch.tensor([[1 / 3, 2 / 3, 0.0]] * 2))


def test_mixture_is_the_weighted_sum_of_all_groups():
    torch.manual_seed(0)
    weights, first, second = torch.rand(7, 2, 5), torch.randn(7, 3, 4), torch.randn(7, 2, 4)
    expected = torch.zeros(7, 2, 4)
    for b in range(7):
        for k in range(2):
            for e in range(5):
                expected[b, k] += weights[b, k, e] * (first[b, e] if e < 3 else second[b, e - 3])
    torch.testing.assert_close(mix(weights, first, second), expected)
    torch.testing.assert_close(mix(weights, torch.cat([first, second], 1)), expected)
    torch.testing.assert_close(mix(weights[:, 1], first, second), expected[:, 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mixture_has_the_type_of_the_outputs(dtype):
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            assert mix(torch.rand(2, 3), torch.rand(2, 3, 4).to(dtype)).dtype == dtype
