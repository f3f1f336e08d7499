"""Tables: look-ups and their gradients, against those of `nn.Embedding`."""

import pytest
import torch
from torch import nn

from taskloom.features.tables import Table


@pytest.mark.parametrize("shape", [(7,), (4, 3), (0, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_rows_and_gradients_are_those_of_an_embedding(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    table, plain = Table(5, 3), nn.Embedding(5, 3)
    plain.load_state_dict(table.state_dict())
    ids = torch.randint(0, 5, shape, dtype=dtype)  # with repetitions, whose gradients are added up
    weights = torch.randn(*shape, 3)
    for found in (table(ids), plain(ids)):
        assert found.shape == weights.shape
        (found * weights).sum().backward()
    assert torch.equal(table(ids), plain(ids))
    assert table.weight.grad is not None
    assert torch.equal(table.weight.grad, plain.weight.grad)


def test_a_sparse_table_has_sparse_gradients() -> None:
    table = Table(5, 3, sparse=True)
    table(torch.tensor([1, 1, 4])).sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad.is_sparse


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_adds_gradients_up_no_worse_than_an_embedding(dtype: torch.dtype) -> None:
    ids, weights = torch.randint(0, 5, (1000,)), torch.randn(1000, 3, dtype=dtype)
    exact = torch.zeros(5, 3, dtype=torch.float64).index_add_(0, ids, weights.double())
    off = []
    for table in (Table(5, 3, dtype=dtype), nn.Embedding(5, 3, dtype=dtype)):
        (table(ids) * weights).sum().backward()
        assert table.weight.grad is not None
        off.append((table.weight.grad.double() - exact).abs().mean())
    assert off[0] <= off[1]


def test_an_id_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(IndexError, match="out of range"):
        Table(5, 3)(torch.tensor([5]))
