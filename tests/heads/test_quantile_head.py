"""The quantile head."""

import polars as pl
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from taskloom.config.heads import check_heads
from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError
from taskloom.heads import HEADS
from taskloom.tasks import TargetStatistics, Task
from taskloom.training.job import evaluate_job, run_job

PERCENTILES = tuple(float(p) for p in range(101))
LOGS = TargetStatistics((3.6,), (0.9,), 9)
STATISTICS = TargetStatistics((50.0,), (29.0,), 9, least=(0.0,), transformed=LOGS, percentiles=PERCENTILES)
SHARES = [0.1, 0.5, 0.9]


def make(statistics=STATISTICS, **arguments):
    return HEADS["quantile"](Task("dwell", "quantile"), statistics, 5, **arguments)


@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize("wide", [0, 5])
def test_it_begins_at_the_quantiles_of_the_training_rows(transform, wide):
    head = make(transform=transform, wide=wide)
    expected = torch.tensor([[10.0, 50.0, 90.0]] * 2)
    torch.testing.assert_close(head.predict(head(torch.zeros(2, 5))), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(head.constant_prediction(2), expected, rtol=1e-5, atol=1e-5)


def test_without_percentiles_it_begins_at_those_of_a_normal_distribution():
    head = make(TargetStatistics((3.0,), (2.0,), 9))
    expected = torch.distributions.Normal(3.0, 2.0).icdf(torch.tensor([SHARES]))
    torch.testing.assert_close(head.predict(head(torch.zeros(1, 5))), expected)


@pytest.mark.parametrize("transform", ["none", "log1p"])
def test_the_loss_is_that_of_scikit_learn(transform):
    head = make(transform=transform)
    g = torch.Generator().manual_seed(0)
    raw, y = torch.randn(12, 3, generator=g), 100 * torch.rand(12, 1, generator=g)
    z = (y - 50) / 29 if transform == "none" else (y.log1p() - 3.6) / 0.9
    losses = head.loss(raw, y, None)
    for i in range(12):
        rising = sorted(raw[i].tolist())
        each = [mean_pinball_loss(z[i], [q], alpha=share) for q, share in zip(rising, SHARES, strict=True)]
        assert losses[i].item() == pytest.approx(sum(each) / 3, rel=1e-5)


def test_quantiles_never_cross_and_keep_the_target_s_units():
    predicted = make().predict(torch.tensor([[1.0, -1.0, 0.0]]))
    torch.testing.assert_close(predicted, torch.tensor([[21.0, 50.0, 79.0]]))
    logs = make(transform="log1p").predict(torch.tensor([[-60.0, 0.0, 1.0]]))
    assert logs[0, 0] == 0  # and not below
    torch.testing.assert_close(logs[0, 1:].log1p(), torch.tensor([3.6, 4.5]))


def test_the_best_constant_is_the_quantile():
    """Learnt from a target of 0 ... 99 it ends at its quantiles."""
    head = make()
    y = torch.arange(100.0)[:, None]
    raw = torch.tensor([[2.0, -1.0, 0.5]], requires_grad=True)
    optimizer = torch.optim.SGD([raw], lr=0.05)
    for _ in range(2000):
        optimizer.zero_grad()
        head.loss(raw.expand(100, 3), y, None).mean().backward()
        optimizer.step()
    torch.testing.assert_close(head.predict(raw.detach()), torch.tensor([[9.5, 49.5, 89.5]]), rtol=0, atol=1.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_outputs_stay_finite(dtype):
    raw = torch.tensor([[50.0, -50.0, 50.0]] * 2, dtype=dtype, requires_grad=True)
    losses = make().loss(raw, torch.tensor([[0.0], [1e6]]), None)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert raw.grad.isfinite().all()
    assert (raw.grad != 0).all()


def test_columns_and_metrics_follow_the_options():
    head = make(quantiles=[0.75, 0.25])
    assert head.columns == ("dwell_0.25", "dwell_0.75")
    assert list(head.metrics()) == ["pinball", "coverage", "width"]
    assert list(make(quantiles=[0.5]).metrics()) == ["pinball", "mae"]
    assert make(quantiles=[0.5]).predict(torch.zeros(4, 1)).shape == (4, 1)


@pytest.mark.parametrize("quantiles", [[], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0]])
def test_quantiles_that_are_none_are_refused(quantiles):
    with pytest.raises(
        ConfigError, match=r"tasks\.dwell\.options\.quantiles: give one or more numbers between 0 and 1"
    ):
        make(quantiles=quantiles)


def test_log1p_of_a_negative_target_is_refused():
    with pytest.raises(ConfigError, match="log1p needs a target >= 0"):
        make(TargetStatistics((1.0,), (1.0,), 9, least=(-1.0,), transformed=LOGS), transform="log1p")


def test_options_are_checked_before_the_run():
    problems = check_heads([Task("dwell", "quantile", options={"quantiles": [0.5, 1.5]})])
    assert [p.text for p in problems] == ["data.tasks.dwell.options.quantiles[1] must be < 1, got 1.5"]


@pytest.mark.parametrize("options", ["{}", "{quantiles: [0.5]}"])
def test_a_run_writes_a_column_a_quantile(compose, tmp_path, capsys, options):
    config = compose(
        "data.tasks.rating.kind=quantile",
        f"+data.tasks.rating.options={options}",
        "floors=[constant,bias,boosting]",
        "model=hard_sharing",
    )
    assert preflight(config) == []
    record = run_job(config, tmp_path / "run")
    assert record["state"] == "done"
    names = ["0.1", "0.5", "0.9"] if options == "{}" else ["0.5"]
    frame = pl.read_parquet(tmp_path / "run/predictions/test.parquet")
    predicted = [column for column in frame.columns if column.startswith("prediction_rating")]
    assert predicted == [f"prediction_rating_{name}" for name in names]
    rows = frame.select(predicted).to_numpy()
    assert (rows[:, 1:] >= rows[:, :-1]).all()
    assert frame["target_rating"].is_not_null().all()
    each = [mean_pinball_loss(frame["target_rating"], rows[:, j], alpha=float(q)) for j, q in enumerate(names)]
    assert record["test"]["rating/pinball"] == pytest.approx(sum(each) / len(each), rel=1e-5)
    # The constant floor says the training rows' quantiles; what gives one number a row has no number here.
    assert record["floors"]["constant"]["rating/pinball"] > 0
    assert "rating/pinball" not in record["floors"]["bias"] | record["floors"]["boosting"]
    assert "pinball" in capsys.readouterr().out
    assert evaluate_job(tmp_path / "run")["same"]
