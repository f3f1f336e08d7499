"""The world behind the synthetic log: whom which item suits, and what that makes of click, dwell and purchase."""

import math
from dataclasses import dataclass, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OUTCOMES = ("click", "dwell", "purchase")
SCENARIOS = ("home", "search", "related")
DEVICES = ("phone", "tablet", "desktop")
SEGMENTS, CATEGORIES = 6, 12
# Shares of a score's variance; they add up to 1.
TASTE, USER, ITEM, CONTEXT, SCENARIO = 0.35, 0.15, 0.25, 0.10, 0.15
CLICK_RATE, PURCHASE_RATE = 0.20, 0.15  # over all rows; among clicks
SLOPE = 1.5  # of a log-odds in its score
DWELL_MEDIAN, DWELL_SLOPE, DWELL_NOISE = 40.0, 0.6, 0.5  # seconds; the others in units of log1p(seconds)
SAMPLE = 100_000  # occasions that the scores are scaled on


@dataclass(frozen=True)
class Occasions:
    """N times that an item is shown to a user.

    Args:
        user, item: int64 (N,), counted from 0.
        hour: int64 (N,), 0 to 23.
        device, scenario: int64 (N,), places in ``DEVICES`` and ``SCENARIOS``.
    """

    user: Ints
    item: Ints
    hour: Ints
    device: Ints
    scenario: Ints

    def __len__(self) -> int:
        return len(self.user)

    def rows(self, chosen: slice) -> "Occasions":
        """Some of them."""
        return Occasions(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class Truth:
    """What is true of N occasions before any noise.

    Args:
        click: float64 (N,), the probability of a click.
        log_dwell: float64 (N,), the mean of log1p(seconds) that a click is followed by, with deviation ``DWELL_NOISE``.
        purchase_given_click: float64 (N,), the probability of a purchase once there is a click.
    """

    click: Floats
    log_dwell: Floats
    purchase_given_click: Floats

    def dwell(self, error: float = 0.0) -> Floats:
        """The mean of the dwell time in seconds, float64 (N,).

        Args:
            error: deviation of an error that log1p(seconds) is recorded with.
        """
        return np.exp(self.log_dwell + (DWELL_NOISE**2 + error**2) / 2) - 1


class World:
    r"""Users, items and three latent scores, whose correlation is a dial.

    For each outcome j there is a raw score of an occasion (user u, item i, context c):

    .. math:: g_j = \sqrt{.35}\, p_{ju}^T q_{ji} / \sqrt{d} + \sqrt{.15}\, a_{ju} + \sqrt{.25}\, b_{ji}
              + \sqrt{.10}\, (h_{j,hour} + e_{j,device}) / \sqrt 2 + \sqrt{.15}\, m_{j,scenario,category}

    A user's taste p is half the segment's, an item's q half the category's; age moves a, price moves b. Everything
    is drawn from normal laws. The raw scores are made uncorrelated with mean 0 and deviation 1 over a sample of
    occasions with items drawn uniformly, which gives z. With relatedness r, click has the score z_0, dwell
    r z_0 + sqrt(1 - r²) z_1, and purchase r z_0 + sqrt(1 - r²) z_2: dwell and purchase have correlation r with click,
    and r² with one another. r = 1: one score for all; 0: three independent ones; -1: what is clicked is left soon and
    not bought.

    Log-odds are 1.5 times the score plus a constant, which is set so that 20% of occasions bring a click and 15% of
    clicks a purchase at any r; log1p(dwell) is normal, .6 times the score plus noise of deviation .5, with a median of
    40 s where the score is that of the average click.

    Args:
        users, items: how many there are.
        dim: d, the width of tastes.
        relatedness: r, from -1 to 1.
        seed: of all of it. Users, items and z do not depend on r.

    Example:
        >>> world = World(users=50, items=40, dim=4, relatedness=-0.5, seed=1)
        >>> score = world.scores(world.sample(20_000, np.random.default_rng(2)))
        >>> [round(float(value), 1) for value in np.corrcoef(score.T)[0]]
        [1.0, -0.5, -0.5]
    """

    def __init__(self, users: int, items: int, dim: int, relatedness: float, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        n = len(OUTCOMES)
        self.dim = dim
        self.segment, self.category = rng.integers(SEGMENTS, size=users), rng.integers(CATEGORIES, size=items)
        age, price = rng.normal(size=users), rng.normal(size=items)  # scaled
        self.age = np.clip(np.round(40 + 12 * age), 16, 90).astype(np.int64)
        self.price = np.round(np.exp(3 + 0.8 * price), 2)
        activity = np.exp(rng.normal(size=users))
        self.activity = activity / activity.sum()
        self._taste = _halves(rng.normal(size=(n, SEGMENTS, dim))[:, self.segment], rng.normal(size=(n, users, dim)))
        self._suits = _halves(rng.normal(size=(n, CATEGORIES, dim))[:, self.category], rng.normal(size=(n, items, dim)))
        self._user = _halves(rng.normal(size=(n, 1)) * age, rng.normal(size=(n, users)))
        self._item = _halves(rng.normal(size=(n, 1)) * price, rng.normal(size=(n, items)))
        self._hour, self._device = rng.normal(size=(n, 24)), rng.normal(size=(n, len(DEVICES)))
        self._scenario = rng.normal(size=(n, len(SCENARIOS), CATEGORIES))

        sample = self.sample(SAMPLE, rng)
        raw = np.stack([self._raw(j, sample) for j in range(n)], axis=1)
        self._mean = raw.mean(axis=0)
        self._whiten = np.linalg.inv(np.linalg.cholesky(np.cov(raw.T, bias=True))).T
        apart = math.sqrt(1 - relatedness**2)
        self._mix = np.array([[1, 0, 0], [relatedness, apart, 0], [relatedness, 0, apart]]).T

        score = self.scores(sample)
        self._click_odds = _odds(score[:, 0], CLICK_RATE, np.ones(len(sample)))
        click = expit(self._click_odds + SLOPE * score[:, 0])
        self._purchase_odds = _odds(score[:, 2], PURCHASE_RATE, click)
        self._dwell_centre = math.log1p(DWELL_MEDIAN) - DWELL_SLOPE * float(np.average(score[:, 1], weights=click))

    def sample(self, n: int, rng: np.random.Generator) -> Occasions:
        """Occasions with users by their activity and everything else uniform."""
        return Occasions(
            self.draw_users(n, rng),
            rng.integers(len(self.category), size=n),
            *(rng.integers(size, size=n) for size in (24, len(DEVICES), len(SCENARIOS))),
        )

    def draw_users(self, n: int, rng: np.random.Generator) -> Ints:
        """Whose event each of n is: int64 (n,)."""
        places = np.searchsorted(np.cumsum(self.activity), rng.random(n), side="right")
        return np.minimum(places, len(self.activity) - 1)

    def scores(self, occasions: Occasions) -> Floats:
        """The latent scores of click, dwell and purchase: float64 (N, 3)."""
        raw = np.stack([self._raw(j, occasions) for j in range(len(OUTCOMES))], axis=1)
        return (raw - self._mean) @ self._whiten @ self._mix

    def appeal(self, occasions: Occasions) -> Floats:
        """The click score alone: float64 (N,)."""
        return (self._raw(0, occasions) - self._mean[0]) * self._whiten[0, 0]

    def truth(self, occasions: Occasions) -> Truth:
        """What is true of these occasions."""
        score = self.scores(occasions)
        return Truth(
            expit(self._click_odds + SLOPE * score[:, 0]),
            self._dwell_centre + DWELL_SLOPE * score[:, 1],
            expit(self._purchase_odds + SLOPE * score[:, 2]),
        )

    def _raw(self, j: int, at: Occasions) -> Floats:
        taste = np.einsum("nd,nd->n", self._taste[j][at.user], self._suits[j][at.item]) / math.sqrt(self.dim)
        context = (self._hour[j][at.hour] + self._device[j][at.device]) / math.sqrt(2)
        parts = (
            (TASTE, taste),
            (USER, self._user[j][at.user]),
            (ITEM, self._item[j][at.item]),
            (CONTEXT, context),
            (SCENARIO, self._scenario[j][at.scenario, self.category[at.item]]),
        )
        return sum(math.sqrt(share) * part for share, part in parts)


def _halves(one: Floats, other: Floats) -> Floats:
    """Two independent parts of equal share, of the variance of either."""
    return (one + other) / math.sqrt(2)


def _odds(score: Floats, rate: float, weight: Floats) -> float:
    """The constant that makes a probability's weighted mean the rate."""

    def gap(constant: float) -> float:
        return float(np.average(expit(constant + SLOPE * score), weights=weight)) - rate

    return float(brentq(gap, -40, 40))


def area(label: NDArray, probability: Floats) -> float:
    """The AUC of a score for labels 0 and 1; NaN where there is one class only.

    Example:
        >>> area(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
        0.875
    """
    positives = int((label == 1).sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return math.nan
    ranks = rankdata(probability)[label == 1].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def best_scores(frame: pl.DataFrame, noise: float, clean: bool) -> dict[str, float]:
    """What the truth itself scores on rows of a log: the best that any method can come to, but for luck.

    Against recorded labels with ``late: negative`` the truth is no bound: whether feedback came in time counts too.

    Args:
        frame: rows of `synthetic.Synthetic.log`.
        noise: the share of flipped labels and the error of log1p(dwell) that the labels have.
        clean: against the ``clean_*`` outcomes instead of the recorded labels.

    Returns:
        click/auc, purchase/auc, purchase_given_click/auc, dwell/rmse (seconds, by the conditional mean) and
        dwell/rmse_log1p (of log1p(seconds)); NaN where there is no label or one class only.
    """
    if clean:
        given = pl.when(pl.col("clean_click") == 1).then("clean_purchase")
        frame = frame.with_columns(pl.col(f"clean_{outcome}").alias(outcome) for outcome in OUTCOMES).with_columns(
            given.alias("purchase_given_click")
        )
    click, bought = (
        frame[f"true_{name}"].to_numpy() * (1 - 2 * noise) + noise for name in ("click", "purchase_given_click")
    )
    expected = {"click": click, "purchase": click * bought, "purchase_given_click": bought}
    found = {}
    for task, probability in expected.items():
        there = frame[task].is_not_null().to_numpy()
        found[f"{task}/auc"] = area(frame[task].to_numpy()[there], probability[there])
    there = frame["dwell"].is_not_null().to_numpy()
    seconds, log_dwell = frame["dwell"].to_numpy()[there], frame["true_log_dwell"].to_numpy()[there]
    truth = Truth(click[there], log_dwell, bought[there])
    found["dwell/rmse"] = _rmse(seconds - truth.dwell(noise))
    found["dwell/rmse_log1p"] = _rmse(np.log1p(seconds) - log_dwell)
    return found


def _rmse(error: Floats) -> float:
    return float(np.sqrt(np.mean(error**2))) if len(error) else math.nan
