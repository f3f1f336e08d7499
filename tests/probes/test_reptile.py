"""Reptile as the surrogate <θ, stopgrad(θ - θ')> fits the contracts (Nichol et al. 2018)."""

import torch
from torch.func import functional_call

from taskloom.methods import StepResult
from taskloom.methods.supervised import Supervised


class Reptile(Supervised):
    """Two inner steps of plain gradient descent; the outer gradient is θ - θ'."""

    def inner(self, module, batch):
        theta = {name: p.detach().clone().requires_grad_() for name, p in module.named_parameters()}
        for _ in range(2):
            output = functional_call(module, theta, (batch,))
            loss = module.losses(output.raw, batch)[0].sum()
            grads = torch.autograd.grad(loss, list(theta.values()))
            theta = {
                name: (p - 0.1 * g).detach().requires_grad_() for (name, p), g in zip(theta.items(), grads, strict=True)
            }
        return theta

    def step(self, module, batch):
        theta = self.inner(module, batch)
        surrogate = sum((p * (p - theta[name]).detach()).sum() for name, p in module.named_parameters())
        with torch.no_grad():
            losses, counts = module.losses(module(batch).raw, batch)
        return StepResult(losses, counts, surrogate)


def test_reptile(schema, make_batch, make_module):
    module = make_module(schema, method=Reptile(epochs=1))
    batch = make_batch(schema)
    module.objective(batch)[0].backward()
    theta = module.method.inner(module, batch)
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, parameter.detach() - theta[name].detach(), msg=name)
    assert any(p.grad.any() for p in module.parameters())
