"""The task transformer against its formula; what tasks, events and empty histories may and may not change."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from sharing.by_hand import BACKBONES, assert_same, embedded, encoded, linear, run
from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError
from taskloom.features import Embedded
from taskloom.sharing.task_transformer import TaskTransformer
from taskloom.tasks import Task

TASKS = [Task("click", "binary"), Task("dwell", "regression"), Task("buy", "binary")]


def make(backbone="fm", self_attention=False, layers=2, heads=2, dropout=0.0):
    torch.manual_seed(3)
    scheme = TaskTransformer(BACKBONES[backbone], TASKS, 4, layers, heads, self_attention, dropout).double()
    for parameter in scheme.parameters():  # norms and biases begin at ones and zeros, which would hide mistakes
        if parameter.dim() == 1:
            parameter.data.add_(torch.randn_like(parameter) * 0.3)
    return scheme


def normed(norm, x):
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    return (x - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias


def attend(part, reader, read):
    """One reader (T,) of several tokens (T,), head by head."""
    query, out, size = linear(part.query, reader), [], len(reader) // part.heads
    projected = [linear(part.key_value, token) for token in read]
    for head in range(part.heads):
        at = slice(head * size, (head + 1) * size)
        keys = [p[: len(reader)][at] for p in projected]
        values = [p[len(reader) :][at] for p in projected]
        scores = [torch.exp((query[at] * key).sum() / math.sqrt(size)) for key in keys]
        out.append(sum(s / sum(scores) * value for s, value in zip(scores, values, strict=True)))
    return linear(part.out, torch.cat(out))


def by_hand(scheme, batch):
    """h of every row, token by token."""
    wide, x = encoded(scheme.backbone.encoder, batch)
    h, own = [], scheme.features
    for row in range(5):
        features = [linear(own.fields, e) + own.which[f] for f, e in enumerate(batch.fields[row, 0])]
        features.append(linear(own.dense, batch.dense[row]))
        if own.deep is not None:
            features.append(linear(own.deep, run(scheme.backbone.stages, x[row])))
        for event, there in zip(batch.history[row, 0], batch.mask[row], strict=True):
            if there:
                features.append(linear(own.events, event.flatten()))
        tasks = [token.value for token in [*scheme.common, *scheme.private]]
        for block in scheme.blocks:
            read = [normed(block.norm_read, token) for token in features]
            tasks = [t + attend(block.attend, normed(block.norm, t), read) for t in tasks]
            if block.talk is not None:
                said = [normed(block.norm_talk, t) for t in tasks]
                tasks = [t + attend(block.talk, s, said) for t, s in zip(tasks, said, strict=True)]
            for k, t in enumerate(tasks):
                inner = linear(block.last[0], normed(block.norm_last, t))
                gelu = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
                tasks[k] = t + linear(block.last[2], gelu)
        h.append(torch.stack([torch.cat([wide[row], normed(scheme.norm, t)]) for t in tasks]))
    return torch.stack(h)


@pytest.mark.parametrize("self_attention", [False, True])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_it_is_the_formula(backbone, self_attention):
    scheme, batch = make(backbone, self_attention), embedded()
    h = scheme(batch).h
    assert h.shape == (5, 3, scheme.width)
    assert scheme.width == scheme.wide + 4
    assert_same(h, by_hand(scheme, batch), scheme, batch)


@pytest.mark.parametrize("self_attention", [False, True])
def test_a_token_is_its_tasks_own_where_no_other_reads_it(self_attention):
    scheme = make(self_attention=self_attention)
    before = scheme(embedded()).h
    token = [*scheme.common, *scheme.private][1].value
    token.data.copy_(torch.arange(4) ** 2)
    changed = (scheme(embedded()).h - before).abs().amax((0, 2)) > 1e-9
    assert changed.tolist() == [self_attention, True, self_attention]
    owners = {scheme.owner(name) for name, _ in scheme.named_parameters()}
    assert owners == ({None} if self_attention else {None, 0, 1, 2})


def test_what_the_mask_hides_is_not_seen_and_order_does_not_count():
    scheme, batch = make("mlp"), embedded()
    h = scheme(batch).h
    hidden = torch.where(batch.mask[:, None, :, None, None], batch.history, torch.full_like(batch.history, 1e3))
    kept = {"dense": batch.dense, "penalty": batch.penalty, "n_rows": 5, "mask": batch.mask}
    torch.testing.assert_close(scheme(Embedded(batch.fields, history=hidden, **kept)).h, h)
    turned = Embedded(batch.fields, history=batch.history.flip(2), **{**kept, "mask": batch.mask.flip(1)})
    torch.testing.assert_close(scheme(turned).h, h)
    other = scheme(Embedded(batch.fields, history=batch.history + 1, **kept)).h
    assert ((other - h).abs().amax((1, 2)) > 1e-6).tolist() == [False, False, True, True, True]


def test_rows_whose_history_is_empty_are_as_without_one():
    scheme, batch = make(), embedded()
    h = scheme(batch).h
    assert h.isfinite().all()
    plain = Embedded(batch.fields, batch.dense, batch.penalty, 5)
    torch.testing.assert_close(scheme(plain).h[:2], h[:2])
    nobody = replace(batch, mask=torch.zeros_like(batch.mask))
    h = scheme(nobody).h
    torch.testing.assert_close(h, scheme(plain).h)
    h.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in scheme.parameters())
    assert not batch.history.grad.any()


def test_dropout_is_for_training_alone():
    scheme, batch = make("mlp", dropout=0.5), embedded()
    assert not torch.equal(scheme(batch).h, scheme(batch).h)
    scheme.eval()
    torch.testing.assert_close(scheme(batch).h, make("mlp").eval()(batch).h)


def test_a_width_that_heads_cannot_share_is_refused(compose):
    message = "model.heads: 3 heads cannot share model.width=32 evenly; choose a width that is a multiple, such as 33"
    problems = preflight(compose("model=task_transformer", "model.heads=3"))
    assert [problem.text for problem in problems] == [message]
    with pytest.raises(ConfigError, match=message):
        TaskTransformer(BACKBONES["mlp"], TASKS, 32, 1, 3, False, 0.0)
    assert preflight(compose("model=task_transformer")) == []


def test_it_learns_under_autocast(schema, make_batch, make_module):
    arguments = {"width": 8, "layers": 2, "heads": 2, "self_attention": True, "dropout": 0.1}
    module = make_module(schema, sharing=partial(TaskTransformer, **arguments))
    with torch.autocast("cpu", torch.bfloat16):
        loss = module.objective(make_batch(schema))[0]
    loss.backward()
    assert loss.isfinite()
