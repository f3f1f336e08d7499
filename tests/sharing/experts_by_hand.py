"""What the tests of schemes with experts have in common: rows in float64, and an expert run layer by layer."""

from functools import partial

import torch

from members import SCHEMA, TASKS
from taskloom.features.embedded import Embedded, InputSpec

INPUTS = InputSpec(SCHEMA.fields, dim=3, n_dense=1)


def embed(n=6):
    """Random rows, in float64."""
    g = torch.Generator().manual_seed(3)
    fields = torch.randn(n, 1, len(INPUTS.fields), 3, generator=g, dtype=torch.float64, requires_grad=True)
    return Embedded(fields, torch.randn(n, 1, generator=g, dtype=torch.float64), torch.zeros(()), n)


def make(scheme, backbone, n_tasks=3, hidden=(5, 4), **arguments):
    torch.manual_seed(0)
    return scheme(partial(backbone, INPUTS, hidden=list(hidden)), TASKS[:n_tasks], **arguments).double()


def run_expert(expert, row):
    """Layers with ReLU, of one row (X,)."""
    for layer in expert.modules():
        if isinstance(layer, torch.nn.Linear):
            row = torch.stack([layer.weight[i] @ row + layer.bias[i] for i in range(len(layer.bias))]).relu()
    return row
