"""STEM against its formula, row by row; who reads and who trains whose embeddings."""

from dataclasses import replace
from functools import partial

import pytest
import torch

import members
from taskloom.config.preflight import preflight
from taskloom.features import Embedded, InputSpec
from taskloom.sharing.stem import STEM

INPUTS = InputSpec(tuple(members.SCHEMA.fields), dim=3, n_dense=1)
ROWS, K = 6, 3


def make(backbone="mlp", hidden=(5, 4), own=1, shared=1):
    torch.manual_seed(0)
    made = partial(members.backbone(backbone, hidden=list(hidden)), INPUTS)
    return STEM(made, members.TASKS, own_experts=own, shared_experts=shared).double()


def embed():
    g = torch.Generator().manual_seed(1)
    fields = torch.randn(ROWS, K + 1, len(INPUTS.fields), INPUTS.dim, generator=g, dtype=torch.float64)
    dense = torch.randn(ROWS, 1, generator=g, dtype=torch.float64)
    return Embedded(fields.requires_grad_(), dense, torch.zeros(()), float(ROWS))


def reference(scheme, embedded):
    """h by rows, tasks and experts."""
    encoded = [task.encoder(embedded.view(k)) for k, task in enumerate(scheme.private)]
    wide_0, x_0 = scheme.encoder(embedded.view(K))
    h = []
    for b in range(ROWS):
        for k, task in enumerate(scheme.private):
            wide, x = encoded[k]
            scores = (task.gate.layer.weight @ (x[b] + x_0[b]) + task.gate.layer.bias).exp()
            outputs = []
            for j, other in enumerate(scheme.private):
                for expert in other.experts.experts:
                    out = expert(encoded[j][1][b][None])[0]
                    outputs.append(out if j == k else out.detach())
            outputs += [expert(x_0[b][None])[0] for expert in scheme.experts.experts]
            mixed = sum(score / scores.sum() * out for score, out in zip(scores, outputs, strict=True))
            h.append(mixed if wide is None else torch.cat([wide[b] + wide_0[b], mixed]))
    return torch.stack(h).unflatten(0, (ROWS, K))


@pytest.mark.parametrize(
    ("backbone", "hidden", "own", "shared"),
    [("mlp", (5, 4), 1, 1), ("mlp", (5, 4), 2, 3), ("fm", (5,), 2, 1), ("fm", (), 1, 1)],
)
def test_equals_its_formula_row_by_row(backbone, hidden, own, shared):
    scheme, embedded = make(backbone, hidden, own, shared), embed()
    h, expected = scheme(embedded).h, reference(scheme, embedded)
    torch.testing.assert_close(h, expected, atol=1e-5, rtol=1e-5)
    direction = torch.randn(h.shape, generator=torch.Generator().manual_seed(3), dtype=h.dtype)
    wanted = [embedded.fields, *scheme.parameters()]
    ours = torch.autograd.grad((h * direction).sum(), wanted, materialize_grads=True, allow_unused=True)
    theirs = torch.autograd.grad((expected * direction).sum(), wanted, materialize_grads=True, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backbone", ["mlp", "fm"])
def test_a_task_reads_all_embeddings_and_trains_its_own_and_the_shared_ones(backbone):
    scheme, embedded = make(backbone, (5, 4)), embed()
    h = scheme(embedded).h
    for k in range(K):
        (gradient,) = torch.autograd.grad(h[:, k].sum(), embedded.fields, retain_graph=True)
        trained = [v for v in range(K + 1) if gradient[:, v].any()]
        assert trained == [k, K]
        read = []
        for v in range(K + 1):
            changed = embedded.fields.detach().clone()
            changed[:, v] += 1
            other = Embedded(changed, embedded.dense, embedded.penalty, float(ROWS))
            if not torch.equal(scheme(other).h[:, k], h[:, k]):
                read.append(v)
        assert read == list(range(K + 1))


def test_parameters_of_a_task_are_moved_by_no_other():
    scheme, embedded = make(own=2, shared=2), embed()
    h = scheme(embedded).h
    names, parameters = zip(*scheme.named_parameters(), strict=True)
    moved = [torch.autograd.grad(h[:, k].sum(), parameters, retain_graph=True, allow_unused=True) for k in range(K)]
    for i, name in enumerate(names):
        owner = scheme.owner(name)
        tasks = [k for k in range(K) if moved[k][i] is not None and moved[k][i].any()]
        assert tasks == ([0, 1, 2] if owner is None else [owner]), name


@pytest.mark.parametrize("expert", [0, 1, 2, 3])
def test_a_gate_that_is_sure_passes_one_expert_on(expert):
    scheme, embedded = make(), embed()
    for task in scheme.private:
        with torch.no_grad():
            task.gate.layer.weight.zero_()
            task.gate.layer.bias.copy_(50.0 * torch.eye(4)[expert])
    task = scheme if expert == K else scheme.private[expert]
    expected = task.experts.experts[0](task.encoder(embedded.view(expert))[1])
    for k in range(K):
        torch.testing.assert_close(scheme(embedded).h[:, k], expected)


def test_mixed_precision_keeps_the_outputs_type():
    scheme, embedded = make("fm").float(), embed()
    embedded = replace(embedded, fields=embedded.fields.float(), dense=embedded.dense.float())
    exact = scheme(embedded).h
    with torch.autocast("cpu", torch.bfloat16):
        h = scheme(embedded).h
    torch.testing.assert_close(h.float(), exact, atol=0.1, rtol=0.1)


@pytest.mark.filterwarnings("error")
def test_a_backbone_without_deep_part_adds_up_both_wide_parts():
    scheme, embedded = make("fm", hidden=()), embed()
    wide = [scheme.encoder(embedded.view(v))[0] for v in range(K + 1)]
    torch.testing.assert_close(scheme(embedded).h, torch.stack([wide[k] + wide[K] for k in range(K)], dim=1))


def test_it_needs_both_kinds_of_tables(compose):
    (problem,) = preflight(compose("model=stem", "features.views=shared"))
    assert problem.text == "features.views=shared does not fit STEM, which reads both; set features.views=both"
