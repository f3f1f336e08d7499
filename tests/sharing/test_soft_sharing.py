"""Soft sharing against its closed form, and at its limits."""

from functools import partial

import pytest
import torch
from torch import nn

from taskloom.backbones import Backbone, Encoder
from taskloom.errors import ConfigError
from taskloom.features import Embedded, InputSpec
from taskloom.sharing.single_task import SingleTask
from taskloom.sharing.soft_sharing import SoftSharing, pairwise_distance, trace_norm
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


def test_the_penalty_on_embeddings_is_a_mean_over_the_global_batch_in_their_own_precision():
    """Two ranks equal one only if each divides by n_rows; half precision is widened, double stays."""
    sharing = SoftSharing(Linear, TASKS, strength=0.0, embedding_strength=0.2)
    g = torch.Generator().manual_seed(0)
    fields = torch.randn(6, 2, 4, 3, generator=g, dtype=torch.float64)
    dense = torch.randn(6, 3, generator=g, dtype=torch.float64)
    expected = 0.2 * (fields[:, 0] - fields[:, 1]).square().sum() / 2.5
    penalty = sharing(Embedded(fields, dense, torch.zeros(()), 2.5)).penalty
    torch.testing.assert_close(penalty, expected, rtol=1e-14, atol=0)
    rounded = fields.bfloat16()
    half = sharing(Embedded(rounded, dense, torch.zeros(()), 2.5)).penalty
    exact = 0.2 * (rounded[:, 0].float() - rounded[:, 1].float()).square().sum() / 2.5
    torch.testing.assert_close(half, exact)
    one_view = sharing(Embedded(fields[:, :1], dense, torch.zeros(()), 2.5)).penalty
    assert one_view == 0


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


def matrix(n_tasks=3, n=40, dtype=torch.float64):
    g = torch.Generator().manual_seed(n_tasks)
    return torch.randn(n_tasks, n, generator=g, dtype=dtype).requires_grad_()


def value_and_gradient(theta):
    value = trace_norm(theta)
    return value.detach(), torch.autograd.grad(value, theta)[0]


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 5])
def test_trace_norm_is_the_sum_of_the_singular_values(n_tasks):
    theta = matrix(n_tasks)
    value, gradient = value_and_gradient(theta)
    expected = torch.linalg.matrix_norm(theta, ord="nuc")
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, theta)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_tasks", [2, 3, 5])
def test_trace_norm_where_trunks_coincide(n_tasks, dtype):
    """sqrt(K) ||θ||, and a gradient that shrinks all alike and parts none."""
    row = matrix(1, dtype=dtype).detach()
    value, gradient = value_and_gradient(row.repeat(n_tasks, 1).requires_grad_())
    torch.testing.assert_close(value, n_tasks**0.5 * row.norm())
    torch.testing.assert_close(gradient, (row / row.norm() / n_tasks**0.5).repeat(n_tasks, 1))


def test_trace_norm_of_orthogonal_trunks_is_the_sum_of_their_norms():
    theta = (torch.eye(3, 40) * torch.tensor([[3.0], [0.5], [7.0]])).requires_grad_()
    value, gradient = value_and_gradient(theta)
    assert float(value) == pytest.approx(10.5)
    torch.testing.assert_close(gradient, torch.eye(3, 40))


def test_trace_norm_of_nothing_has_no_gradient():
    value, gradient = value_and_gradient(torch.zeros(2, 5, requires_grad=True))
    assert float(value) == 0
    assert not gradient.any()


@pytest.mark.parametrize("apart", [1e-2, 1e-4, 1e-6])
def test_trace_norm_pulls_near_equal_trunks_of_single_precision_together(apart):
    """Its gradient is of the size of one singular vector however near they are; a Gramian in float32 loses it."""
    first, difference = matrix(2, dtype=torch.float32).detach()
    theta = torch.stack([first, first + apart * difference])
    _, gradient = value_and_gradient(theta.requires_grad_())
    exact = theta.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(torch.linalg.matrix_norm(exact, ord="nuc"), exact)
    torch.testing.assert_close(gradient.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("strength", [0.5, 3.0, 8.0, 100.0])
def test_the_best_under_a_trace_norm_has_its_singular_values_cut(strength):
    """½ ||Θ - B||² + λ ||Θ||_* is least where B's singular values are less by λ: at last one trunk, then none."""
    b = matrix(3).detach()
    u, s, v = torch.linalg.svd(b, full_matrices=False)
    best = u @ torch.diag((s - strength).clamp_min(0)) @ v
    _, gradient = value_and_gradient(best.requires_grad_())
    # Stationary: what the data still asks for lies outside the directions in use, and is weaker than λ.
    left = b - best.detach() - strength * gradient
    assert float(torch.linalg.matrix_norm(left, ord=2)) <= strength + 1e-9
    torch.testing.assert_close(left @ best.detach().T, torch.zeros(3, 3, dtype=torch.float64), atol=1e-9, rtol=0)
    assert int(torch.linalg.matrix_rank(best)) == int((s > strength).sum())


def soft(schema, make_module, n_tasks=3, **arguments):
    tasks = [Task(f"t{k}", "binary", target="like") for k in range(n_tasks)]
    return make_module(schema, tasks, partial(SoftSharing, strength=0.3, **arguments))


def test_a_trace_norm_takes_layers_whole_with_their_biases(schema, make_batch, make_module):
    module = soft(schema, make_module, penalty="trace_norm")
    expected = 0.0
    for j in range(2):
        stages = [trunk.stages[j] for trunk in module.sharing.private]
        columns = [torch.cat([p.flatten() for p in stage.parameters()]) for stage in stages]
        expected = expected + 0.3 * torch.linalg.matrix_norm(torch.stack(columns, dim=1), ord="nuc")
    batch = make_batch(schema, n_tasks=3)
    penalty = module.sharing(module.features(batch)).penalty
    torch.testing.assert_close(penalty, expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module.sharing(module.features(batch)).penalty, penalty)


@pytest.mark.parametrize("penalty", ["l2", "trace_norm"])
def test_only_chosen_layers_are_drawn_together(schema, make_batch, make_module, penalty):
    batch, penalties = make_batch(schema, n_tasks=3), []
    for layers in ([0], ["1"], ["encoder"], ["encoder", 0, 1], None):
        module = soft(schema, make_module, penalty=penalty, layers=layers)
        value = module.sharing(module.features(batch)).penalty
        penalties.append(float(value.detach()))
        if layers == [0]:
            value.backward()
            moved = {name for name, p in module.sharing.named_parameters() if p.grad is not None and p.grad.any()}
            assert moved == {f"private.{k}.stages.0.0.{part}" for k in range(3) for part in ("weight", "bias")}
    first, second, encoder, listed, whole = penalties
    assert encoder == 0 < second < first  # an MLP's encoder has no parameters
    assert listed == whole == pytest.approx(first + second)


def test_a_layer_that_is_not_there_is_refused(schema, make_module):
    with pytest.raises(ConfigError, match=r"model\.layers: .* no layer 2; choose among encoder, 0, 1$"):
        soft(schema, make_module, layers=[0, 2])
