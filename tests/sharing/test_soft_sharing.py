"""Soft sharing against its closed form, and at its limits."""

from functools import partial

import pytest
import torch
from torch import nn

from taskloom.backbones import Backbone, Encoder
from taskloom.features import Embedded, InputSpec
from taskloom.sharing.single_task import SingleTask
from taskloom.sharing.soft_sharing import SoftSharing, pairwise_distance
from taskloom.tasks import Task

TASKS = [Task("a", "regression"), Task("b", "regression")]


class Linear(Backbone):
    """A trunk of one linear layer on the dense columns: (B, C) to (B, 1)."""

    class Weigh(Encoder):
        width = 1

        def __init__(self) -> None:
            super().__init__(InputSpec((), dim=1, n_dense=3))
            self.weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))

        def forward(self, view):
            return None, (view.dense @ self.weight).unsqueeze(1)

    def __init__(self) -> None:
        super().__init__(Linear.Weigh(), [], [])


@pytest.fixture
def problem():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 40, 3, generator=g, dtype=torch.float64)
    y = torch.randn(2, 40, generator=g, dtype=torch.float64) + x[..., 0] * torch.tensor([[1.0], [2.0]])
    return x, y


def train(x, y, strength, steps=400):
    """Minimises Σ_k ½ mean (y_k - x_k θ_k)² + λ/2 ||θ_1 - θ_2||² and gives θ (2, 3)."""
    sharing = SoftSharing(Linear, TASKS, strength=strength / 2)
    optimizer = torch.optim.LBFGS(
        sharing.parameters(),
        max_iter=steps,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        loss = torch.zeros((), dtype=torch.float64)
        for k in range(2):
            shared = sharing(Embedded(torch.zeros(40, 1, 1, 1), x[k], torch.zeros(()), 40.0))
            loss = loss + (shared.h[:, k, 0] - y[k]).pow(2).mean() / 2
        (loss + shared.penalty).backward()
        return loss + shared.penalty

    for _ in range(5):
        optimizer.step(closure)
    return torch.stack([trunk.encoder.weight.detach() for trunk in sharing.private])


def closed_form(x, y, strength):
    """[[A1 + λI, -λI], [-λI, A2 + λI]] θ = b with A = XᵀX / n and b = Xᵀy / n."""
    a = [x[k].T @ x[k] / 40 for k in range(2)]
    b = torch.cat([x[k].T @ y[k] / 40 for k in range(2)])
    i = strength * torch.eye(3, dtype=torch.float64)
    return torch.linalg.solve(torch.cat([torch.cat([a[0] + i, -i], 1), torch.cat([-i, a[1] + i], 1)]), b).view(2, 3)


@pytest.mark.parametrize("strength", [0.0, 0.1, 1.0, 100.0])
def test_training_finds_the_closed_form(problem, strength):
    torch.testing.assert_close(train(*problem, strength), closed_form(*problem, strength), atol=1e-7, rtol=0)


def test_distance_falls_as_strength_grows(problem):
    distances = [float(closed_form(*problem, s).diff(dim=0).norm()) for s in (0.0, 0.1, 1.0, 100.0)]
    trained = [float(train(*problem, s).diff(dim=0).norm()) for s in (0.0, 0.1, 1.0, 100.0)]
    assert trained == sorted(trained, reverse=True)
    assert trained == pytest.approx(distances, abs=1e-6)


def test_a_large_strength_gives_one_pooled_model(problem):
    x, y = problem
    pooled = torch.linalg.lstsq(x.reshape(80, 3), y.reshape(80)).solution
    theta = train(x, y, 1e6)
    torch.testing.assert_close(theta, pooled.expand(2, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("n_tasks", [2, 3, 5])
def test_penalty_is_the_sum_over_pairs(schema, make_batch, make_module, n_tasks):
    tasks = [Task(f"t{k}", "binary", target="like") for k in range(n_tasks)]
    module = make_module(schema, tasks, partial(SoftSharing, strength=0.3, embedding_strength=0.2), views="per_task")
    batch = make_batch(schema, n_tasks=n_tasks)
    embedded = module.features(batch)
    expected = 0.0
    for k in range(n_tasks):
        for j in range(k):
            pairs = zip(module.sharing.private[k].parameters(), module.sharing.private[j].parameters(), strict=True)
            expected += 0.3 * sum(((a - b) ** 2).sum() for a, b in pairs)
            expected += 0.2 * ((embedded.fields[:, k] - embedded.fields[:, j]) ** 2).sum() / len(batch)
    torch.testing.assert_close(module.sharing(embedded).penalty, expected)


def test_pairwise_distance_of_near_equal_tensors_does_not_cancel():
    base = torch.full((2, 4), 1e4)
    base[1] += 1e-2
    torch.testing.assert_close(pairwise_distance(base, 0), (base[1] - base[0]).pow(2).sum(), rtol=1e-3, atol=0)


def steps(module, batches, n):
    optimizer = module.make_optimizer(module.make_groups(dict(module.named_parameters())))
    for i in range(n):
        optimizer.zero_grad()
        module.objective(batches[i % len(batches)])[0].backward()
        optimizer.step()
    return module


def test_without_strength_the_tasks_are_single_tasks(schema, make_batch, make_module):
    batches = [make_batch(schema, seed=i, labelled=0.7) for i in range(3)]
    soft = steps(make_module(schema, sharing=partial(SoftSharing, strength=0.0), views="per_task"), batches, 20)
    single = steps(make_module(schema, sharing=SingleTask, views="per_task"), batches, 20)
    for name, parameter in soft.named_parameters():
        assert torch.equal(parameter, dict(single.named_parameters())[name]), name
