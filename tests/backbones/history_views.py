"""Views with histories for the tests of the backbones that read them."""

import torch

from taskloom.features import InputSpec, View
from taskloom.schema import Feature

FIELDS = (
    Feature("user", "categorical", "user", size=9),
    Feature("item", "categorical", "item", size=9),
    Feature("hour", "categorical", "context", size=9),
    Feature("kind", "categorical", "item", size=9),
)
INPUTS = InputSpec(FIELDS, dim=4, n_dense=2, history=("item", "kind"), dense_sides=("user", "item"))
B, L = 6, 5


def view(seed: int = 0, length: int = L) -> View:
    """Six rows in float64 with 0, 1, 2, 3, all and all events; what is hidden is noise."""
    g = torch.Generator().manual_seed(seed)
    mask = torch.arange(length) >= length - torch.tensor([0, 1, 2, 3, length, length]).unsqueeze(1)
    return View(
        torch.randn(B, len(FIELDS), 4, generator=g, dtype=torch.float64).requires_grad_(),
        torch.randn(B, 2, generator=g, dtype=torch.float64).requires_grad_(),
        torch.randn(B, length, 2, 4, generator=g, dtype=torch.float64).requires_grad_(),
        mask,
    )


def same(backbone, of, reference) -> None:
    """Outputs and gradients, by parameters, fields and history, of the module and of loops over its weights."""
    projection = torch.randn(B, backbone.width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found, expected = backbone(of), reference(backbone, of)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    names, parameters = zip(*backbone.named_parameters(), strict=True)
    inputs = [*parameters, of.fields, of.dense, of.history]
    ours, theirs = (torch.autograd.grad((h * projection).sum(), inputs, allow_unused=True) for h in (found, expected))
    for name, a, b in zip([*names, "fields", "dense", "history"], ours, theirs, strict=True):
        assert a is None or a.isfinite().all(), name
        zero = torch.zeros(()) if a is None and b is None else torch.zeros_like(a if a is not None else b)
        a, b = (zero if x is None else x for x in (a, b))
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9, msg=name)


def joined(of: View, b: int, state, candidate: bool):
    """x of row b where nothing is factorised: fields, state, state ∘ candidate, dense columns."""
    parts = [of.fields[b, f] for f in range(len(FIELDS))] + [state, of.dense[b]]
    return torch.cat([*parts, state * event(of, b)] if candidate else parts)


def event(of: View, b: int):
    """The candidate of row b: its own item and kind."""
    return torch.cat([of.fields[b, 1], of.fields[b, 3]])


def events(of: View, b: int):
    """The events of row b that are there, oldest first."""
    return [torch.cat([of.history[b, i, 0], of.history[b, i, 1]]) for i in range(of.mask.shape[1]) if of.mask[b, i]]


def product(of: View, b: int, state):
    """Wide part and x of row b where it is factorised, with the state as two more fields of the user."""
    user = [of.fields[b, 0], state[:4], state[4:]]
    item, context = [of.fields[b, 1], of.fields[b, 3]], of.fields[b, 2]
    first = [of.fields[b, f][:1] for f in range(4)] + [state[:1], state[4:5]]
    p, q = sum(v[1:] for v in user), sum(v[1:] for v in item)
    return torch.cat([*first, p * q]), torch.cat([p, q, p * q, context[1:], of.dense[b]])


def mlp(stages, x):
    """ReLU layers, channel by channel."""
    for stage in stages:
        linear = stage[0]
        x = torch.stack([(w * x).sum() + c for w, c in zip(linear.weight, linear.bias, strict=True)]).clamp_min(0)
    return x


def whole(pool_one, factorise: bool, candidate: bool):
    """A backbone by loops over rows, from what it makes of one row's events."""

    def reference(backbone, of: View):
        rows = []
        for b in range(B):
            state = pool_one(backbone, events(of, b), event(of, b))
            if factorise:
                wide, x = product(of, b, state)
                rows.append(torch.cat([wide, mlp(backbone.stages, x)]))
            else:
                rows.append(mlp(backbone.stages, joined(of, b, state, candidate)))
        return torch.stack(rows)

    return reference


def changed(of: View, row: int, place: int) -> View:
    """The same view with another event at a place."""
    history = of.history.detach().clone()
    history[row, place] = history[row, place].flip(1) * 2
    return View(of.fields, of.dense, history, of.mask)


def swapped(of: View, one: int, other: int) -> View:
    """The same view with two events in each other's place."""
    order = list(range(of.mask.shape[1]))
    order[one], order[other] = other, one
    return View(of.fields, of.dense, of.history[:, order], of.mask[:, order])
