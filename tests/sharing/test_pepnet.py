"""PEPNet against its formula, row by row; where its gates begin, and what they read."""

from dataclasses import replace
from functools import partial

import pytest
import torch

import members
from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError
from taskloom.features import Embedded, InputSpec
from taskloom.schema import Feature
from taskloom.sharing.pepnet import PEPNet
from taskloom.sharing.soft_sharing import SoftSharing

INPUTS = InputSpec(tuple(members.SCHEMA.fields), dim=3, n_dense=1, prior=("hour",))
NAMES = [feature.name for feature in INPUTS.fields]
ROWS, K = 6, 3


def make(backbone="mlp", hidden=(5, 4), personal=None, inputs=INPUTS, wild=True):
    torch.manual_seed(0)
    made = partial(members.backbone(backbone, hidden=list(hidden)), inputs)
    scheme = PEPNet(made, members.TASKS, hidden=4, personal=personal).double()
    if wild:  # gates far from one
        for name, parameter in scheme.named_parameters():
            if ".gates." in name or name.startswith("embedding_gate"):
                torch.nn.init.normal_(parameter)
    return scheme


def embed(n=ROWS):
    g = torch.Generator().manual_seed(1)
    fields = torch.randn(n, 1, len(INPUTS.fields), INPUTS.dim, generator=g, dtype=torch.float64).requires_grad_()
    return Embedded(fields, torch.randn(n, 1, generator=g, dtype=torch.float64), torch.zeros(()), float(n))


def gate(unit, read):
    """One row: two layers and twice a sigmoid."""
    inner = (unit.hidden.weight @ read + unit.hidden.bias).clamp_min(0)
    return 2 / (1 + (-(unit.layer.weight @ inner + unit.layer.bias)).exp())


def reference(scheme, embedded, personal):
    """h by rows, tasks and layers."""
    h = []
    for b in range(ROWS):
        view = embedded.shared()
        e = {name: view.fields[b, i] for i, name in enumerate(NAMES)}
        flat = torch.cat(list(e.values()))
        o = gate(scheme.embedding_gate, torch.cat([e["hour"], flat.detach()])) * flat
        row = replace(view, fields=o.view(1, len(NAMES), -1), dense=view.dense[b : b + 1])
        wide, x = scheme.encoder(row)
        read = torch.cat([*(e[name] for name in personal), o.detach()])
        for tower in scheme.private:
            a = x
            for stage, unit in zip(tower.stages, tower.gates, strict=True):
                a = stage(a) * gate(unit, read)
            h.append(a[0] if wide is None else torch.cat([wide[0], a[0]]))
    return torch.stack(h).unflatten(0, (ROWS, K))


@pytest.mark.parametrize("backbone", ["mlp", "fm"])
@pytest.mark.parametrize("personal", [None, ["genres", "user", "hour"]])
def test_equals_its_formula_row_by_row(backbone, personal):
    scheme, embedded = make(backbone, personal=personal), embed()
    h, expected = scheme(embedded).h, reference(scheme, embedded, personal or ["user", "item"])
    torch.testing.assert_close(h, expected, atol=1e-10, rtol=1e-10)
    direction = torch.randn(h.shape, generator=torch.Generator().manual_seed(3), dtype=h.dtype)
    wanted = [embedded.fields, *scheme.parameters()]
    ours = torch.autograd.grad((h * direction).sum(), wanted)
    theirs = torch.autograd.grad((expected * direction).sum(), wanted)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("backbone", ["mlp", "fm"])
def test_gates_of_one_leave_an_encoder_for_all_and_a_network_for_each(backbone):
    scheme, embedded = make(backbone), embed()
    for name, parameter in scheme.named_parameters():
        if ".layer." in name:
            torch.nn.init.zeros_(parameter)
    soft = SoftSharing(partial(members.backbone(backbone, hidden=[5, 4]), INPUTS), members.TASKS, 0.0).double()
    for trunk, tower in zip(soft.private, scheme.private, strict=True):
        trunk.stages.load_state_dict(tower.stages.state_dict())
    torch.testing.assert_close(scheme(embedded).h, soft(embedded).h)


