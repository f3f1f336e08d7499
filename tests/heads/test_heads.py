"""Binary and regression heads, the registry, and what holds for every kind."""

import math
from functools import partial

import pytest
import torch
from torch.nn import functional

from taskloom.config.heads import check_heads
from taskloom.errors import ConfigError
from taskloom.heads import HEADS, head_class
from taskloom.metrics.scoring import score
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task

STATISTICS = TargetStatistics((0.25,), (0.5,), 100)


def binary(**arguments):
    return HEADS["binary"](Task("like", "binary"), STATISTICS, 5, **arguments)


def regression(statistics=TargetStatistics((3.5,), (1.2,), 100), **arguments):
    return HEADS["regression"](Task("rating", "regression"), statistics, 5, **arguments)


def test_binary_begins_at_the_base_rate():
    for head in (binary(), binary(wide=5)):
        assert math.isclose(head.predict(head(torch.zeros(1, 5))).detach().item(), 0.25, rel_tol=1e-5)


def test_binary_loss_is_cross_entropy():
    raw, y = torch.tensor([[0.3], [-2.0]]), torch.tensor([[1.0], [0.0]])
    p = raw.sigmoid().squeeze(1)
    torch.testing.assert_close(binary().loss(raw, y, None), -torch.stack([p[0].log(), (1 - p[1]).log()]))


def test_regression_is_learnt_standardised_and_predicted_in_its_own_units():
    head = regression()
    raw, y = torch.tensor([[1.0]]), torch.tensor([[3.5 + 1.2 * 3]])
    torch.testing.assert_close(head.predict(raw), torch.tensor([3.5 + 1.2]))
    torch.testing.assert_close(head.loss(raw, y, None), torch.tensor([4.0]))


def test_regression_of_a_constant_target_stays_finite():
    head = regression(TargetStatistics((2.0,), (0.0,), 4))
    assert head.loss(torch.zeros(1, 1), torch.tensor([[2.0]]), None).item() == 0


LOGS = TargetStatistics((1.2,), (0.8,), 100)
SECONDS = TargetStatistics((9.5,), (30.0,), 100, least=(0.0,), transformed=LOGS)


def test_log1p_is_learnt_by_order_of_magnitude_and_predicted_in_its_own_units():
    head = regression(SECONDS, transform="log1p")
    raw, y = torch.tensor([[0.5], [-3.0]]), torch.tensor([[41.0], [0.0]])
    z = torch.tensor([(math.log(42) - 1.2) / 0.8, (0 - 1.2) / 0.8])
    torch.testing.assert_close(head.loss(raw, y, None), (raw[:, 0] - z).square())
    # A mean of logs below 0 is no time: the second prediction is kept at 0.
    torch.testing.assert_close(head.predict(raw), torch.tensor([math.exp(1.2 + 0.4) - 1, 0.0]))
    torch.testing.assert_close(head.predict(z[:, None]), y[:, 0])
    torch.testing.assert_close(head.predict(head(torch.zeros(1, 5))), torch.tensor([math.exp(1.2) - 1]))
    assert head.constant_prediction(1).tolist() == [9.5]  # what is best for RMSE in seconds


def test_log1p_of_what_has_no_log_is_refused():
    with pytest.raises(ConfigError, match=r"options.transform: log1p needs a target >= 0, .* down to -0.5; take trans"):
        regression(TargetStatistics((1.0,), (1.0,), 9, least=(-0.5,), transformed=LOGS), transform="log1p")
    with pytest.raises(ConfigError, match="needs the statistics of log"):
        regression(transform="log1p")
    problems = check_heads([Task("dwell", "regression", options={"transform": "log"})])
    assert [p.text for p in problems] == [
        "data.tasks.dwell.options.transform must be none or log1p, got 'log': did you mean log1p?"
    ]


