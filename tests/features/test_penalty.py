"""The weighted sum of squares that holds embeddings to zero."""

from functools import partial

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from taskloom.features.penalty import squared_norm

WEIGHTS = torch.tensor([[0.5, 2.0, 0.0]], dtype=torch.float64).expand(4, 3)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
def test_it_has_the_gradients_of_a_sum_of_squares(weights: torch.Tensor | None) -> None:
    x = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        x[1, 2] = 0
    by_hand = (x.square().sum(2) * (1 if weights is None else weights)).sum()
    torch.testing.assert_close(squared_norm(x, weights), by_hand)
    assert gradcheck(partial(squared_norm, weights=weights), x)
    assert gradgradcheck(partial(squared_norm, weights=weights), x)


def test_it_works_under_vmap() -> None:
    x = torch.randn(4, 3, 5)
    weights = torch.rand(4, 3)
    found = torch.func.vmap(torch.func.grad(squared_norm))(x, weights)
    torch.testing.assert_close(found, 2 * x * weights.unsqueeze(2))


def test_bfloat16_is_added_up_in_float32() -> None:
    x = torch.full((1000, 1), 0.5, dtype=torch.bfloat16, requires_grad=True)
    total = squared_norm(x, torch.ones(1000))
    total.backward()
    assert total == 250
    assert total.dtype == torch.float32
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    assert (x.grad == 1).all()
