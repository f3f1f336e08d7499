"""Dropout: its rate, its scale, its gradient, and what of it follows from the seed."""

import pytest
import torch

from taskloom.dropout import Dropout


@pytest.mark.parametrize("p", [0.001, 0.1, 0.2, 0.5, 0.9])
def test_a_share_of_p_is_left_out_and_the_rest_is_scaled_up(p: float) -> None:
    torch.manual_seed(1)
    n = 400_001
    y = Dropout(p)(torch.full((n,), 2.0))
    spread = (p * (1 - p) / n) ** 0.5
    assert abs(float((y == 0).double().mean()) - p) < 4.5 * spread + 1 / 65_536
    assert y[y != 0].unique().tolist() == pytest.approx([2 / (1 - p)], rel=1e-4)


def test_components_are_left_out_one_by_one() -> None:
    """The four that come of one draw, and those of one row or column, know nothing of each other."""
    torch.manual_seed(2)
    out = (Dropout(0.3)(torch.ones(1000, 400)) == 0).double()
    expected = 0.3**2
    for one, other in [(out[:, :-k], out[:, k:]) for k in range(1, 9)] + [(out[:-1], out[1:])]:
        assert abs(float((one * other).mean()) - expected) < 4.5 * (expected / one.numel()) ** 0.5


def test_the_gradient_is_the_mask() -> None:
    torch.manual_seed(3)
    x = torch.randn(7, 3, 5, dtype=torch.float64, requires_grad=True)
    y = Dropout(0.4)(x)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(y, x * x.grad)
    assert 0 < int((x.grad == 0).sum()) < x.numel()


def test_the_seed_gives_the_mask_and_the_next_call_another() -> None:
    x, dropout = torch.ones(1001), Dropout(0.5)
    torch.manual_seed(4)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(4)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_none_and_all(p: float) -> None:
    assert torch.equal(Dropout(p)(torch.ones(3, 4)), torch.full((3, 4), 1 - p))


def test_nothing_is_left_out_of_a_prediction() -> None:
    x = torch.randn(5, 9)
    assert torch.equal(Dropout(0.5).eval()(x), x)


@pytest.mark.parametrize("shape", [(0, 4), (1,), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shape_and_precision_stay(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    y = Dropout(0.5)(torch.ones(shape, dtype=dtype))
    assert (y.shape, y.dtype) == (shape, dtype)


def test_rows_of_vmap_have_masks_of_their_own() -> None:
    torch.manual_seed(5)
    rows = torch.func.vmap(Dropout(0.5), randomness="different")(torch.ones(2, 101))
    assert not torch.equal(rows[0], rows[1])
    assert set(rows.unique().tolist()) == {0.0, 2.0}