def test_gates_begin_near_one_and_stay_between_zero_and_two():
    for wild, low, high in ((False, 0.9, 1.1), (True, 0.0, 2.0)):
        scheme, embedded = make(wild=wild), embed()
        e = embedded.shared().fields
        factors = scheme.embedding_gate(torch.cat([scheme.pick(e, scheme.prior), e.flatten(1)], dim=1))
        assert (factors >= low).all()
        assert (factors <= high).all()
        assert (factors.std() > 0.3) == wild


def test_every_layer_of_a_gate_learns_from_the_first_step():
    scheme, embedded = make(wild=False), embed()
    gradients = torch.autograd.grad(scheme(embedded).h.square().sum(), list(scheme.parameters()))
    assert all(gradient.any() for gradient in gradients)


def test_the_wide_part_reads_gated_embeddings_and_passes_the_layers_gates():
    scheme, embedded = make("fm"), embed()
    before = scheme(embedded).h.detach()
    for tower in scheme.private:
        for unit in tower.gates:
            torch.nn.init.zeros_(unit.layer.weight)
            torch.nn.init.constant_(unit.layer.bias, -1000.0)
    h = scheme(embedded).h.detach()
    wide = scheme.wide
    torch.testing.assert_close(h[:, :, :wide], before[:, :, :wide])
    assert not h[:, :, wide:].any()
    bare = scheme.encoder(embedded.shared())[0]
    assert not torch.allclose(h[:, 0, :wide], bare)


@pytest.mark.parametrize("backbone", ["mlp", "fm"])
def test_representation_cuts_every_path(backbone):
    scheme, embedded = make(backbone), embed()
    out = scheme(embedded)
    shared = [parameter for name, parameter in scheme.named_parameters() if scheme.owner(name) is None]
    assert len(shared) == 4  # of the gate on embeddings
    wanted = [embedded.fields, *shared]
    for k in range(K):
        loss = out.h[:, k].square().sum()
        direct = torch.autograd.grad(loss, wanted, retain_graph=True)
        at = torch.autograd.grad(loss, out.representation, retain_graph=True)
        through = torch.autograd.grad(out.representation, wanted, at, retain_graph=True)
        for a, b in zip(direct, through, strict=True):
            torch.testing.assert_close(a, b)


def test_mixed_precision_keeps_the_outputs_type():
    scheme, embedded = make().float(), embed()
    embedded = replace(embedded, fields=embedded.fields.float(), dense=embedded.dense.float())
    exact = scheme(embedded).h
    with torch.autocast("cpu", torch.bfloat16):
        h = scheme(embedded).h
    assert h.dtype == torch.bfloat16
    torch.testing.assert_close(h.float(), exact, atol=0.1, rtol=0.1)


@pytest.mark.filterwarnings("error")
def test_a_backbone_without_deep_part_has_gated_embeddings_alone():
    scheme = make("fm", hidden=())
    assert scheme(embed()).h.shape == (ROWS, K, scheme.wide)
    assert all(scheme.owner(name) is None for name, _ in scheme.named_parameters())


def test_null_takes_the_first_field_of_the_sides_that_there_are():
    persons = replace(INPUTS, fields=tuple(f for f in INPUTS.fields if f.side != "item"))
    assert make().personal.tolist() == [0, 1]
    assert make(inputs=persons).personal.tolist() == [0]


def test_what_it_cannot_read_is_said():
    with pytest.raises(ConfigError, match=r"model.personal: usr, age is no field that is embedded; name some of user,"):
        make(personal=["usr", "item", "age"])
    with pytest.raises(ConfigError, match=r"model.personal: the list is empty; name some of user, item, hour, genres"):
        make(personal=[])
    context = InputSpec((Feature("hour", "categorical", "context", size=4),), dim=3, prior=("hour",))
    with pytest.raises(ConfigError, match=r"null takes the first field of .* describes neither; name some of hour"):
        make(inputs=context)
    with pytest.raises(ConfigError, match=r"reads a scenario, and the data names none: .* '\+\+data.prior=\[device\]'"):
        make(inputs=replace(INPUTS, prior=()))


def test_data_without_a_scenario_is_refused_before_it_is_read(compose):
    (problem,) = preflight(compose("model=pepnet"))
    assert problem.text.startswith("model: PEPNet reads a scenario, and the data names none")
    assert preflight(compose("model=pepnet", "+data.prior=[hour]", "model.personal=[user, item]")) == []
