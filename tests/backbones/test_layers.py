"""Layers: each norm and activation against its formula, batch norm on one row and on two ranks."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from taskloom.backbones.layers import BatchNorm, dense_layer, dense_layers, softmax, tower

ROOT = Path(__file__).resolve().parents[2]
ACTIVATIONS = {
    "relu": lambda v: v if v > 0 else 0 * v,
    "leaky_relu": lambda v: v if v > 0 else 0.01 * v,
    "prelu": lambda v: v if v > 0 else 0.25 * v,
    "gelu": lambda v: v * (1 + torch.erf(v / math.sqrt(2))) / 2,
    "silu": lambda v: v / (1 + torch.exp(-v)),
    "tanh": lambda v: (torch.exp(v) - torch.exp(-v)) / (torch.exp(v) + torch.exp(-v)),
}


def normalised(values):
    """A list of scalars, less their mean and over their deviation."""
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / torch.sqrt(variance + 1e-5) for v in values]


@pytest.mark.parametrize("norm", [None, "batch", "layer"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_layer_is_its_formula(norm, activation):
    torch.manual_seed(0)
    layer = dense_layer(4, 3, dropout=0.0, norm=norm, activation=activation).double()
    for p in layer.parameters():
        if p.dim() == 1 and not (activation == "prelu" and p is layer[-1].weight):
            torch.nn.init.normal_(p)
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    linear = layer[0]
    sums = [[sum(linear.weight[j, i] * x[b, i] for i in range(4)) for j in range(3)] for b in range(5)]
    if norm != "batch":  # which would take a bias away again
        sums = [[value + linear.bias[j] for j, value in enumerate(row)] for row in sums]
    if norm == "layer":
        sums = [normalised(row) for row in sums]
    if norm == "batch":
        sums = list(zip(*[normalised(column) for column in zip(*sums, strict=True)], strict=True))
    if norm:
        sums = [[value * layer[1].weight[j] + layer[1].bias[j] for j, value in enumerate(row)] for row in sums]
    expected = torch.stack([torch.stack([ACTIVATIONS[activation](value) for value in row]) for row in sums])
    found = layer(x)
    torch.testing.assert_close(found, expected)
    projection = torch.randn(5, 3, dtype=torch.float64)
    wanted = [x, *(p for p in layer.parameters() if not (activation == "prelu" and p is layer[-1].weight))]
    ours, theirs = (torch.autograd.grad((y * projection).sum(), wanted) for y in (found, expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_prelu_has_a_slope_for_each_channel():
    layer = dense_layer(2, 3, dropout=0.0, activation="prelu")
    torch.nn.init.zeros_(layer[0].weight)
    torch.nn.init.constant_(layer[0].bias, -1.0)
    with torch.no_grad():
        layer[-1].weight.copy_(torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(layer(torch.randn(1, 2))[0], torch.tensor([-0.1, -0.2, -0.3]))


def test_layers_are_chained_by_their_widths_and_hand_on_all_options():
    layers = dense_layers(4, [3, 2], dropout=0.1, norm="batch", activation="silu")
    assert [type(part).__name__ for part in layers[1]] == ["Linear", "BatchNorm", "SiLU", "Dropout"]
    assert [layer[0].weight.shape for layer in layers] == [(3, 4), (2, 3)]
    assert [type(part).__name__ for part in tower(4, [3], 2, dropout=0.1)[0]] == ["Linear", "ReLU", "Dropout"]


def test_batch_norm_reads_running_means_in_evaluation():
    torch.manual_seed(0)
    norm, x = BatchNorm(3), torch.randn(64, 3) * 5 + 2
    for _ in range(200):
        norm(x)
    torch.testing.assert_close(norm.running_mean, x.mean(0))
    torch.testing.assert_close(norm.running_var, x.var(0))
    norm.eval()
    torch.testing.assert_close(norm(x[:1]), (x[:1] - x.mean(0)) / (x.var(0) + 1e-5).sqrt())


@pytest.mark.parametrize("n", [0, 1])
def test_a_batch_of_one_row_is_normalised_by_the_running_means(n):
    torch.manual_seed(0)
    norm = BatchNorm(3)
    norm(torch.randn(64, 3) * 5 + 2)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = torch.randn(n, 3, requires_grad=True)
    y = norm(x)
    torch.testing.assert_close(y, (x - norm.running_mean) / (norm.running_var + 1e-5).sqrt())
    y.sum().backward()
    assert all(p.grad is not None for p in [x, *norm.parameters()])
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_batch_norm_keeps_the_type_of_what_it_reads():
    layer = dense_layer(4, 3, dropout=0.0, norm="batch")
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(8, 4)).dtype == layer(torch.randn(1, 4)).dtype == torch.bfloat16


@pytest.mark.timeout(300)
def test_batch_norm_on_two_ranks_equals_one(tmp_path):
    """Batches of 7, 2 and 1 rows: with two rows each rank has one, with one row the second rank has none."""
    g = torch.Generator().manual_seed(0)
    batches = [[torch.randn(n, 3, dtype=torch.float64, generator=g) * 2 + 1 for _ in "xw"] for n in (7, 2, 1, 4)]
    torch.save(batches, tmp_path / "batches.pt")
    command = [sys.executable, str(Path(__file__).with_name("norm_on_ranks.py")), str(tmp_path / "meeting")]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "batches.pt"), str(tmp_path / f"{rank}.pt")],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            text=True,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for process in ranks:
        _, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors[-3000:]
    found, states = zip(*(torch.load(tmp_path / f"{rank}.pt") for rank in range(2)), strict=True)
    norm = BatchNorm(3).double()
    for step, (whole, weights) in enumerate(batches):
        x = whole.clone().requires_grad_()
        norm.zero_grad()
        y = norm(x)
        (y * weights).sum().backward()
        for rank in range(2):
            ours, gradient, of_parameters = found[rank][step]
            torch.testing.assert_close(ours, y[rank::2])
            torch.testing.assert_close(gradient, x.grad[rank::2])
            torch.testing.assert_close(of_parameters, [p.grad for p in norm.parameters()])
    for state in states:
        torch.testing.assert_close(state, norm.state_dict())


@pytest.mark.parametrize("n", [1, 4, 15, 16, 40])
def test_softmax_is_torchs_in_value_and_gradient(n: int) -> None:
    logits = torch.randn(3, 2, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) * 300
    logits[0, 0, 1:] = -torch.inf  # hidden, as a mask does
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    toward = torch.linspace(-1, 2, 6 * n, dtype=torch.float64).view(3, 2, n)
    weights = softmax(ours)
    torch.testing.assert_close(weights, theirs.softmax(-1))
    (weights * toward).sum().backward()
    (theirs.softmax(-1) * toward).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert torch.autograd.gradgradcheck(softmax, (torch.linspace(-1, 1, n, dtype=torch.float64).requires_grad_(),))


@pytest.mark.parametrize("n", [4, 40])
def test_softmax_is_in_single_precision_at_least(n: int) -> None:
    assert softmax(torch.zeros(n, dtype=torch.bfloat16)).dtype == torch.float32
