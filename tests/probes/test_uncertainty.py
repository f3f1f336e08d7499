"""A balancer with parameters and an extra loss fits the contracts (Kendall et al. 2018, uncertainty weighting)."""

import torch
from torch import nn

from taskloom.balancers import Balancer
from taskloom.training.parameter_groups import parameter_groups


class Uncertainty(Balancer):
    """e^{-s_k} L_k + s_k / 2."""

    def __init__(self, tasks):
        super().__init__(tasks)
        self.s = nn.Parameter(torch.zeros(len(tasks)))

    def balance(self, losses, labelled, gradients):
        return (-self.s).exp(), self.s[labelled].sum() / 2


def test_uncertainty(schema, make_batch, make_module):
    module = make_module(schema, balancer=Uncertainty)
    batch = make_batch(schema)
    loss, losses = module.objective(batch)
    loss.backward()
    torch.testing.assert_close(loss.detach(), losses.sum())
    # d/ds (e^{-s} L + s/2) at s = 0
    torch.testing.assert_close(module.balancer.s.grad, 0.5 - losses)
    groups = parameter_groups(dict(module.named_parameters()), {"all": {"pattern": ".*", "weight_decay": 0.1}})
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decay[id(module.balancer.s)] == 0.0
    assert "balancer.s" in module.state_dict()
    batch.labelled[:, 0] = False
    module.zero_grad()
    module.objective(batch)[0].backward()
    assert module.balancer.s.grad[0] == 0
