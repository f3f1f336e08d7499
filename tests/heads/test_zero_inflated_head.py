"""The zero-inflated head."""

import math

import polars as pl
import pytest
import torch
from torch.distributions import Bernoulli, LogNormal

from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError
from taskloom.heads import HEADS
from taskloom.tasks import TargetStatistics, Task
from taskloom.training.job import evaluate_job, run_job

M, T = 2.0, 1.5
POSITIVE = TargetStatistics((M,), (T,), 25)
STATISTICS = TargetStatistics((5.0,), (20.0,), 100, least=(0.0,), positive=POSITIVE)


def make(statistics=STATISTICS, **arguments):
    return HEADS["zero_inflated"](Task("spend", "zero_inflated"), statistics, 5, **arguments)


def distributions(raw):
    """The two of the paper, from raw outputs."""
    spread = (raw[:, 2] + math.log(math.expm1(0.99))).exp().log1p() + 0.01
    return Bernoulli(logits=2 * raw[:, 0]), LogNormal(M + T * raw[:, 1], T * spread)


@pytest.mark.parametrize("wide", [0, 2])
def test_it_begins_at_the_statistics_of_the_training_rows(wide):
    raw = make(wide=wide)(torch.zeros(2, 5))
    there, amount = distributions(raw)
    torch.testing.assert_close(there.probs, torch.full((2,), 0.25))
    torch.testing.assert_close(amount.loc, torch.full((2,), M))
    torch.testing.assert_close(amount.scale, torch.full((2,), T))


def test_the_loss_is_the_likelihood_that_torch_gives():
    head, g = make(), torch.Generator().manual_seed(0)
    raw = torch.randn(40, 3, generator=g)
    y = torch.where(torch.rand(40, generator=g) < 0.5, 0.0, 30 * torch.rand(40, generator=g))
    there, amount = distributions(raw)
    zero = -there.log_prob(torch.zeros(40))
    # Up to log y + log t, which no output changes.
    more = -there.log_prob(torch.ones(40)) - amount.log_prob(y.clamp_min(1e-9)) - y.clamp_min(1e-9).log() - math.log(T)
    losses = head.loss(raw, y[:, None], None)
    torch.testing.assert_close(losses, torch.where(y > 0, more, zero), rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_the_likelihood():
    g = torch.Generator().manual_seed(1)
    raw, y = torch.randn(20, 3, generator=g, requires_grad=True), torch.tensor([0.0, 7.0] * 10)
    there, amount = distributions(raw)
    likelihood = there.log_prob((y > 0).float()) + (y > 0) * amount.log_prob(y.clamp_min(1.0))
    (expected,) = torch.autograd.grad(-likelihood.sum(), raw)
    (found,) = torch.autograd.grad(make().loss(raw, y[:, None], None).sum(), raw)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_prediction_is_the_mean_of_the_mixture():
    raw = torch.randn(10, 3, generator=torch.Generator().manual_seed(2))
    there, amount = distributions(raw)
    torch.testing.assert_close(make().predict(raw), there.probs * amount.mean, rtol=1e-4, atol=1e-6)
    assert make().constant_prediction(2).tolist() == [5.0, 5.0]


def test_no_prediction_is_above_what_training_has():
    head = make(TargetStatistics((5.0,), (20.0,), 100, (0.0,), percentiles=(0.0,) * 100 + (900.0,), positive=POSITIVE))
    predicted = head.predict(torch.tensor([[50.0, 50.0, 50.0], [0.0, 0.0, 0.0]]))
    assert predicted[0].item() == pytest.approx(900, rel=1e-5)
    assert predicted[1] < 900
    assert make().predict(torch.tensor([[50.0, 50.0, 50.0]])).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [50.0, -50.0])
def test_extreme_outputs_stay_finite(dtype, value):
    raw = torch.full((3, 3), value, dtype=dtype, requires_grad=True)
    losses = make().loss(raw, torch.tensor([[0.0], [1e-30], [1e30]]), None)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert raw.grad.isfinite().all()


def test_the_wide_part_moves_chance_and_amount_and_not_the_spread():
    head, h = make(wide=2), torch.zeros(1, 5)
    raw = head(h + torch.tensor([0.5, 0.25, 0, 0, 0])) - head(h)
    torch.testing.assert_close(raw, torch.tensor([[0.75, 0.75, 0.0]]))


@pytest.mark.parametrize(
    ("statistics", "match"),
    [
        (TargetStatistics((1.0,), (1.0,), 9, (-2.0,)), r"tasks\.spend\.target: an amount is >= 0, .*down to -2; take"),
        (TargetStatistics((0.0,), (0.0,), 9, (0.0,)), r"tasks\.spend\.target: it is 0 on all training rows"),
        (TargetStatistics((1.0,), (1.0,), 9, (0.0,)), r"task spend: .*needs the statistics of log\(target"),
    ],
)
def test_targets_that_do_not_fit_are_refused(statistics, match):
    with pytest.raises(ConfigError, match=match):
        make(statistics)


def test_one_positive_amount_alone_stays_finite():
    head = make(TargetStatistics((1.0,), (1.0,), 9, (0.0,), positive=TargetStatistics((3.0,), (0.0,), 1)))
    assert head.loss(head(torch.zeros(1, 5)), torch.tensor([[math.exp(3)]]), None).isfinite().all()


SPEND = [
    "data.tasks.rating.kind=zero_inflated",
    "data.tasks.rating.target='CASE WHEN rating < 4 THEN 0 ELSE rating END'",
]


def test_a_run_predicts_amounts(compose, tmp_path, capsys):
    config = compose(*SPEND, "model=hard_sharing", "method.epochs=12", "optimizer.lr=0.02", "features.l2=0.01")
    assert preflight(config) == []
    record = run_job(config, tmp_path / "run")
    assert record["state"] == "done"
    assert {"rating/gini", "rating/auc_nonzero", "rating/rmse", "rating/mae"} <= record["test"].keys()
    assert record["test"]["rating/gini"] > 0.2
    assert record["floors"]["constant"]["rating/gini"] == 0
    predicted = pl.read_parquet(tmp_path / "run/predictions/test.parquet")["prediction_rating"]
    assert predicted.is_finite().all()
    assert 0 <= predicted.min() <= predicted.max() <= 5.001
    assert "gini" in capsys.readouterr().out
    assert evaluate_job(tmp_path / "run")["same"]