EVERY = {
    "binary": ((0.0, 1.0), {}),
    "regression": ((0.0, 1.5, 9.0), {}),
    "ordinal": ((1.0, 2.0, 5.0), {}),
    "multiclass": ((0.0, 3.0, 7.0), {}),
    "multilabel": ((0.0, 1.0), {"target": ("a", "b")}),
    "count": ((0.0, 1.0, 4.0), {}),
    "quantile": ((0.0, 1.5, 9.0), {}),
    "ranking": ((0.0, 1.0, 4.0), {}),
    "zero_inflated": ((0.0, 1.5, 9.0), {}),
}


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_every_kind_keeps_the_contract(kind):
    """Shapes, finite and unreduced losses, an unlabelled row's filling, one main metric with a direction, scores.

    Rows of a ranking compete within their group, here 3, 4 and 5; those of other kinds are judged one by one.
    """
    values, more = EVERY[kind]
    task = Task("t", kind, **more)
    n = len(task.targets)
    statistics = TargetStatistics(
        (sum(values) / len(values),) * n,
        (1.0,) * n,
        9,
        (min(values),) * n,
        values,
        (3,) * len(values),
        positive=TargetStatistics((1.3,), (0.9,), 6),
    )
    head = HEADS[kind](task, statistics, 5, wide=2, hidden=[4])
    g = torch.Generator().manual_seed(3)
    h, target = torch.randn(9, 5, generator=g), torch.tensor(values)[torch.randint(0, len(values), (9, n), generator=g)]
    raw = head(h)
    assert raw.shape == (9, head.n_raw)
    none, ids = torch.empty(9, 0), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    batch = Batch(none.long(), none.long(), none, target, torch.ones(9, 1, dtype=torch.bool), ids, torch.arange(9))
    losses = head.loss(raw, target, batch)
    assert losses.shape == (9,)
    assert (losses >= 0).all()
    some = torch.arange(3, 6)
    torch.testing.assert_close(head.loss(raw[3:6], target[3:6], batch.select(some)), losses[3:6])
    assert head.loss(raw, torch.zeros(9, n), batch).isfinite().all()  # 0 stands on rows without a label
    losses.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
    prediction, constant = head.predict(raw).detach(), head.constant_prediction(9)
    assert prediction.shape == constant.shape
    assert prediction.shape[0] == 9
    assert len(head.columns) == prediction[0].numel()
    specs = head.metrics()
    assert [spec.higher_is_better for spec in specs.values() if spec.main] in ([True], [False])
    y, rows = target.squeeze(1), torch.arange(9)
    for x in (prediction, constant):
        assert all(math.isfinite(value) for value in score("t", specs, x, y, rows >= 0, rows // 5).values())


@pytest.mark.parametrize("make", [binary, regression])
def test_wide_channels_are_added_beside_the_tower(make):
    torch.manual_seed(0)
    head = make(wide=3, hidden=[4])
    h = torch.randn(6, 5)
    scale = getattr(head, "scale", 1.0)
    deep = head.tower(h[:, 3:])
    torch.testing.assert_close(head(h), scale * (deep + h[:, :3].sum(1, keepdim=True)))
    with torch.no_grad():
        head.delta.copy_(torch.tensor([[0.5, 0.0, -1.0]]))
    torch.testing.assert_close(head(h), scale * (deep + h[:, :3] @ torch.tensor([[1.5], [1.0], [0.0]])))


def test_constant_prediction_is_the_mean():
    assert regression().constant_prediction(2).tolist() == [3.5, 3.5]


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"data.tasks.buy.kind: no head of kind 'binry'; there are .*binary.*plugins"):
        head_class(Task("buy", "binry"))


def test_a_head_of_one_target_refuses_two():
    with pytest.raises(ConfigError, match="the kind binary has 1 target column, got a, b"):
        HEADS["binary"](Task("like", "binary", target=("a", "b")), STATISTICS, 5)


def test_bfloat16_representations_give_float32_losses():
    head = binary(wide=2, hidden=[3]).to(torch.bfloat16)
    loss = head.loss(head(torch.randn(4, 5, dtype=torch.bfloat16)), torch.ones(4, 1), None)
    assert loss.dtype == torch.float32


def test_cross_entropy_survives_large_logits():
    raw = torch.tensor([[200.0], [-200.0]])
    loss = partial(binary().loss, raw)(torch.tensor([[0.0], [1.0]]), None)
    torch.testing.assert_close(loss, functional.softplus(torch.tensor([200.0, 200.0])))
