"""The losses of the binary head."""

import math

import pytest
import torch

from taskloom.config.heads import check_heads
from taskloom.errors import ConfigError
from taskloom.heads import HEADS
from taskloom.tasks import TargetStatistics, Task

RATE = 0.2
OPTIONS = [
    {},
    {"loss": "focal"},
    {"loss": "focal", "gamma": 0.5},
    {"label_smoothing": 0.1},
    {"positive_weight": 3.0},
    {"positive_weight": "balanced"},
    {"positive_weight": 3.0, "label_smoothing": 0.2},
    {"positive_weight": 0.5, "loss": "focal", "gamma": 3.0},
]


def make(rate=RATE, **arguments):
    return HEADS["binary"](Task("buy", "binary"), TargetStatistics((rate,), (0.4,), 100), 5, **arguments)


def reference(r, y, loss="bce", gamma=None, label_smoothing=0.0, positive_weight=1.0):
    """One row's loss, from the papers' formulas."""
    p = 1 / (1 + math.exp(-r))
    weight = (1 - RATE) / RATE if positive_weight == "balanced" else positive_weight
    weight = weight if y == 1 else 1.0
    if loss == "focal":
        p_t = p if y == 1 else 1 - p
        return -weight * (1 - p_t) ** (2.0 if gamma is None else gamma) * math.log(p_t)
    soft = (1 - label_smoothing) * y + label_smoothing / 2
    return -weight * (soft * math.log(p) + (1 - soft) * math.log(1 - p))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_loss_is_the_papers(options):
    head = make(**options)
    rows = [(r, y) for r in (-3.0, -0.4, 0.0, 1.7, 4.0) for y in (0.0, 1.0)]
    raw, y = (torch.tensor(column)[:, None] for column in zip(*rows, strict=True))
    expected = torch.tensor([reference(*row, **options) for row in rows])
    torch.testing.assert_close(head.loss(raw, y, None), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_begins_where_it_would_end_if_it_read_nothing(options):
    """Of a hundred rows at the base rate the mean loss is flat at the beginning, and higher on both sides."""
    head = make(**options)
    start = head(torch.zeros(1, 5)).detach()
    y = (torch.arange(100) < 100 * RATE).float()[:, None]

    def mean(r):
        return head.loss(r.expand(100, 1), y, None).mean()

    r = start.clone().requires_grad_()
    mean(r).backward()
    assert abs(r.grad.item()) < 1e-6
    assert mean(start) < min(mean(start - 0.2), mean(start + 0.2))


def test_the_plain_loss_begins_at_the_base_rate():
    assert make().predict(make()(torch.zeros(1, 5))).item() == pytest.approx(RATE)
    balanced = make(positive_weight="balanced")
    assert balanced.predict(balanced(torch.zeros(1, 5))).item() == pytest.approx(0.5)


def test_a_gamma_of_nothing_is_cross_entropy():
    raw, y = torch.randn(8, 1), torch.rand(8, 1).round()
    plain = make().loss(raw, y, None)
    torch.testing.assert_close(make(loss="focal", gamma=0.0).loss(raw, y, None), plain)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_stay_finite(options, dtype):
    raw = torch.tensor([[50.0], [-50.0]] * 2, dtype=dtype, requires_grad=True)
    losses = make(**options).loss(raw, torch.tensor([[0.0], [0.0], [1.0], [1.0]]), None)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert raw.grad.isfinite().all()
    assert losses[0] > 20  # a sure mistake is not forgiven
    assert losses[3] > 20


@pytest.mark.parametrize("rate", [0.0, 1.0, math.nan])
def test_a_base_rate_without_odds_stays_finite(rate):
    for options in OPTIONS:
        assert make(rate, **options)(torch.zeros(1, 5)).isfinite().all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"gamma": 2.0},
            r"tasks\.buy\.options\.gamma: it is the exponent of the focal loss; set loss: focal, or leave",
        ),
        ({"loss": "focal", "label_smoothing": 0.1}, r"options\.label_smoothing: .*so does loss: focal; take one"),
    ],
)
def test_contradictions_are_refused(options, match):
    with pytest.raises(ConfigError, match=match):
        make(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "hinge"}, "loss must be bce or focal, got 'hinge'"),
        ({"gamma": -1.0}, "gamma must be >= 0, got -1.0"),
        ({"label_smoothing": 1.0}, "label_smoothing must be < 1, got 1.0"),
        ({"positive_weight": 0.0}, "positive_weight must be > 0, got 0.0"),
        ({"sides": 3}, None),
    ],
)
def test_options_are_checked_before_the_run(options, said):
    (problem,) = check_heads([Task("buy", "binary", options=options)])
    where = "data.tasks.buy.options."
    assert problem.text == where + said if said else problem.text.startswith(f"Unknown key {where}sides")


def test_balanced_passes():
    assert list(check_heads([Task("buy", "binary", options={"positive_weight": "balanced"})])) == []
