"""The losses of the regression head."""

import math

import pytest
import torch
from torch.nn import functional

from taskloom.config.heads import check_heads
from taskloom.errors import ConfigError
from taskloom.heads import HEADS
from taskloom.outcome import main_metric
from taskloom.tasks import TargetStatistics, Task

PERCENTILES = tuple(float(p) ** 2 for p in range(101))  # the median is 2,500
STATISTICS = TargetStatistics(
    (3350.0,), (2980.0,), 9, least=(0.0,), transformed=TargetStatistics((7.2,), (1.9,), 9), percentiles=PERCENTILES
)
LOSSES = ["mse", "mae", "huber"]


def make(statistics=STATISTICS, **arguments):
    return HEADS["regression"](Task("spend", "regression"), statistics, 5, **arguments)


@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize("loss", [*LOSSES, ("huber", 0.3)])
def test_the_loss_is_that_of_torch_on_the_standardised_target(transform, loss):
    options = {"loss": loss} if isinstance(loss, str) else {"loss": loss[0], "delta": loss[1]}
    head = make(transform=transform, **options)
    g = torch.Generator().manual_seed(0)
    raw, y = 3 * torch.randn(50, 1, generator=g), 9000 * torch.rand(50, 1, generator=g)
    z = (y - 3350) / 2980 if transform == "none" else (y.log1p() - 7.2) / 1.9
    expected = {
        "mse": lambda: functional.mse_loss(raw, z, reduction="none"),
        "mae": lambda: functional.l1_loss(raw, z, reduction="none"),
        "huber": lambda: 2 * functional.huber_loss(raw, z, reduction="none", delta=options.get("delta", 1.0)),
    }[options["loss"]]()
    torch.testing.assert_close(head.loss(raw, y, None), expected[:, 0], rtol=1e-5, atol=1e-6)


def test_huber_is_squared_error_for_a_large_delta():
    raw, y = torch.randn(20, 1), 5000 * torch.rand(20, 1)
    torch.testing.assert_close(make(loss="huber", delta=1e3).loss(raw, y, None), make().loss(raw, y, None))


@pytest.mark.parametrize("transform", ["none", "log1p"])
def test_absolute_error_begins_at_the_median_and_is_judged_by_mae(transform):
    head = make(loss="mae", transform=transform)
    torch.testing.assert_close(head.predict(head(torch.zeros(1, 5))), torch.tensor([2500.0]), rtol=1e-4, atol=0)
    assert head.constant_prediction(2).tolist() == [2500.0, 2500.0]
    assert main_metric(head.metrics()) == "mae"
    assert [main_metric(make(loss=loss).metrics()) for loss in ("mse", "huber")] == ["rmse", "rmse"]
    assert make(loss="huber").constant_prediction(1).tolist() == [3350.0]


def test_without_percentiles_the_median_is_the_mean():
    head = make(TargetStatistics((3.0,), (2.0,), 9), loss="mae")
    assert head.predict(head(torch.zeros(1, 5))).item() == pytest.approx(3.0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_outputs_stay_finite(loss, dtype):
    raw = torch.tensor([[50.0], [-50.0]], dtype=dtype, requires_grad=True)
    losses = make(loss=loss).loss(raw, torch.tensor([[0.0], [1e6]]), None)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert raw.grad.isfinite().all()
    assert losses.dtype == torch.float32
    assert raw.grad.sign().flatten().tolist() == [1.0, -1.0]


def test_a_delta_without_huber_is_refused():
    with pytest.raises(ConfigError, match=r"tasks\.spend\.options\.delta: .*; set loss: huber, or leave it out"):
        make(loss="mae", delta=2.0)


def test_options_are_checked_before_the_run():
    problems = check_heads([Task("spend", "regression", options={"loss": "l1", "delta": 0})])
    assert [p.text for p in problems] == [
        "data.tasks.spend.options.loss must be mse, mae or huber, got 'l1'",
        "data.tasks.spend.options.delta must be > 0, got 0",
    ]


def test_a_median_of_logs_is_the_log_of_the_median():
    head = make(loss="mae", transform="log1p")
    assert head.output_bias().item() == pytest.approx((math.log1p(2500) - 7.2) / 1.9, rel=1e-5)
